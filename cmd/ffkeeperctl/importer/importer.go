// Package importer turns what other supervisors run into stream files:
// [program:x] sections of supervisord, and services of systemd with their
// templates, instances and drop-ins.
//
// Each reader follows the program whose files it reads, down to its quoting and
// its expansions, so that the stream starts the very argv that was started
// before. What has a counterpart is translated; what has none is remarked on by
// file, line and name, with the reason. Only what is written there is
// translated: for all else ffkeeper's own defaults count, not the other
// supervisor's.
//
// A Remark never quotes a value: a command line, a variable or a URL may hold a
// key. Nothing is written here; that is for who asks.
package importer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Stream is a stream file to be: a file with Text, or, of an instance, a link.
type Stream struct {
	Name string // without .stream; that of a template ends with an @
	Text string
	// LinkTo is the file name of the template that the instance links to; "":
	// it is a file of its own.
	LinkTo string
	// Private: it holds what looks like a key or a password.
	Private bool
	// File and Line are where it comes from.
	File string
	Line int
}

// FileName is that of the stream file.
func (s Stream) FileName() string { return s.Name + ".stream" }

// Remark is something that was not translated, or not quite. With Failed a
// stream is missing for it.
type Remark struct {
	File   string
	Line   int    // 0: the file as a whole
	Key    string // "user=", "[group:x]"; "": none in particular
	Text   string
	Failed bool
}

// Result is what became of some files. Streams are in the order of the files,
// a template before its instances; Remarks by file and line.
type Result struct {
	Streams []Stream
	Remarks []Remark
}

// Importer is how things are where the files were in use. The zero value knows
// of no environment and takes a program named ffmpeg for ffmpeg.
type Importer struct {
	// Environ is the environment, NAME=value, that supervisord would have, for
	// its %(ENV_NAME)s.
	Environ []string
	// Hostname is this host's.
	Hostname string
	// FFmpeg is what FFKEEPER_FFMPEG says.
	FFmpeg string
	// Search are the directories of systemd's units, the one that wins first;
	// nil: those of the system's manager.
	Search []string
}

func (r *Result) remark(file string, line int, key, format string, args ...any) {
	r.Remarks = append(r.Remarks, Remark{file, line, shownKey(key), fmt.Sprintf(format, args...), false})
}

func (r *Result) fail(file string, line int, key, format string, args ...any) {
	r.Remarks = append(r.Remarks, Remark{file, line, shownKey(key), fmt.Sprintf(format, args...), true})
}

// shownKey is a key that may be shown. Where a command goes on in the next line
// by mistake, what stands before the = there is part of the command.
func shownKey(key string) string {
	if word, ok := strings.CutSuffix(key, "="); ok && !keyPattern.MatchString(word) {
		return ""
	}
	return key
}

var keyPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// finish puts the remarks in the order of the files, each once: several
// instances have the same to say of one line.
func (r *Result) finish() {
	order := map[string]int{}
	for _, m := range r.Remarks {
		if _, ok := order[m.File]; !ok {
			order[m.File] = len(order)
		}
	}
	slices.SortStableFunc(r.Remarks, func(a, b Remark) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line)
	})
	seen := map[Remark]bool{}
	r.Remarks = slices.DeleteFunc(r.Remarks, func(m Remark) bool {
		before := seen[m]
		seen[m] = true
		return before
	})
}

// String is the remark as one line, FILE:LINE: KEY: TEXT.
func (m Remark) String() string {
	var b strings.Builder
	b.WriteString(printable(m.File))
	if m.Line > 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(m.Line))
	}
	b.WriteString(": ")
	if m.Key != "" {
		b.WriteString(m.Key)
		b.WriteString(": ")
	}
	b.WriteString(m.Text)
	return b.String()
}

// maxFile is the largest file that is read, in bytes.
const maxFile = 1 << 20

// readFile reads a regular file of at most maxFile bytes; a FIFO or a device
// is not opened. The error does not name the file.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return data, nil
}

func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
