package streamfile

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// Loader reads stream files. Its fields may be set before the first call; then
// it may be used from any goroutine.
type Loader struct {
	// Path are the directories, the one that wins first.
	Path []string
	// FFmpeg is what a bare "ffmpeg" in a command runs: a name or an absolute
	// path; "" is "ffmpeg".
	FFmpeg string
	// Describe tells what a command line is; addProgress: add the arguments
	// that make ffmpeg report its progress. nil: no argument is added, and
	// auto is null and journal.
	Describe func(argv []string, addProgress bool) CommandTraits
	// Redact removes secrets from what errors quote; nil: nothing is removed.
	Redact func(string) string
	// Credential reads a credential. Who it is given to is to show nothing of
	// it, so it also sees to it that the value is redacted from then on. The
	// error does not name the credential and says nothing of the value; see
	// ErrUnsure. nil: names are checked, and a start that needs one fails.
	Credential func(name string) ([]byte, error)
	// LookPath finds a program that has no absolute path; nil: it is looked
	// for in the stream's PATH.
	LookPath func(string) (string, error)
	// User is who the commands run as, for HOME and USER; "": who this
	// process runs as.
	User string
	// Owners are the uids whose directories and files are used, beside root's;
	// nil: that of this process. What belongs to anybody else, or others may
	// write to, is an error.
	Owners []uint32
}

// Set is what a Loader has read.
type Set struct {
	// Streams by name: those that can run, the broken and the masked ones.
	// Templates are none.
	Streams map[string]*Entry
	// Errors of directories, and of files that belong to no stream.
	Errors []*Error
	// Owned are the directories and files that belong to one of Loader.Owners
	// and not to root, sorted.
	Owned []string
}

// Entry is what the files of one stream say. Either Definition is set, or
// Masked, or there are Errors.
type Entry struct {
	Name       string
	Definition *Definition // nil if broken or masked
	Errors     []*Error    // in the order of files and lines
	Warnings   []*Error    // what runs, but probably not as meant
	Files      []string    // read, in order: the main file, then drop-ins
	Masked     bool        // the administrator says that there is no such stream
}

// Load reads all streams of the directories and checks what they want of each
// other. It never fails as a whole: a directory that is not there is empty,
// all else that is wrong is in Set.Errors and Entry.Errors.
func (l *Loader) Load() *Set {
	t := newTrust(l.Owners)
	f := newFinder(l.Path, t)
	s := &Set{Streams: make(map[string]*Entry), Errors: f.errs}
	h := newHost(l)
	for _, name := range f.names() {
		if p := checkFileName(name); p != nil {
			s.Errors = append(s.Errors, &Error{File: f.find(name + suffix), Msg: p.text(h.redact), Hint: p.hint})
		} else if !isTemplate(name) {
			s.Streams[name] = f.load(name, h)
		}
	}
	s.Check()
	s.Owned = t.owned()
	return s
}

// LoadFile reads the one stream whose main file is path, with the drop-ins
// beside it in path.d; of an instance, with its template and the template's
// drop-ins beside it, or, where there is no template beside it, with that of
// l.Path. A template is checked as far as it can be without an instance; its
// Definition cannot run. What the stream wants of others is for Set.Check. Whose
// the files are counts only where path is in one of l.Path: a draft elsewhere
// runs nothing, and is somebody else's when it has been put in place.
func (l *Loader) LoadFile(path string) *Entry {
	h := newHost(l)
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	name, ok := strings.CutSuffix(filepath.Base(abs), suffix)
	fail := func(p *problem) *Entry {
		return &Entry{Name: name, Errors: []*Error{{Stream: name, File: abs, Msg: p.text(h.redact), Hint: p.hint}}}
	}
	if !ok {
		return fail(wrong("rename it", "the name of a stream file ends with %s", suffix))
	}
	if p := checkFileName(name); p != nil {
		return fail(p)
	}
	var t *trust
	if l.reads(filepath.Dir(abs)) {
		t = newTrust(l.Owners)
	}
	f := newFinder([]string{filepath.Dir(abs)}, t)
	f.elsewhere = l.Path
	f.put(filepath.Dir(abs), name+suffix) // if it is not there, opening it says so
	return f.load(name, h)
}

// reads: dir, an absolute path, is one of l.Path.
func (l *Loader) reads(dir string) bool {
	for _, d := range l.Path {
		if abs, err := filepath.Abs(d); err == nil && abs == dir {
			return true
		}
	}
	return false
}

// Unreadable reports whether one of the directories that the files of d came
// from could not be read this time, or was refused, so that nothing follows
// from d's stream being absent, or other than it was.
func (s *Set) Unreadable(d *Definition) bool {
	for _, e := range s.Errors {
		for _, file := range append([]string{d.Source, d.Link}, d.Files...) {
			if rest, ok := strings.CutPrefix(file, e.File); ok && strings.HasPrefix(rest, "/") {
				return true
			}
		}
	}
	return false
}

// sorted are the entries by name.
func (s *Set) sorted() []*Entry {
	out := make([]*Entry, 0, len(s.Streams))
	for _, e := range s.Streams {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *Entry) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
