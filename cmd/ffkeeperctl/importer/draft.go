package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// draft is a stream file being made.
type draft struct {
	name    string
	origin  string // for the comment at its top
	options []option
	argv    []string // of the command, variables not expanded, for what it tells
	env     []string // NAME=value
}

type option struct{ key, value string }

func (d *draft) set(key, value string) { d.options = append(d.options, option{key, value}) }

// setPlain sets an option whose value is taken as it stands, without quotes:
// a path or a text. It says what cannot be written so.
func (d *draft) setPlain(key, value string) error {
	bad := !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) || strings.TrimSpace(value) != value
	// An odd backslash at the end would continue the line.
	if n := len(value) - len(strings.TrimRight(value, `\`)); bad || n%2 == 1 {
		return fmt.Errorf("the value has control characters, or blanks or a backslash at an end, which %s= of a stream file cannot have", key)
	}
	d.set(key, value)
	return nil
}

// setEnvironment sets a variable, each in a line of its own.
func (d *draft) setEnvironment(name, value string) error {
	if !validVariable(name) {
		return fmt.Errorf("%s is no name of a variable", showName(name))
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' }) {
		return fmt.Errorf("the value of %s has control characters or is not UTF-8", name)
	}
	d.set("Environment", streamfile.QuoteWord(name+"="+value))
	d.env = append(d.env, name+"="+value)
	return nil
}

// setCommand sets ExecStart=; prefix is ":" or "". In words every dollar that
// is to remain one is doubled.
func (d *draft) setCommand(prefix string, words []string) {
	d.argv = words
	var b strings.Builder
	b.WriteString(prefix)
	width := 0
	for i, w := range words {
		w = streamfile.QuoteWord(w)
		// An option and its value stay together, and an input begins a line.
		need := len(w)
		if w[0] == '-' && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			need += 1 + len(streamfile.QuoteWord(words[i+1]))
		}
		follows := i > 0 && strings.HasPrefix(words[i-1], "-") && w[0] != '-'
		switch {
		case i == 0:
		case width+1+need > 88 && !follows || width > 40 && w == "-i":
			b.WriteString(" \\\n    ")
			width = 4
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(w)
		width += len(w)
	}
	d.set("ExecStart", b.String())
}

// text is the whole stream file.
func (d *draft) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made of %s by ffkeeperctl import.\n[Stream]\n", printable(d.origin))
	for _, o := range d.options {
		b.WriteString(o.key)
		b.WriteByte('=')
		b.WriteString(o.value)
		b.WriteByte('\n')
	}
	return b.String()
}

// private: it holds what looks like a key or a password.
func (d *draft) private() bool {
	r := redact.New()
	return !slices.Equal(r.Args(d.argv), d.argv) || !slices.Equal(r.Env(d.env), d.env)
}

// setType says whether the command is ffmpeg, whose progress tells its health,
// and answers what there is to say where it only runs one in a shell.
func (d *draft) setType(configured string) (remark string) {
	if ffmpeg.IsFFmpeg(d.argv[0], configured) {
		return ""
	}
	d.set("Type", "simple")
	// The first word as well as one inside a script.
	if slices.ContainsFunc(d.argv[1:], mentionsFFmpeg) {
		return "ffmpeg does not run itself here but within another program, so that its progress is not seen and any output counts as life (Type=simple); name ffmpeg itself, or let it run with -progress pipe:3 and remove Type="
	}
	return ""
}

func mentionsFFmpeg(arg string) bool {
	for _, w := range strings.FieldsFunc(arg, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("|;&(){}\"'", r) }) {
		if ffmpeg.IsFFmpeg(w, "") {
			return true
		}
	}
	return false
}

const secretRemark = "it holds what looks like a key or a password, and so does the stream file, which only root and the group ffkeeper can read; docs/secrets.md has how to keep it out of command lines"

// escapeDollars makes every dollar an ordinary one.
func escapeDollars(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// streamName is name as far as a stream can have it: what it cannot becomes a
// dash.
func streamName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.@", r)) {
			return r
		}
		return '-'
	}, name)
	for strings.Contains(name, "..") {
		name = strings.ReplaceAll(name, "..", ".")
	}
	return strings.TrimSuffix(strings.TrimLeft(name, ".@-"), ".stream")
}

func validVariable(name string) bool {
	for i, r := range name {
		if r >= utf8.RuneSelf || !unicode.IsLetter(r) && r != '_' && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return name != ""
}

// showName shows a name that may be anything, shortly and on one line.
func showName(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return fmt.Sprintf("%q", s)
}

// printable is a path as it may stand in a comment.
func printable(path string) string {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Sprintf("%q", path)
	}
	return path
}

// absolute answers the path with what a relative one is relative to.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
