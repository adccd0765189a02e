package streamfile

import (
	"os"
	"os/user"
)

// host is what a definition needs of the machine and of the keeper; immutable.
type host struct {
	ffmpeg   string
	describe func(argv []string, addProgress bool) CommandTraits
	redact   func(string) string
	// credential reads one; nil: none can be read here.
	credential func(name string) ([]byte, error)
	lookPath   func(string) (string, error) // nil: PATH of the stream
	base       []string                     // the clean environment, less FFKEEPER_STREAM
	home       string
}

// CommandTraits is what is known of a command line; service/ffmpeg.Prepare
// finds it out.
type CommandTraits struct {
	Argv         []string // with what Progress=auto adds
	StdinIsData  bool     // an input is standard input
	StdinPlain   bool     // and is opened by name, so that it cannot be a socket
	StdoutIsData bool     // an output is standard output
	ControlQ     bool     // it reads q from standard input
}

// defaultPath is systemd's DEFAULT_PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// newHost asks the machine once for what all streams share.
func newHost(l *Loader) *host {
	h := &host{ffmpeg: l.FFmpeg, describe: l.Describe, redact: l.Redact, lookPath: l.LookPath, credential: l.Credential}
	if h.ffmpeg == "" {
		h.ffmpeg = "ffmpeg"
	}
	if h.redact == nil {
		h.redact = func(s string) string { return s }
	}
	name := l.User
	u, err := user.Current()
	if name != "" {
		u, err = user.Lookup(name)
	}
	h.home = "/"
	if err == nil {
		name = u.Username
		if u.HomeDir != "" {
			h.home = u.HomeDir
		}
	}
	get := func(name, otherwise string) string {
		if v := os.Getenv(name); v != "" {
			return name + "=" + v
		}
		return name + "=" + otherwise
	}
	h.base = []string{get("PATH", defaultPath), get("LANG", "C.UTF-8"), "HOME=" + h.home, "USER=" + name}
	return h
}

// With answers a copy of d that resolves by l's settings. A Definition that
// came from a Loader is bound to it already; one made by New is bound to no
// loader: nothing is known of ffmpeg there, no argument is added, and auto is
// null and journal.
func (d *Definition) With(l *Loader) *Definition {
	bound := *d
	bound.host = newHost(l)
	return &bound
}

// on is the host d is bound to.
func (d *Definition) on() *host {
	if d.host != nil {
		return d.host
	}
	return newHost(&Loader{})
}
