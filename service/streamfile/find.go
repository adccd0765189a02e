package streamfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// finder knows what is in the directories, each read once.
type finder struct {
	dirs []string
	has  []map[string]bool // by directory: the names of stream files and drop-in directories
	errs []*Error
	// elsewhere are directories in which a template may be that is in none of
	// dirs.
	elsewhere []string
	trust     *trust
}

// newFinder reads the directories, but for those in which others than t's could
// put files.
func newFinder(path []string, t *trust) *finder {
	f := &finder{trust: t}
	for _, dir := range path {
		if abs, err := filepath.Abs(dir); err == nil {
			dir = abs
		}
		if slices.Contains(f.dirs, dir) {
			continue
		}
		f.dirs = append(f.dirs, dir)
		f.has = append(f.has, make(map[string]bool))
		if p := t.directory(dir); p != nil {
			f.errs = append(f.errs, &Error{File: dir, Msg: "cannot use the directory: " + p.text(asIs), Hint: p.hint, Err: fs.ErrPermission})
			continue
		}
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, suffix) || strings.HasSuffix(name, dropInSuffix) {
				f.has[len(f.dirs)-1][name] = true
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.errs = append(f.errs, &Error{File: dir, Msg: "cannot read the directory: " + cause(err).Error(), Err: err})
		}
	}
	return f
}

// put adds a file that a directory is known to have.
func (f *finder) put(dir, file string) {
	f.has[slices.Index(f.dirs, dir)][file] = true
}

// names are the names of all main files, templates too, sorted.
func (f *finder) names() []string {
	all := make(map[string]bool)
	for _, has := range f.has {
		for file := range has {
			// Files that begin with a dot are hidden, as everywhere.
			if name, ok := strings.CutSuffix(file, suffix); ok && file[0] != '.' {
				all[name] = true
			}
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// find is the path of file in the first directory that has it; "": none has.
func (f *finder) find(file string) string {
	for i, dir := range f.dirs {
		if f.has[i][file] {
			return filepath.Join(dir, file)
		}
	}
	return ""
}

// load reads the stream name.
func (f *finder) load(name string, h *host) *Entry {
	b := newBuilder(name, h)
	main := f.find(name + suffix)
	if t := template(name); t != "" {
		main = f.templateOf(main, t, b)
	}
	if main == "" {
		return b.entry()
	}
	b.d.Source = main
	if p := f.refused(main, b); p != nil {
		b.refuse(main, p)
		b.tried["ExecStart"] = true
		b.finish()
		return b.entry()
	}
	switch data, masked, err := readStream(main); {
	case masked:
		return &Entry{Name: name, Masked: true, Files: []string{main}}
	case err != nil:
		b.cannotRead(main, err)
		b.tried["ExecStart"] = true // it may well be in there
	default:
		b.file(main, data)
	}
	for _, path := range f.dropIns(name, b) {
		if p := f.trust.file(path); p != nil {
			b.refuse(path, p)
			continue
		}
		switch data, masked, err := readStream(path); {
		case masked:
		case err != nil:
			b.cannotRead(path, err)
		default:
			b.file(path, data)
		}
	}
	b.finish()
	b.try()
	return b.entry()
}

// refused judges a stream's main file, and where it is an instance, the link
// that makes it one.
func (f *finder) refused(main string, b *builder) *problem {
	if b.d.Link != "" {
		if p := f.trust.file(b.d.Link); p != nil {
			return p
		}
	}
	return f.trust.file(main)
}

// templateOf is the main file of an instance: its template, if main is a link
// to it. Only the name that the link ends in counts, as with systemd, so that
// a template in a directory before overrides one in a directory behind.
func (f *finder) templateOf(main, t string, b *builder) string {
	target, err := os.Readlink(main)
	if err != nil || filepath.Base(target) != t+suffix {
		return main
	}
	b.d.Link = main
	if found := f.find(t + suffix); found != "" {
		return found
	}
	if _, err := os.Stat(main); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(main), target)
		}
		return target
	}
	for _, dir := range f.elsewhere {
		found := filepath.Join(dir, t+suffix)
		if _, err := os.Stat(found); err == nil {
			return found
		}
	}
	b.fail(position{file: main}, "", wrong("write it, or remove the link", "it is a link to the template %s, which does not exist", t+suffix))
	return ""
}

// dropIns are the drop-ins of a stream in the order in which they apply: by
// their names, of several with one name only that of the first directory, an
// instance's own before its template's.
func (f *finder) dropIns(name string, b *builder) []string {
	byName := make(map[string]string)
	for i, dir := range f.dirs {
		for _, owner := range []string{name, template(name)} {
			if owner == "" || !f.has[i][owner+dropInSuffix] {
				continue
			}
			path := filepath.Join(dir, owner+dropInSuffix)
			entries, err := os.ReadDir(path)
			if err != nil {
				if info, e := os.Stat(path); e != nil || !masks(info) {
					b.cannotRead(path, err)
				}
			}
			for _, e := range entries {
				file := e.Name()
				if _, ok := byName[file]; !ok && strings.HasSuffix(file, ".conf") && file[0] != '.' {
					byName[file] = filepath.Join(path, file)
				}
			}
		}
	}
	files := make([]string, 0, len(byName))
	for file := range byName {
		files = append(files, file)
	}
	slices.Sort(files)
	for i, file := range files {
		files[i] = byName[file]
	}
	return files
}

// readStream reads a main file or a drop-in.
func readStream(path string) (data []byte, masked bool, err error) {
	info, err := os.Stat(path)
	if err == nil && masks(info) {
		return nil, true, nil
	}
	data, err = readFile(path)
	return data, false, err
}

// cannotRead is the error for a file of the stream.
func (b *builder) cannotRead(path string, err error) {
	msg := "cannot read it: " + cause(err).Error()
	if target, e := os.Readlink(path); e == nil && errors.Is(err, fs.ErrNotExist) {
		msg = "it is a link to " + printable(target) + ", which does not exist"
	}
	b.add(&Error{Stream: b.d.Name, File: path, Msg: msg, Err: err})
}

// refuse is the error for a file of the stream that others could change.
func (b *builder) refuse(path string, p *problem) {
	b.add(&Error{Stream: b.d.Name, File: path, Msg: "cannot use it: " + p.text(asIs), Hint: p.hint, Err: fs.ErrPermission})
}

// asIs redacts nothing: paths only are in those texts.
func asIs(s string) string { return s }
