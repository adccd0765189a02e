package redact

import "strings"

// triggers are the characters at which a secret can be recognised; a text
// without one of them is passed over at one table look-up a byte.
var triggers = [256]bool{':': true, '=': true, '-': true, '[': true, '\'': true}

// scanner walks once over a text. Every part of the text is looked at a
// bounded number of times, so that its time is linear whatever the text is.
type scanner struct {
	s     string
	whole bool // s is one argument: blanks do not end a URL
	found []span

	// The URL that the scanner is in or was in last: a URL inside another
	// ends where that one does.
	urlEnd int
	lastAt int // the last @ before urlEnd, or -1

	again int  // how many values have been looked through once more
	rtmp  bool // a message of the RTMP code has been looked at
}

// scan appends the parts of s that are secret by their form, and reports
// whether some of s is percent-encoded or quoted, and so may hold more.
func scan(s string, whole bool, found []span) (_ []span, encoded bool) {
	sc := scanner{s: s, whole: whole, found: found, urlEnd: -1}
	for i := 0; i < len(s); {
		c := s[i]
		if !triggers[c] {
			i++
			continue
		}
		switch c {
		case ':':
			i = sc.colon(i)
		case '=':
			i = sc.equals(i)
		case '-':
			i = sc.option(i)
		case '[':
			i = sc.component(i)
		case '\'':
			i = sc.quoted(i)
		default:
			i++
		}
	}
	return sc.found, strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '\\') >= 0 || strings.Contains(s, shellQuote[1])
}

func (sc *scanner) add(from, to int) {
	if from < to {
		sc.found = append(sc.found, span{from, to})
	}
}

// colon looks at the colon at i: of a URL, of a header, of a JSON member. It
// returns where to go on.
func (sc *scanner) colon(i int) int {
	if next, ok := sc.url(i); ok {
		return next
	}
	if i < sc.urlEnd {
		return i + 1
	}
	name, quote := sc.nameBefore(i)
	k := nameOf(name)
	if k < weak || k == weak && quote == 0 {
		return i + 1
	}
	if quote == 0 && name == "headers" {
		return i + 1 // ffmpeg's last line: "global headers:0kB"
	}
	from := i + 1
	for from < len(sc.s) && isBlank(sc.s[from]) {
		from++
	}
	if quote != 0 && from < len(sc.s) && (sc.s[from] == '[' || sc.s[from] == '{') {
		to := bracketEnd(sc.s, from)
		sc.add(from, to)
		return to
	}
	return sc.value(name, k, from)
}

// equals looks at the equals sign at i, of a query parameter, an option or an
// assignment. It returns where to go on.
func (sc *scanner) equals(i int) int {
	name, _ := sc.nameBefore(i)
	k := nameOf(name)
	if k == plain {
		return i + 1
	}
	from := i + 1
	if i < sc.urlEnd {
		// ffmpeg ends a parameter at & and nowhere else
		to := sc.urlEnd
		if amp := strings.IndexByte(sc.s[from:to], '&'); amp >= 0 {
			to = from + amp
		}
		sc.add(from, to)
		return to
	}
	if k == query && !sc.afterQueryMark(i-len(name)) {
		return from
	}
	if from < len(sc.s) && sc.s[from] == ' ' {
		from++ // "fname = KEY"
	}
	return sc.value(name, k, from)
}

// afterQueryMark reports whether the name at i is that of a query parameter,
// as in the request line of an HTTP message.
func (sc *scanner) afterQueryMark(i int) bool {
	return i > 0 && (sc.s[i-1] == '?' || sc.s[i-1] == '&')
}

// option looks at the dash at i: -passphrase VALUE, as in a command line or in
// one of the ways to print a list of arguments. It returns where to go on.
func (sc *scanner) option(i int) int {
	s := sc.s
	if i > 0 && s[i-1] > ' ' && !isQuote(s[i-1]) && s[i-1] != '[' && s[i-1] != ',' || i < sc.urlEnd {
		return i + 1
	}
	from := i
	for i < len(s) && s[i] == '-' {
		i++
	}
	name := i
	for i < len(s) && isNameByte(s[i]) {
		i++
	}
	k := nameOf(s[name:i])
	if k < weak {
		return max(i, from+1)
	}
	end := i
	if i < len(s) && s[i] == ':' { // a stream specifier: -key:v
		for i++; i < len(s) && isNameByte(s[i]); i++ {
		}
	}
	if i < len(s) && isQuote(s[i]) {
		i++
	}
	if i < len(s) && s[i] == ',' {
		i++
	}
	value := i
	for value < len(s) && isBlank(s[value]) {
		value++
	}
	if value == i || value == len(s) || strings.HasPrefix(s[value:], "... matched as ") { // "Reading option '-key' ... matched"
		return end
	}
	if k == line && !isQuote(s[value]) {
		k = strong
	}
	return sc.value(s[name:end], k, value)
}

