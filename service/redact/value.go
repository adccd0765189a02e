package redact

import "strings"

// value removes the value that begins at from, of a parameter of that name
// outside of a URL. It returns where to go on.
func (sc *scanner) value(name string, k kind, from int) int {
	s := sc.s
	if from >= len(s) {
		return len(s)
	}
	to := from
	switch q := openingQuote(s, from); {
	case q > 0:
		from += q
		to = closingQuote(s, from, s[from-1])
	case k == line:
		to = lineEnd(s, from)
	default:
		to = wordEnd(s, from, inBrackets(s, from))
	}
	// one character is a number or a flag, not a secret: showinfo's key=1
	if to <= from || to-from == 1 && k == weak || harmless(name, s[from:to]) {
		return max(to, from)
	}
	// The secrets of a URL in it may go on behind what ends a value, and what
	// looks like a value may be an option with a value of its own.
	if value := s[from:to]; strings.Contains(value, ":/") || startsURL(value) || value[0] == '-' || value[0] == '[' {
		if sc.again++; sc.again > maxAgain {
			to = len(s)
		} else {
			sc.add(from, to)
			return from
		}
	}
	sc.add(from, to)
	return to
}

// maxAgain is how many values of one text are looked through once more; a text
// with more of them is there to cost time.
const maxAgain = 64

// openingQuote returns how many bytes the quote that opens a value at i has: 0
// for none, 2 for \".
func openingQuote(s string, i int) int {
	switch {
	case isQuote(s[i]):
		return 1
	case s[i] == '\\' && i+1 < len(s) && isQuote(s[i+1]):
		return 2
	}
	return 0
}

// closingQuote returns where the quote q that was opened before i is closed;
// the end of s if it is not.
func closingQuote(s string, i int, q byte) int {
	nested := i >= 2 && s[i-2] == '\\' // \"VALUE\": JSON within JSON
	for ; i < len(s); i++ {
		switch {
		case s[i] == q && !nested:
			return i
		case s[i] == '\\' && i+1 < len(s):
			if nested && s[i+1] == q {
				return i
			}
			i++
		}
	}
	return len(s)
}

// lineEnd returns where a value of several words ends: at the end of the line
// or of the quotes that it stands in.
func lineEnd(s string, i int) int {
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n' || c == '\r' || c == 0:
			return i
		case c == '\\' && i+1 < len(s) && isQuote(s[i+1]) && endsQuoted(s, i+2):
			return i
		case isQuote(c) && i > 0 && s[i-1] == '=': // Digest username="x", response="y"
			i = min(closingQuote(s, i+1, c), len(s)-1)
		case isQuote(c) && endsQuoted(s, i+1):
			return i
		}
	}
	return len(s)
}

// wordEnd returns where an unquoted value ends. Where : , and ; stand in a
// value or after it is told by whether a further option follows them.
func wordEnd(s string, i int, bracketed bool) int {
	from := i
loop:
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case strings.HasPrefix(s[i:], Marker):
			i += len(Marker) - 1
		case c <= ' ' || c == 0x7f || c == '&' || c == '|':
			break loop
		case c == '\\' && i+1 < len(s) && s[i+1] > ' ' && isQuote(s[i+1]) && endsQuoted(s, i+2):
			break loop
		case c == '\\' && i+1 < len(s):
			i++
		case isQuote(c) && endsQuoted(s, i+1):
			break loop
		case c == ']' && bracketed:
			break loop
		case (c == ':' || c == ',' || c == ';') && assignmentAt(s, i+1):
			break loop
		}
	}
	i = min(i, len(s))
	for i > from && strings.IndexByte(":,;.)]}", s[i-1]) >= 0 && !strings.HasSuffix(s[from:i], Marker) {
		i--
	}
	return i
}

// assignmentAt reports whether s goes on with NAME= at i.
func assignmentAt(s string, i int) bool {
	start := i
	for i < len(s) && i-start <= maxName && isNameByte(s[i]) {
		i++
	}
	return i > start && i < len(s) && s[i] == '='
}

// inBrackets reports whether the word that goes on at i has opened a bracket,
// as in the options of ffmpeg's tee: [f=flv:key=VALUE]URL.
func inBrackets(s string, i int) bool {
	for stop := max(0, i-256); i > stop; i-- {
		switch s[i-1] {
		case '[':
			return true
		case ']', ' ', '\t', '\n', '|':
			return false
		}
	}
	return false
}

// bracketEnd returns where the list or object that begins at i ends; the end
// of s if it does not.
func bracketEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case isQuote(c):
			i = closingQuote(s, i+1, c)
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// endsQuoted reports whether a quote before i closes a quotation rather than
// being a character of what is quoted: by what follows it.
func endsQuoted(s string, i int) bool {
	return i >= len(s) || s[i] <= ' ' || strings.IndexByte(":,;.)]}|>\\", s[i]) >= 0 || isQuote(s[i])
}
