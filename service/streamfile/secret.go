package streamfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Secret is a value that is for one process and for nobody to see: printed, as
// JSON or as text, it is [redacted].
type Secret struct{ value string }

// Reveal is the value.
func (s Secret) Reveal() string { return s.value }

const hidden = "[redacted]"

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MaxCredential is the largest credential, in bytes: what a pipe takes of it
// at once in the worst case (pipe(7), /proc/sys/fs/pipe-user-pages-soft).
const MaxCredential = 8 << 10

// ErrUnsure is in an error of Loader.Credential where there may be such a
// credential all the same, for who asks cannot see all that the keeper does.
// While files are read that is a warning.
var ErrUnsure = errors.New("unsure")

// firstFile is the descriptor that the first of Launch.Files becomes.
const firstFile = 4

// maxFiles is how many Launch.Files there may be; the shim passes 200.
const maxFiles = 100

// checkCredential judges the name of a credential: a file name that means
// nothing else anywhere.
func checkCredential(name string) *problem {
	strange := strings.IndexFunc(name, func(r rune) bool {
		return r > utf8.RuneSelf || !validVariable("_"+string(r)) && !strings.ContainsRune("-.@", r)
	})
	if name == "" || len(name) > maxName || strange >= 0 || name[0] == '.' {
		return wrong("a name has letters, digits and - _ . @ and does not begin with a dot", "%s cannot be the name of a credential", quoted(name))
	}
	return nil
}

// unread stands for the value of a credential that need not be read, or cannot
// be by us, while files are read.
const unread = "unread"

// credential reads a credential, once a start.
func (e *environ) credential(d *Definition, name string) (string, *problem) {
	if err := checkCredential(name); err != nil {
		return "", err
	}
	if value, ok := e.credentials[name]; ok {
		return value, nil
	}
	read := d.on().credential
	value, err := []byte(unread), error(nil)
	switch {
	case e.trial && (d.abstract || read == nil):
	case read == nil:
		err = errors.New("this keeper is given none")
	default:
		value, err = read(name)
	}
	failed := wrong("", "cannot read the credential %s, as %v", name, err)
	failed.err = err
	switch {
	case err != nil && e.trial && errors.Is(err, ErrUnsure):
		e.doubts = append(e.doubts, failed)
		value = []byte(unread)
	case err != nil:
		return "", failed
	case len(value) > MaxCredential:
		return "", wrong("", "the credential %s is larger than %d bytes", name, MaxCredential)
	}
	if e.credentials == nil {
		e.credentials = make(map[string]string)
	}
	e.credentials[name] = string(value)
	return string(value), nil
}

// doubt hands what has been doubted since to note.
func (e *environ) doubt(note func(*problem)) {
	for _, p := range e.doubts {
		note(p)
	}
	e.doubts = nil
}

// line is a credential that is to be one line of text: files of one line end
// with a newline, which is not part of it.
func (e *environ) line(d *Definition, name string) (string, *problem) {
	value, err := e.credential(d, name)
	if err != nil {
		return "", err
	}
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	switch {
	case value == "":
		return "", wrong("", "the credential %s is empty", name)
	case holdsNewline(value):
		return "", wrong("hand it over by ${CREDENTIAL_FD:"+name+"}", "the credential %s has several lines or a NUL byte, which cannot be passed on here", name)
	}
	return value, nil
}

// Names of what is handed over as a file, and of where a credential stands.
const (
	presetPrefix     = "PRESET_"
	credentialPrefix = "CREDENTIAL:"
	filePrefix       = "CREDENTIAL_FD:"
)

// handout is what one command is given beside its words.
type handout struct {
	d     *Definition
	env   *environ
	files []Secret
	// of presets, which stand elsewhere
	errs, notes []*Error
}

// special expands ${PRESET_NAME} and ${CREDENTIAL_FD:NAME}; ok: it is one of
// these, or may not stand in a command at all.
func (h *handout) special(name string) (text string, ok bool, err *problem) {
	if credential, ok := strings.CutPrefix(name, filePrefix); ok {
		value, err := "", (*problem)(nil)
		if credential, err = h.d.expandOwn(credential); err == nil {
			value, err = h.env.credential(h.d, credential)
		}
		if err != nil {
			return "", true, err
		}
		n, err := h.file(value)
		return fmt.Sprint(n), true, err
	}
	if strings.HasPrefix(name, credentialPrefix) {
		return "", true, wrong("write ${CREDENTIAL_FD:...}, OutputPreset= or EnvironmentCredential=",
			"a credential cannot stand in a command line, which others can read")
	}
	if h.env.isSecret(name) {
		return "", true, wrong("the command finds it in its environment",
			"%s holds a credential, which cannot stand in a command line, which others can read", name)
	}
	if preset, ok := strings.CutPrefix(name, presetPrefix); ok && h.d.hasPreset(preset) {
		text, errs, notes := h.env.preset(h.d, preset)
		h.errs, h.notes = append(h.errs, errs...), append(h.notes, notes...)
		h.env.used[preset] = true
		n, err := h.file(text)
		return fmt.Sprintf("/dev/fd/%d", n), true, err
	}
	return "", false, nil
}

// file answers the descriptor under which the command will find content. Each
// is read once, so what is named twice is handed over twice.
func (h *handout) file(content string) (int, *problem) {
	if len(h.files) == maxFiles {
		return 0, wrong("", "there are more than %d presets and credentials in one command", maxFiles)
	}
	h.files = append(h.files, Secret{content})
	return firstFile - 1 + len(h.files), nil
}

// ReadCredentials reads every credential that d names, so that who hands them
// out knows what must not be shown of a process that runs already. What is
// wrong with them is for the next start to say.
func (d *Definition) ReadCredentials() {
	env := &environ{}
	for _, name := range d.credentials() {
		env.credential(d, name)
	}
}

// credentials are the names of all credentials in d.
func (d *Definition) credentials() []string {
	var names []string
	add := func(name string) {
		if name, err := d.expandOwn(name); err == nil {
			names = append(names, name)
		}
	}
	for _, c := range d.EnvironmentCredentials {
		add(c.Credential)
	}
	scan := func(text string) {
		for _, prefix := range []string{credentialPrefix, filePrefix} {
			for _, rest := range strings.Split(text, "${"+prefix)[1:] {
				if end := closing(rest); end >= 0 {
					add(rest[:end])
				}
			}
		}
	}
	for _, o := range d.OutputPresets {
		scan(o.Value)
	}
	for _, c := range []Command{d.ExecStart, d.CommandBuilder} {
		if !c.Literal {
			scan(strings.Join(c.Words, "\n"))
		}
	}
	for _, h := range append(d.OnRestart[:len(d.OnRestart):len(d.OnRestart)], d.OnFailure...) {
		if !h.Command.Literal {
			scan(strings.Join(h.Command.Words, "\n"))
		}
	}
	return names
}

// closing is where the brace ends that was opened right before s, over those
// opened in it; -1: nowhere.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch {
		case s[i] == '}' && depth == 0:
			return i
		case s[i] == '}':
			depth--
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			depth++
		}
	}
	return -1
}

// holdsNewline is what no line of a preset can hold.
func holdsNewline(s string) bool { return strings.ContainsAny(s, "\n\r\x00") }
