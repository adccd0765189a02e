package redact

import "strings"

// kind says what a name tells about its value.
type kind uint8

const (
	plain  kind = iota // nothing
	query              // a secret as a query parameter; elsewhere it means something else
	weak               // a secret where it is clearly a parameter: key=, "sig":, -pass
	strong             // a secret in whatever form it is written: password: x
	line               // a secret of several words: the rest of the line
)

// maxName is how many bytes of a name are looked at, from its end.
const maxName = 64

// exactNames are names as a whole, in lower case, with _ for - and the dot.
// ffmpeg's are from `ffmpeg -h full` (5.1 to 7.1), the others from services
// and cameras that use them. The plain ones are exceptions to the tables below.
var exactNames = map[string]kind{
	"cid":     query, // YouTube's HLS ingestion: the stream key
	"hash":    query,
	"hmac":    query,
	"md5":     query, // nginx secure_link
	"policy":  query, // CloudFront
	"session": query,
	"sid":     query,
	"sign":    query,
	"st":      query, // nginx secure_link
	"ticket":  query,

	"auth":        weak,
	"fname":       weak, // ffmpeg's RTMP: what it calls the play path
	"headers":     line, // ffmpeg: HTTP headers, Authorization among them
	"hls_enc_key": strong,
	"hls_enc_iv":  strong,
	"iv":          weak,
	"jwt":         strong,
	"loginpas":    strong, // cameras' CGI
	"pas":         weak,
	"pass":        weak,
	"psk":         strong,
	"psw":         strong,
	"pw":          weak,
	"rtmp_conn":   strong, // ffmpeg: AMF data for connect, often a login
	"sig":         weak,

	"auth_type":      plain, // ffmpeg: basic or digest
	"ssh_auth_sock":  plain,
	"xauthority":     plain,
	"ext_x_key":      plain, // HLS: its URI is a URL like any other
	"ext_x_mediakey": plain,
	"chromakey":      plain, // ffmpeg's filters
	"colorkey":       plain,
	"hsvkey":         plain,
	"lumakey":        plain,
	"iskey":          plain, // ffmpeg's showinfo
	"pubkey":         plain,
	"publickey":      plain,
	"public_key":     plain,
	"routing_key":    plain, // AMQP: a topic
}

// part is a piece of a name that makes it the name of a secret.
type part struct {
	text string
	kind kind
}

// innerParts may stand anywhere in the name; by their first letter.
var innerParts = map[byte][]part{
	'a': {
		{"authorization", line}, {"authorisation", line},
		{"activation_bytes", strong}, {"audible_", strong}, // ffmpeg: Audible's keys
	},
	'c': {{"cookie", line}, {"credential", strong}},
	'h': {{"hdnts", strong}, {"hdnea", strong}, {"hdntl", strong}}, // Akamai
	'p': {
		{"passw", strong}, {"passphr", strong}, {"pwd", strong},
		{"playpath", strong}, // ffmpeg: rtmp_playpath is the stream key
	},
	's': {
		{"secret", strong}, {"signature", strong}, {"sessid", strong}, {"session_id", strong}, {"sessionid", strong},
		{"streamid", weak}, {"stream_id", weak}, // SRT: the user, or a token
		{"srtp_in_params", strong}, {"srtp_out_params", strong}, // ffmpeg: SRTP's master keys
	},
	't': {{"token", strong}},
	'u': {{"userpass", strong}},
}

// lastParts are the end of the name.
var lastParts = [...]part{
	{"_key", strong}, {"apikey", strong}, {"streamkey", strong}, {"accesskey", strong}, {"authkey", strong},
	{"privatekey", strong}, {"secretkey", strong}, {"enckey", strong}, {"key", weak},
	{"_pass", strong}, {"_pw", strong}, {"_psk", strong}, {"_sig", strong}, {"_sign", strong}, {"_iv", weak},
}

// nameOf says what the name of an option, parameter, member, variable or
// header tells about its value.
func nameOf(name string) kind {
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	var room [maxName]byte
	b := room[:len(name)]
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c == '-' || c == '.':
			b[i] = '_'
		default:
			b[i] = c
		}
	}
	for len(b) > 0 && b[0] == '_' {
		b = b[1:]
	}
	if len(b) < 2 {
		return plain
	}
	if k, ok := exactNames[string(b)]; ok {
		return k
	}
	most := plain
	for i := range b {
		if !startsPart[b[i]] {
			continue
		}
		for _, p := range innerParts[b[i]] {
			if hasPrefix(b[i:], p.text) {
				most = max(most, p.kind)
			}
		}
		// auth, but not author, nor the failed authentication of a message
		if hasPrefix(b[i:], "auth") && !hasPrefix(b[i:], "author") && !hasPrefix(b[i:], "authentic") {
			most = max(most, weak)
		}
	}
	for _, p := range lastParts {
		if len(b) >= len(p.text) && hasPrefix(b[len(b)-len(p.text):], p.text) {
			most = max(most, p.kind)
		}
	}
	return most
}

// startsPart holds the first letters of innerParts.
var startsPart = func() (t [256]bool) {
	for c := range innerParts {
		t[c] = true
	}
	return t
}()

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// harmless reports whether the value cannot be a secret although the name says
// so: the same name has a second, ordinary meaning.
func harmless(name, value string) bool {
	switch {
	case value == "":
		return true
	case strings.TrimLeft(name, "-") == "pass":
		return value == "1" || value == "2" || value == "3" // ffmpeg: two-pass encoding
	case name == "PWD" || name == "OLDPWD":
		return value[0] == '/' // sh: the working directory
	case strings.HasSuffix(name, "streamid"):
		return isStreamID(value)
	}
	return false
}

// isStreamID reports whether value is that of ffmpeg's -streamid, INDEX:ID,
// which has nothing to do with SRT's.
func isStreamID(value string) bool {
	index, id, ok := strings.Cut(value, ":")
	return ok && allDigits(index) && (allDigits(id) || strings.HasPrefix(id, "0x") && len(id) <= 6)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
