package streamfile

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Assignment is one Key=value of a file in the syntax of systemd's unit files,
// continuation lines joined.
type Assignment struct {
	Section, Key string
	Value        string // quotes, escapes and specifiers as written
	Line         int    // where it begins
}

// ParseUnit reads any file in the syntax of systemd's unit files, for those who
// turn others' units into stream files. What is malformed is left out; the
// errors say so, each with its line.
func ParseUnit(file string, data []byte) ([]Assignment, []*Error) {
	parsed, problems := parseSyntax(data)
	var out []Assignment
	in := ""
	for _, a := range parsed {
		switch {
		case a.header:
			in = a.key
		case !a.bad:
			out = append(out, Assignment{in, a.key, a.value, a.line})
		}
	}
	var errs []*Error
	for _, p := range problems {
		errs = append(errs, &Error{File: file, Line: p.line, Msg: p.text(unredacted), Hint: p.hint})
	}
	return out, errs
}

func unredacted(s string) string { return s }

// SplitWords splits a value into words as systemd does for Environment=. The
// error quotes nothing of the value.
func SplitWords(value string) ([]string, error) {
	words, _, err := splitWords(value)
	if err != nil {
		return nil, errors.New(err.text(unredacted))
	}
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out, nil
}

// SplitCommands splits a value into commands, separated by a ; that stands
// alone, and these into words as systemd does for ExecStart=. Each has at least
// one word. The error quotes nothing of the value.
func SplitCommands(value string) ([][]string, error) {
	var commands [][]string
	var words []string
	end := func() {
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	s := splitter{value: value}
	for s.skipBlanks() {
		rest := value[s.at:]
		switch {
		case standsAlone(rest, ";"):
			end()
			s.at++
		case standsAlone(rest, `\;`):
			words = append(words, ";")
			s.at += len(`\;`)
		default:
			w, err := s.word()
			if err != nil {
				return nil, errors.New(err.text(unredacted))
			}
			words = append(words, w.text)
		}
	}
	end()
	return commands, nil
}

// QuoteWord writes a word so that a stream file has it as this one word, in a
// command and in Environment=. Variables stay what they are: for a dollar in a
// command the word has to hold two.
func QuoteWord(word string) string {
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for len(word) > 0 {
		r, n := utf8.DecodeRuneInString(word)
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && n == 1, r < ' ', r == 0x7f:
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[word[0]>>4])
			b.WriteByte(hex[word[0]&15])
		default:
			b.WriteString(word[:n])
		}
		word = word[n:]
	}
	b.WriteByte('"')
	return b.String()
}

// plain is what needs no quotes anywhere in a word, its beginning included,
// where # and ; would begin a comment.
func plain(r rune) bool {
	return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-+=:,./@%^~?*!&[](){}<>|$", r))
}

// ParseTimeSpan reads a time span as stream files have them: a number without a
// unit is seconds; "infinity" is Infinity.
func ParseTimeSpan(s string) (time.Duration, error) {
	d, err := parseTimeSpan(s, time.Second)
	if err != nil {
		return 0, errors.New(err.text(unredacted))
	}
	return d, nil
}

// CheckName says what is wrong with the name of a stream, or, where it ends
// with an @, of a template.
func CheckName(name string) error {
	if err := checkFileName(name); err != nil {
		return errors.New(err.text(unredacted))
	}
	return nil
}
