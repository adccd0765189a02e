package redact

import (
	"path/filepath"
	"strings"
)

// Args returns a copy of a command line to be shown: the values of options
// that hold secrets are replaced as a whole, URLs and scripts as String does.
func (r *Redactor) Args(argv []string) []string {
	shown := make([]string, len(argv))
	for i, arg := range argv {
		switch role := roleOf(argv, i); role {
		case argSecret:
			shown[i] = Marker
		case argURL:
			shown[i] = r.redact(arg, true)
		case argPlayPath:
			shown[i] = r.redact(arg, true)
			if _, key, ok := cutPlayPath(shown[i]); ok && key != Marker {
				shown[i] = strings.TrimSuffix(shown[i], key) + Marker
			}
		case argAssignment:
			name, _, _ := strings.Cut(arg, "=")
			shown[i] = name + "=" + Marker
		default:
			shown[i] = r.redact(arg, false)
		}
	}
	return shown
}

// Env returns a copy of an environment, NAME=value each, to be shown: the
// value goes where the name tells of a secret, else what is secret in it.
func (r *Redactor) Env(kv []string) []string {
	shown := make([]string, len(kv))
	for i, e := range kv {
		if name, value, ok := strings.Cut(e, "="); ok {
			shown[i] = name + "=" + r.Value(name, value)
		} else {
			shown[i] = r.redact(e, true)
		}
	}
	return shown
}

// argRole is what an argument is, as far as secrets go.
type argRole int

const (
	argText       argRole = iota
	argURL                // one URL, or several of tee or concat
	argPlayPath           // an RTMP URL whose only path element is the stream key
	argSecret             // the value of an option
	argAssignment         // name=SECRET
)

// roleOf tells what argv[i] is, from what stands before it.
func roleOf(argv []string, i int) argRole {
	arg := argv[i]
	if i > 1 && arg != "" { // argv[0] is the program
		if isSecretOption(argv[0], argv[i-1]) && !harmless(optionName(argv[i-1]), arg) {
			return argSecret
		}
	}
	if isURLArg(arg) {
		if _, key, ok := cutPlayPath(arg); ok && key != "" && hasOption(argv, "-rtmp_app") {
			return argPlayPath
		}
		return argURL
	}
	if isScript(argv, i) {
		return argText
	}
	if name, value, ok := strings.Cut(arg, "="); ok && nameStart(name, len(name)) == 0 && nameOf(name) >= weak && !harmless(name, value) {
		return argAssignment
	}
	return argText
}

// isScript reports whether argv[i] is the script of a shell, sh -c SCRIPT.
func isScript(argv []string, i int) bool {
	if i < 2 || !strings.HasPrefix(argv[i-1], "-") || !strings.HasSuffix(argv[i-1], "c") {
		return false
	}
	switch filepath.Base(argv[i-2]) {
	case "sh", "bash", "dash", "ash", "ksh", "zsh":
		return true
	}
	return false
}

// optionName returns the name of an option without its dashes and its stream
// specifier; "" if arg is none.
func optionName(arg string) string {
	name := strings.TrimLeft(arg, "-")
	if len(name) == len(arg) || name == "" || strings.ContainsAny(name, "= /") {
		return ""
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// isSecretOption reports whether the argument after option is a secret.
func isSecretOption(program, option string) bool {
	name := optionName(option)
	if name == "" {
		return false
	}
	if name == "user" || name == "proxy-user" || nameOf(name) >= weak {
		return true
	}
	if name == "u" || name == "U" {
		base := filepath.Base(program)
		return base == "curl" // -u, --user USER:PASSWORD; -U for the proxy
	}
	return false
}

// isURLArg reports whether all of arg is a URL, or several as tee and concat
// take them, so that a blank in it does not end one.
func isURLArg(arg string) bool {
	for strings.HasPrefix(arg, "[") { // options of tee
		end := strings.IndexByte(arg, ']')
		if end < 0 {
			return false
		}
		arg = arg[end+1:]
	}
	return startsURL(arg)
}

// startsURL reports whether s begins with a URL, also one within another
// protocol, async:cache:http://.
func startsURL(s string) bool {
	i := 0
	for i < len(s) && (isSchemeByte(s[i]) || s[i] == ':') {
		i++
	}
	if i > 1 && s[i-1] == ':' && i < len(s) && s[i] == '/' {
		return true
	}
	scheme, _, ok := strings.Cut(s[:i], ":")
	return ok && isNetScheme(scheme)
}

// cutPlayPath splits an RTMP URL of the form rtmp://host/KEY. With -rtmp_app
// given, that is what ffmpeg takes the path for; else it is the application.
func cutPlayPath(arg string) (before, key string, ok bool) {
	scheme, rest, found := strings.Cut(arg, "://")
	if !found || !isRTMP(scheme) {
		return "", "", false
	}
	_, key, found = strings.Cut(rest, "/")
	if !found || strings.ContainsAny(key, "/|") {
		return "", "", false
	}
	return strings.TrimSuffix(arg, key), key, true
}

func hasOption(argv []string, option string) bool {
	for _, arg := range argv {
		if arg == option {
			return true
		}
	}
	return false
}
