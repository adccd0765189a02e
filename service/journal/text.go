package journal

import (
	"fmt"
	"log/slog"
	"unicode"
	"unicode/utf8"
)

// text renders records as lines for people: "cam1: warning: message key=value".
// The level is named from warning on; the time is left to whoever collects the
// lines. The further lines of a message are indented below the same name, so
// that none of them can be taken for another record.
type text struct {
	identifier string // SYSLOG_IDENTIFIER of WithAttrs
	stream     string // FFKEEPER_STREAM of WithAttrs
	pairs      []byte // " key=value" of WithAttrs
	group      string
	colour     bool
}

// SGR sequences (ECMA-48, 8.3.117).
const (
	colourReset  = "\x1b[0m"
	colourDim    = "\x1b[2m"
	colourRed    = "\x1b[31m"
	colourYellow = "\x1b[33m"
	colourBold   = "\x1b[1m"
)

func (f text) append(b []byte, record slog.Record) []byte {
	message := scratch.Get().(*[]byte)
	defer func() {
		if cap(*message) <= maxScratch {
			scratch.Put(message)
		}
	}()
	m := append((*message)[:0], record.Message...)
	m = append(m, f.pairs...)
	record.Attrs(func(a slog.Attr) bool {
		eachAttr(f.group, a, func(group string, a slog.Attr) {
			if !f.name(a) && !isField(a.Key) {
				m = appendPair(m, group, a)
			}
		})
		return true
	})
	*message = m

	name := f.identifier
	if name == "" {
		name = f.stream
	}
	for first := true; first || len(m) > 0; first = false {
		lineEnd := len(m)
		for i, c := range m {
			if c == '\n' {
				lineEnd = i
				break
			}
		}
		if name != "" {
			b = appendVisible(b, name)
			b = append(b, ": "...)
		}
		b = f.appendLine(b, m[:lineEnd], record.Level, first)
		m = m[min(lineEnd+1, len(m)):]
	}
	return b
}

// appendLine appends one line of a message.
func (f text) appendLine(b, line []byte, level slog.Level, first bool) []byte {
	colour := ""
	if f.colour {
		switch {
		case level >= LevelCrit:
			colour = colourBold + colourRed
		case level >= slog.LevelError:
			colour = colourRed
		case level >= slog.LevelWarn:
			colour = colourYellow
		case level < slog.LevelInfo:
			colour = colourDim
		}
	}
	b = append(b, colour...)
	switch {
	case !first:
		b = append(b, "  "...)
	case level >= slog.LevelWarn:
		b = append(b, levelWord(level)...)
		b = append(b, ": "...)
	}
	b = appendVisible(b, line)
	if colour != "" {
		b = append(b, colourReset...)
	}
	return append(b, '\n')
}

// levelWord names a level in a line for people.
func levelWord(level slog.Level) string {
	switch p := Priority(level); p {
	case 3:
		return "error"
	case 2:
		return "critical"
	default:
		return levels[p].name
	}
}

// name takes over what the line begins with, if a is that.
func (f *text) name(a slog.Attr) bool {
	switch a.Key {
	case FieldIdentifier:
		f.identifier = a.Value.String()
	case FieldStream:
		f.stream = a.Value.String()
	default:
		return false
	}
	return true
}

func (f text) withAttrs(attrs []slog.Attr) form {
	f.pairs = append([]byte(nil), f.pairs...)
	for _, a := range attrs {
		eachAttr(f.group, a, func(group string, a slog.Attr) {
			if !f.name(a) && !isField(a.Key) {
				f.pairs = appendPair(f.pairs, group, a)
			}
		})
	}
	return f
}

func (f text) withGroup(name string) form {
	f.group += name + "."
	return f
}

// appendVisible appends s with everything that would act on a terminal, or
// hide what stands there, written as an escape: control characters of both
// sets, line and paragraph separators, the marks that turn the direction of
// writing, and what is no UTF-8.
func appendVisible[T string | []byte](b []byte, s T) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\t' || c == 0x7f {
				b = fmt.Appendf(b, `\x%02x`, c)
			} else {
				b = append(b, c)
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		switch {
		case r == utf8.RuneError && size == 1:
			b = fmt.Appendf(b, `\x%02x`, c)
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}