// quoted looks at the single quote at i, for what ffmpeg says at -loglevel
// debug: option 'key' with argument 'VALUE'; Setting 'key' to value 'VALUE'.
// The value goes as far as the last quote, for it may hold some. It returns
// where to go on.
func (sc *scanner) quoted(i int) int {
	rest := sc.s[i:]
	for _, phrase := range [...]string{"' with argument '", "' to value '"} {
		if !strings.HasPrefix(rest, phrase) {
			continue
		}
		from := i + len(phrase)
		name := sc.s[nameStart(sc.s, i):i]
		if nameOf(name) < weak {
			return from
		}
		to := strings.LastIndexByte(sc.s, '\'')
		if to < from {
			to = len(sc.s)
		}
		if !harmless(name, sc.s[from:to]) {
			sc.add(from, to)
		}
		return to
	}
	return i + 1
}

// component looks at the bracket at i, which may begin a message of one of
// ffmpeg's components, for those that print a bare stream key or the value of
// an option. It returns where to go on.
func (sc *scanner) component(i int) int {
	s := sc.s
	if i == 0 {
		sc.refusedOption()
	}
	if strings.HasSuffix(s[:i], "streamid ") { // accept streamid [KEY], length 3
		if end := strings.LastIndexByte(s, ']'); end > i {
			sc.add(i+1, end)
			return end
		}
		sc.add(i+1, len(s))
		return len(s)
	}
	if sc.rtmp || !strings.HasPrefix(s[i:], "[rtmp") {
		return i + 1
	}
	sc.rtmp = true
	for _, m := range rtmpMessages {
		at := strings.Index(s[i:], m.before)
		if at < 0 {
			continue
		}
		from := i + at + len(m.before)
		to := len(s)
		if m.after != "" {
			if end := strings.LastIndex(s[from:], m.after); end >= 0 {
				to = from + end
			}
		}
		sc.add(from, to)
	}
	return i + 1
}

// refusedOption looks for ffmpeg's message about an option that a component
// has refused: Error setting option key to value VALUE.
func (sc *scanner) refusedOption() {
	const before, between = "Error setting option ", " to value "
	at := strings.Index(sc.s, before)
	if at < 0 {
		return
	}
	name, value, found := strings.Cut(sc.s[at+len(before):], between)
	if found && nameOf(name) >= weak && !harmless(name, value) {
		sc.add(len(sc.s)-len(value), len(sc.s))
	}
}

// rtmpMessages are what stands before and after a stream key in the messages
// of ffmpeg's libavformat/rtmpproto.c (5.1 to 7.1).
var rtmpMessages = [...]struct{ before, after string }{
	{"command for '", "'"},
	{"Unexpected stream ", ", expecting "},
	{", expecting ", ""},
	{"fname = ", ""},
	{", path = ", ", app = "},
}

// nameBefore returns the name that ends at i, and the quote it stands in or 0.
func (sc *scanner) nameBefore(i int) (name string, quote byte) {
	s := sc.s
	if i > 0 && s[i-1] == ' ' && i < len(s) && s[i] == '=' {
		i-- // "fname = KEY"
	}
	if i > 0 && isQuote(s[i-1]) {
		i--
		quote = s[i]
		if i > 0 && s[i-1] == '\\' {
			i--
		}
	}
	return s[nameStart(s, i):i], quote
}

// nameStart returns where the name that ends at end begins.
func nameStart(s string, end int) int {
	i := end
	for i > 0 && end-i <= maxName && isNameByte(s[i-1]) {
		i--
	}
	return i
}

func isNameByte(c byte) bool { return nameBytes[c] }

var nameBytes = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '-' || c == '.'
	}
	return t
}()

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }
