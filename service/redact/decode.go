package redact

import (
	"strings"
	"unicode/utf8"
)

// decoded is a text with one encoding undone that remembers where each of its
// bytes came from.
type decoded struct {
	text string
	from []int // from[i] is where byte i began in the encoded text; one more for the end
}

// source is the part of the encoded text from which f of the decoded one came.
func (d decoded) source(f span) span { return span{d.from[f.from], d.from[f.to]} }

// decoder collects a decoded text.
type decoder struct {
	text []byte
	from []int
}

func (d *decoder) put(from int, text ...byte) {
	for _, c := range text {
		d.text = append(d.text, c)
		d.from = append(d.from, from)
	}
}

func (d *decoder) done(end int) decoded {
	return decoded{string(d.text), append(d.from, end)}
}

// percentDecoded undoes %XX (RFC 3986, 2.1); a percent sign that encodes
// nothing stays. It reports false if there is nothing to undo.
func percentDecoded(s string) (decoded, bool) {
	first := -1
	for i := strings.IndexByte(s, '%'); i >= 0 && i+2 < len(s); {
		if isHex(s[i+1]) && isHex(s[i+2]) {
			first = i
			break
		}
		next := strings.IndexByte(s[i+1:], '%')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	if first < 0 {
		return decoded{}, false
	}
	d := newDecoder(s)
	for i := 0; i < len(s); {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			d.put(i, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 3
			continue
		}
		d.put(i, s[i])
		i++
	}
	return d.done(len(s)), true
}

func newDecoder(s string) *decoder {
	return &decoder{make([]byte, 0, len(s)), make([]int, 0, len(s)+1)}
}

// shellQuote are the ways to write a single quote within single quotes of sh.
var shellQuote = [...]string{`'\''`, `'"'"'`}

// unquoted undoes what JSON, Go, sh and ffmpeg do to characters that are
// special to them: backslash escapes (\x, \n, \xHH, \uXXXX) and a single quote
// within single quotes. It reports false if there is nothing to undo.
func unquoted(s string) (decoded, bool) {
	if strings.IndexByte(s, '\\') < 0 && !strings.Contains(s, shellQuote[1]) {
		return decoded{}, false
	}
	d := newDecoder(s)
next:
	for i := 0; i < len(s); {
		if s[i] == '\'' {
			for _, q := range shellQuote {
				if strings.HasPrefix(s[i:], q) {
					d.put(i, '\'')
					i += len(q)
					continue next
				}
			}
		}
		if s[i] != '\\' || i+1 == len(s) {
			d.put(i, s[i])
			i++
			continue
		}
		switch c := s[i+1]; c {
		case 'n', 'r', 't':
			d.put(i, map[byte]byte{'n': '\n', 'r': '\r', 't': '\t'}[c])
		case 'x':
			if v, ok := hex(s, i+2, 2); ok {
				d.put(i, byte(v))
				i += 4
				continue next
			}
			d.put(i, c)
		case 'u':
			if v, ok := hex(s, i+2, 4); ok {
				d.put(i, utf8.AppendRune(nil, rune(v))...)
				i += 6
				continue next
			}
			d.put(i, c)
		default:
			d.put(i, c)
		}
		i += 2
	}
	return d.done(len(s)), true
}

// hex reads n hexadecimal digits of s from i on.
func hex(s string, i, n int) (v int, ok bool) {
	if i+n > len(s) {
		return 0, false
	}
	for _, c := range []byte(s[i : i+n]) {
		if !isHex(c) {
			return 0, false
		}
		v = v<<4 | int(unhex(c))
	}
	return v, true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
