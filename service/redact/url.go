package redact

import "strings"

// url looks at the colon at i for a URL that it ends the scheme of, and
// removes what is secret in its authority and, of the rtmp family, in its
// path. Query parameters are left to equals, which finds the scanner in the
// URL. It returns where to go on, and false if there is no URL.
//
// ffmpeg takes scheme://, scheme:/ and scheme: alike (av_url_split). In its
// filter graphs the colon is escaped, in JSON the slashes may be.
func (sc *scanner) url(i int) (next int, ok bool) {
	s := sc.s
	schemeEnd := i
	for schemeEnd > 0 && s[schemeEnd-1] == '\\' {
		schemeEnd--
	}
	if schemeEnd == 0 || !isSchemeByte(s[schemeEnd-1]) {
		return 0, false
	}
	at, slashes := i+1, 0
	for slashes < 2 {
		j := at
		for j < len(s) && s[j] == '\\' {
			j++
		}
		if j == len(s) || s[j] != '/' {
			break
		}
		at, slashes = j+1, slashes+1
	}
	if slashes == 0 && (at == len(s) || s[at] <= ' ') {
		return 0, false
	}
	start := schemeEnd
	for start > 0 && schemeEnd-start < 32 && isSchemeByte(s[start-1]) {
		start--
	}
	scheme := s[start:schemeEnd]
	if plus := strings.LastIndexByte(scheme, '+'); plus >= 0 {
		scheme = scheme[plus+1:] // crypto+http
	}
	if slashes < 2 && !isNetScheme(scheme) {
		return 0, false
	}
	if at > sc.urlEnd {
		filter := schemeEnd < i
		sc.urlEnd = urlEnd(s, at, sc.whole, filter)
		sc.lastAt = at + strings.LastIndexByte(s[at:sc.urlEnd], '@')
		if sc.lastAt < at {
			sc.lastAt = -1
		}
	}
	authorityEnd := sc.urlEnd
	if j := strings.IndexAny(s[at:authorityEnd], "/?#"); j >= 0 {
		authorityEnd = at + j
	}
	hostStart, hostEnd := sc.authority(at, authorityEnd)
	if hostEnd > authorityEnd { // what looked like the path was the password
		authorityEnd = hostEnd
	}
	if isRTMP(scheme) && hostStart <= authorityEnd {
		sc.playPath(authorityEnd)
		return max(sc.urlEnd, authorityEnd), true
	}
	if authorityEnd < len(s) && authorityEnd-1 > i && s[authorityEnd-1] == ':' {
		authorityEnd-- // of a URL within: cache://http://user:pass@host
	}
	return authorityEnd, true
}

