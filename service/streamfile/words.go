package streamfile

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// word is one word of a value, and where in the value it began.
type word struct {
	text string
	at   int
}

// splitWords splits a value into words as systemd does for Environment= and
// command lines (extract_first_word with EXTRACT_UNQUOTE and EXTRACT_CUNESCAPE,
// extract-word.c of 252): quotes may begin anywhere in a word, C escapes count
// inside quotes of both kinds, and an escape that is none is kept as written,
// with a warning.
func splitWords(value string) (words []word, warnings []*problem, err *problem) {
	s := splitter{value: value}
	for s.skipBlanks() {
		w, err := s.word()
		if err != nil {
			return nil, nil, err
		}
		words = append(words, w)
	}
	return words, s.warnings, nil
}

type splitter struct {
	value    string
	at       int
	warnings []*problem
}

// skipBlanks answers whether anything is left.
func (s *splitter) skipBlanks() bool {
	for s.at < len(s.value) && strings.IndexByte(blanks, s.value[s.at]) >= 0 {
		s.at++
	}
	return s.at < len(s.value)
}

func (s *splitter) word() (word, *problem) {
	w := word{at: s.at}
	var out strings.Builder
	quote, quoteAt := byte(0), 0
	for ; s.at < len(s.value); s.at++ {
		c := s.value[s.at]
		switch {
		case c == '\\':
			n, err := s.escape(&out)
			if err != nil {
				return w, err
			}
			s.at += n
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			out.WriteByte(c)
		case c == '"' || c == '\'':
			quote, quoteAt = c, s.at
		case strings.IndexByte(blanks, c) >= 0:
			w.text = out.String()
			return w, nil
		default:
			out.WriteByte(c)
		}
	}
	if quote != 0 {
		return w, wrong(`close it, or write \`+string(quote)+" for the character itself",
			"the quote %c opened here is never closed", quote).in(quoteAt)
	}
	w.text = out.String()
	return w, nil
}

// simpleEscapes are the escapes of one letter (cunescape_one, escape.c).
var simpleEscapes = map[byte]byte{
	'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
	'\\': '\\', '"': '"', '\'': '\'', 's': ' ',
}

// escape writes what the backslash at s.at and the characters after it stand
// for and answers how many those are.
func (s *splitter) escape(out *strings.Builder) (int, *problem) {
	rest := s.value[s.at+1:]
	if rest == "" {
		// An odd backslash that ends a line continues it, so blanks followed
		// this one: certainly not what was meant.
		return 0, wrong("remove the blanks after it, so that it continues the line", "a backslash ends the value").in(s.at)
	}
	if c, ok := simpleEscapes[rest[0]]; ok {
		out.WriteByte(c)
		return 1, nil
	}
	digits, base, from := 0, 16, 1
	switch c := rest[0]; {
	case c == 'x':
		digits = 2
	case c == 'u':
		digits = 4
	case c == 'U':
		digits = 8
	case '0' <= c && c <= '7':
		digits, base, from = 3, 8, 0
	}
	if digits > 0 && len(rest) >= from+digits && plainDigits(rest[from:from+digits]) {
		n, err := strconv.ParseUint(rest[from:from+digits], base, 32)
		switch {
		case err != nil || n == 0: // no argument can hold a NUL
		case rest[0] == 'u' || rest[0] == 'U':
			if validRune(rune(n)) {
				out.WriteRune(rune(n))
				return from + digits, nil
			}
		case n <= 0xff:
			out.WriteByte(byte(n))
			return from + digits, nil
		}
	}
	if len(s.warnings) < maxErrors {
		s.warnings = append(s.warnings, wrong(`write \\ for a backslash`,
			`\%s is no escape that systemd knows and stays as written`, printable(firstRune(rest))).in(s.at))
	}
	out.WriteByte('\\')
	out.WriteByte(rest[0])
	return 1, nil
}

// plainDigits: ParseUint also takes "+1" and "_".
func plainDigits(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// validRune is systemd's unichar_is_valid.
func validRune(r rune) bool {
	return utf8.ValidRune(r) && r&0xfffe != 0xfffe && (r < 0xfdd0 || r > 0xfdef)
}

func firstRune(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// splitValue splits the value of a variable that stands alone as $NAME, as
// systemd does (strv_split_full with EXTRACT_RELAX and EXTRACT_UNQUOTE):
// quotes group and go away, one that is never closed ends with the value, a
// backslash makes the next character an ordinary one.
func splitValue(value string) []string {
	var words []string
	var out strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\':
			begun = true
			if i++; i < len(value) {
				out.WriteByte(value[i])
			}
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			out.WriteByte(c)
		case strings.IndexByte(blanks, c) >= 0:
			if begun {
				words = append(words, out.String())
				out.Reset()
				begun = false
			}
		case c == '"' || c == '\'':
			begun, quote = true, c
		default:
			begun = true
			out.WriteByte(c)
		}
	}
	if begun {
		words = append(words, out.String())
	}
	return words
}
