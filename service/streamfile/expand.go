package streamfile

import (
	"fmt"
	"strings"
)

// ownVariables are those that ffkeeper itself gives to commands; they are not
// part of the environment.
var ownVariables = []string{"NAME", "PREFIX", "INSTANCE", "START"}

// startFormat is ${START}: UTC, sorts by time, fits in any file name.
const startFormat = "20060102T150405Z"

// expander replaces variables in the words of a command as systemd does
// (replace_env_argv, env-util.c of 252): ${NAME} anywhere, as part of one word;
// $NAME only as a word of its own, split into words; $$ is a dollar; any other
// dollar stays. What systemd replaces by nothing is an error.
type expander struct {
	get   func(name string) (string, bool)
	names func() []string // all there are, for the nearest
	left  int             // bytes that the results may still have
	warn  func(*problem)  // nil: nobody wants to know
	// remedy is the hint for a variable that there is not and that resembles
	// none.
	remedy string
	// special expands what is no variable; ok: it has, or err says why not.
	// nil: there is no such thing here.
	special func(name string) (text string, ok bool, err *problem)
	// vague: variables may be missing that will be there later.
	vague bool
}

// word answers the words that w becomes: one, or any number for $NAME.
func (x *expander) word(w string) ([]string, *problem) {
	if len(w) == 0 || w[0] != '$' || strings.HasPrefix(w, "${") || strings.HasPrefix(w, "$$") {
		s, err := x.text(w)
		return []string{s}, err
	}
	name := w[1:]
	if !validVariable(name) {
		// What is no variable may be a password that begins with a dollar.
		if name := leadingName(name); x.has(name) {
			return nil, wrong(fmt.Sprintf("write ${%s}", name), "$%s is followed by something, and only counts as a word of its own", name)
		}
		return nil, wrong("write $$ for a dollar, or ${NAME} for a variable inside a word",
			"a word begins with a dollar and is no variable")
	}
	value, err := x.lookup(name)
	if err != nil {
		return nil, err
	}
	words := splitValue(value)
	return words, x.spend(len(value))
}

// text replaces ${NAME} and $$.
func (x *expander) text(s string) (string, *problem) {
	if strings.IndexByte(s, '$') < 0 {
		return s, x.spend(len(s))
	}
	var out strings.Builder
	for at := 0; at < len(s); {
		dollar := strings.IndexByte(s[at:], '$')
		if dollar < 0 {
			out.WriteString(s[at:])
			break
		}
		out.WriteString(s[at : at+dollar])
		at += dollar
		switch rest := s[at+1:]; {
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			at += 2
		case strings.HasPrefix(rest, "{"):
			end := 1 + closing(rest[1:])
			if end == 0 {
				return "", wrong("close it, or write $${ for the text", "a ${ is not closed").in(at)
			}
			value, err := x.lookup(rest[1:end])
			if err == nil {
				err = x.spend(len(value))
			}
			if err != nil {
				return "", err.in(at)
			}
			out.WriteString(value)
			at += 1 + end + 1
		default:
			x.suspect(rest, at)
			out.WriteByte('$')
			at++
		}
	}
	return out.String(), x.spend(len(s))
}

// suspect warns of a $NAME inside a word, which systemd keeps, where there is
// such a variable.
func (x *expander) suspect(rest string, at int) {
	if x.warn == nil {
		return
	}
	name := leadingName(rest)
	if x.has(name) {
		x.warn(wrong(fmt.Sprintf("write ${%s}, or $$%[1]s for the text", name), "$%s inside a word stays as it is", name).in(at))
	}
}

// leadingName is the longest name of a variable that s begins with.
func leadingName(s string) string {
	n := 0
	for n < len(s) && validVariable(s[:n+1]) {
		n++
	}
	return s[:n]
}

func (x *expander) has(name string) bool {
	_, ok := x.get(name)
	return ok
}

func (x *expander) lookup(name string) (string, *problem) {
	if x.special != nil {
		if text, ok, err := x.special(name); ok {
			return text, err
		}
	}
	if value, ok := x.get(name); ok {
		return value, nil
	}
	if !validVariable(name) {
		base, _, _ := strings.Cut(name, ":")
		if base+":" == credentialPrefix || base+":" == filePrefix {
			return "", wrong("", "a credential cannot stand here")
		}
		if validVariable(base) {
			return "", wrong(fmt.Sprintf("write ${%s} and give the default by Environment=, which EnvironmentFile= overrides", base),
				"${%s:...} with something after the name is the shell's", base)
		}
		return "", wrong("write $${ for the text ${", "what stands in ${...} is no name of a variable")
	}
	if x.vague {
		return "", nil
	}
	hint := x.remedy
	if near := nearest(name, x.names()); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	if name == "INSTANCE" {
		hint = "the stream is no instance of a template"
	}
	return "", wrong(hint, "there is no variable %s", name)
}

// spend takes n bytes of what may be used.
func (x *expander) spend(n int) *problem {
	if x.left -= n; x.left < 0 {
		return wrong("", "the command becomes longer than %d bytes", maxCommand)
	}
	return nil
}