// authority removes the user part of the authority in [at, end). It returns
// where the host begins and ends; both after the given end where the user part
// had characters that do not belong there unencoded.
func (sc *scanner) authority(at, end int) (hostStart, hostEnd int) {
	s := sc.s
	if user := strings.LastIndexByte(s[at:end], '@'); user >= 0 {
		user += at
		if sc.lastAt > end && !isHostLike(s[user+1:end]) && isHostLike(s[sc.lastAt+1:sc.urlEnd]) {
			user = sc.lastAt // pa@ss/word@host
		}
		sc.add(at, user)
		return user + 1, sc.hostEnd(user + 1)
	}
	host, port, hasPort := strings.Cut(s[at:end], ":")
	port = strings.TrimRight(port, `\`) // of the slash that follows, in JSON
	if !hasPort || port == "" || strings.HasPrefix(host, "[") || isIPv6(s[at:end]) {
		return at, end
	}
	if allDigits(port) && len(port) <= 5 {
		// Also the beginning of a user part, admin:12/34@camera.lan; and
		// where a message was cut, all that is left of it.
		if sc.lastAt > end && !isHostLike(host) && isHostLike(s[sc.lastAt+1:sc.urlEnd]) {
			sc.add(at, sc.lastAt)
			return sc.lastAt + 1, sc.hostEnd(sc.lastAt + 1)
		}
		if end == len(s) && len(s) >= cutLength && !isHostLike(host) {
			sc.add(at, end)
		}
		return at, end
	}
	// That is no port. The @ may come later: after a slash in the password, or
	// after a blank. Or it was cut off.
	user := sc.lastAt
	if user < end {
		user = -1
		if rest := s[sc.urlEnd:min(len(s), sc.urlEnd+maxBlanks)]; !strings.Contains(rest, "://") {
			eol := len(rest)
			if j := strings.IndexAny(rest, "\r\n"); j >= 0 {
				eol = j
			}
			if j := strings.LastIndexByte(rest[:eol], '@'); j >= 0 {
				user = sc.urlEnd + j
				sc.urlEnd = max(sc.urlEnd, urlEnd(s, user+1, sc.whole, false))
				sc.lastAt = user
			}
		}
	}
	if user < 0 {
		sc.add(at, sc.urlEnd)
		return sc.urlEnd, sc.urlEnd
	}
	sc.add(at, user)
	return user + 1, sc.hostEnd(user + 1)
}

// maxBlanks is how far from the first blank in a user part its end is looked for.
const maxBlanks = 512

// cutLength is how long a text must be to have been cut: ffmpeg's own buffers
// hold 1,024 bytes.
const cutLength = 1000

// hostEnd returns where the authority whose host begins at i ends.
func (sc *scanner) hostEnd(i int) int {
	if i >= sc.urlEnd {
		return i
	}
	if j := strings.IndexAny(sc.s[i:sc.urlEnd], "/?#"); j >= 0 {
		return i + j
	}
	return sc.urlEnd
}

// playPath removes what follows the application in the RTMP URL whose
// authority ends at i.
func (sc *scanner) playPath(i int) {
	s, end := sc.s, sc.urlEnd
	if i >= end {
		return
	}
	if s[i] == '/' {
		i++
		j := strings.IndexAny(s[i:end], "/?#")
		if j < 0 {
			return
		}
		i += j
	}
	sc.add(i+1, end)
}

// urlEnd returns where the URL ends whose authority begins at i. A pipe ends
// it, for ffmpeg's tee and concat. A quote does where it closes a quotation;
// within a filter graph the characters that are special there do.
func urlEnd(s string, i int, whole, filter bool) int {
	from := i
loop:
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f:
			if !whole || c == '\n' || c == '\r' {
				break loop
			}
		case c == '\\' && i+1 < len(s) && isQuote(s[i+1]) && endsQuoted(s, i+2):
			break loop
		case c == '\\' && i+1 < len(s) && s[i+1] > ' ':
			for i+1 < len(s) && s[i] == '\\' { // each level of a filter graph doubles them
				i++
			}
		case c == '|':
			break loop
		case isQuote(c) && endsQuoted(s, i+1):
			break loop
		case filter && (c == '[' || c == ',' || c == ';' || c == ':'):
			break loop
		}
	}
	i = min(i, len(s))
	if whole && i == len(s) {
		return i
	}
	for i > from && strings.IndexByte(":,;.)]}", s[i-1]) >= 0 && !strings.HasSuffix(s[from:i], Marker) {
		i-- // punctuation of the sentence that the URL stands in
	}
	return i
}

func isSchemeByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '+' || c == '.' || c == '-'
}

// isRTMP reports whether scheme is one of the rtmp family, ffmpeg's internal
// ones (ffrtmphttp, ffrtmpcrypt) included.
func isRTMP(scheme string) bool {
	if len(scheme) > 2 && strings.EqualFold(scheme[:2], "ff") {
		scheme = scheme[2:]
	}
	return len(scheme) >= 4 && strings.EqualFold(scheme[:4], "rtmp")
}

// isNetScheme reports whether what follows "scheme:" is a URL even without a
// slash.
func isNetScheme(scheme string) bool {
	if len(scheme) < 3 || len(scheme) > 11 {
		return false
	}
	switch scheme[0] | 0x20 {
	case 'f', 'h', 'i', 'm', 'r', 's', 't':
	default:
		return false
	}
	for _, known := range [...]string{"http", "https", "rtsp", "rtsps", "srt", "ftp", "sftp", "icecast", "mmsh", "mmst", "rist", "tls"} {
		if strings.EqualFold(scheme, known) {
			return true
		}
	}
	return isRTMP(scheme)
}

// isHostLike reports whether s begins like a host that a person would write in
// a URL, rather than like a user name or the rest of a password: by a dot, by
// a bracket or by being localhost.
func isHostLike(s string) bool {
	if i := strings.IndexAny(s, "/?#:"); i >= 0 && s[0] != '[' {
		s = s[:i]
	}
	return s == "" || s[0] == '[' || s == "localhost" || strings.IndexByte(s, '.') > 0
}

// isIPv6 reports whether s is an IPv6 address without its brackets.
func isIPv6(s string) bool {
	colons := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':':
			colons++
		case !isHex(c):
			return false
		}
	}
	return colons >= 2
}
