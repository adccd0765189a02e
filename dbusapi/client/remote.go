package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busaddress"
)

// Remote is a host whose bus is reached through ssh and systemd-stdio-bridge,
// as systemctl --host does. Descriptors do not pass: OpenStdin and OpenStdout
// fail.
type Remote struct {
	// Host is [USER@]HOST[:PORT], the host as ssh_config(5) may know it; an
	// IPv6 address with a port is in brackets.
	Host string
	// Batch lets ssh ask for nothing, and gives up on a host that does not
	// answer within remoteConnect. Without it a person has remoteAuth to type
	// a password.
	Batch bool
}

const (
	remoteConnect = 8 * time.Second
	remoteAuth    = 2 * time.Minute
)

// DialRemote is Dial for another host; bus is "system", "session" or an
// address there. ctx bounds the dialling, not the client's life.
func DialRemote(ctx context.Context, r Remote, bus string) (*Client, error) {
	if _, err := r.arguments(bus); err != nil {
		return nil, err
	}
	timeout := remoteAuth
	if r.Batch {
		timeout = remoteConnect + time.Second // ssh's own word is the better one
	}
	c := &Client{bus: bus, remote: &r, dialTimeout: timeout, dialling: ctx}
	_, err := c.connection()
	c.dialling = nil
	if err != nil {
		return nil, err
	}
	return c, nil
}

// arguments are ssh's.
func (r *Remote) arguments(bus string) ([]string, error) {
	host, port := r.Host, ""
	if rest, ok := strings.CutPrefix(host[strings.LastIndexByte(host, '@')+1:], "["); ok {
		address, after, closed := strings.Cut(rest, "]")
		if !closed || after != "" && after[0] != ':' {
			return nil, fmt.Errorf("%q is no host", r.Host)
		}
		host, port = host[:len(host)-len(rest)-1]+address, strings.TrimPrefix(after, ":")
	} else if strings.Count(host, ":") == 1 {
		host, port, _ = strings.Cut(host, ":")
	}
	// What begins with a dash is an option to some ssh; the rest is ssh's to judge.
	if name := host[strings.LastIndexByte(host, '@')+1:]; name == "" || strings.HasPrefix(host, "-") || strings.HasPrefix(name, "-") ||
		strings.HasPrefix(host, "@") || strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '/' }) ||
		strings.ContainsFunc(port, func(c rune) bool { return c < '0' || c > '9' }) {
		return nil, fmt.Errorf("%q is no host", r.Host)
	}
	args := []string{"-xT"}
	if r.Batch {
		args = append(args, "-o", "BatchMode=yes", "-o", fmt.Sprintf("ConnectTimeout=%d", int(remoteConnect.Seconds())))
	}
	if port != "" {
		args = append(args, "-p", port)
	}
	args = append(args, "--", host, "systemd-stdio-bridge")
	switch bus {
	case busaddress.System:
	case busaddress.Session:
		args = append(args, "--user")
	case busaddress.Private:
		return nil, errors.New("the private bus of another host cannot be found")
	default:
		// A shell reads it there.
		args = append(args, "--bus-path='"+strings.ReplaceAll(bus, "'", `'\''`)+"'")
	}
	return args, nil
}

// tunnel is a running ssh; what is written to it a bus reads.
type tunnel struct {
	io.Reader
	io.WriteCloser
	cmd    *exec.Cmd
	stderr tail
	ended  chan struct{}
}

// open starts ssh. $SYSTEMD_SSH is another program than ssh, as for systemctl.
func (r *Remote) open(bus string) (*tunnel, error) {
	args, err := r.arguments(bus)
	if err != nil {
		return nil, err
	}
	program := os.Getenv("SYSTEMD_SSH")
	if program == "" {
		program = "ssh"
	}
	t := &tunnel{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	t.cmd.Stderr = &t.stderr
	// A master connection that ssh leaves behind may hold its stderr.
	t.cmd.WaitDelay = time.Second
	in, err := t.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// A pipe of our own: Wait would close exec's, perhaps before it is read.
	out, w, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	t.cmd.Stdout = w
	t.Reader, t.WriteCloser = out, in
	err = t.cmd.Start()
	w.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	go func() {
		_ = t.cmd.Wait()
		close(t.ended)
	}()
	return t, nil
}

// Close ends ssh, and with it the bridge. It may be called more than once.
func (t *tunnel) Close() error {
	err := t.WriteCloser.Close()
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	if out, ok := t.Reader.(*os.File); ok {
		_ = out.Close()
	}
	return err
}

// why is what ssh said last, after it has ended: "" if nothing.
func (t *tunnel) why() string {
	select {
	case <-t.ended:
	case <-time.After(t.cmd.WaitDelay + time.Second):
	}
	return t.stderr.last()
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text string
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text += string(p)
	if n := len(t.text) - tailBytes; n > 0 {
		t.text = t.text[n:]
	}
	return len(p), nil
}

// last is the last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.FieldsFunc(t.text, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
