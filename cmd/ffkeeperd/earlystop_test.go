package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lastingShim is a shim that outlives its keepers, until the end of the test.
type lastingShim struct {
	cmd    *exec.Cmd
	socket string
	ended  chan struct{}
}

func startShim(t *testing.T) *lastingShim {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "shim")
	s := &lastingShim{exec.Command(filepath.Join(bin, "ffkeeper-shim"), "--linger", socket), socket, make(chan struct{})}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.cmd.Wait(); close(s.ended) }()
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGCONT)
		s.cmd.Process.Signal(syscall.SIGTERM)
		<-s.ended
	})
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("the shim does not come up")
		}
	}
}

func (s *lastingShim) use(c *exec.Cmd) { c.Env = append(c.Env, "FFKEEPER_SHIM="+s.socket) }

// startHeldUp starts a keeper like d that is taking over from the shim, and
// stays there as long as the shim is stopped.
func (s *lastingShim) startHeldUp(d *running, env ...string) *running {
	d.t.Helper()
	s.cmd.Process.Signal(syscall.SIGSTOP)
	next := &running{t: d.t, cmd: exec.Command(d.cmd.Path), log: d.log, ended: make(chan struct{})}
	next.cmd.Env = append(d.cmd.Env[:len(d.cmd.Env):len(d.cmd.Env)], env...)
	next.cmd.Stdout, next.cmd.Stderr = d.log, d.log
	if err := next.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { next.cmd.Wait(); close(next.ended) }()
	d.t.Cleanup(func() { next.cmd.Process.Kill(); <-next.ended })
	d.eventually("the connection to the shim", func() bool { return hasSocket(next.cmd.Process.Pid) })
	return next
}

// hasSocket says whether a process holds any socket.
func hasSocket(pid int) bool {
	links, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	for _, l := range links {
		if target, _ := os.Readlink(l); strings.HasPrefix(target, "socket:") {
			return true
		}
	}
	return false
}

func (d *running) awaitEnd(what string, ended chan struct{}) {
	d.t.Helper()
	select {
	case <-ended:
	case <-time.After(patience):
		d.t.Fatalf("%s does not end; the log:\n%s", what, d.log)
	}
}

// TestAStopDuringTheStartStopsTheStreams: whoever stops a keeper that is still
// taking over what an earlier one left means its streams, too; also behind any
// number of reloads.
func TestAStopDuringTheStartStopsTheStreams(t *testing.T) {
	t.Parallel()
	shim := startShim(t)
	d := startDaemon(t, map[string]string{"a": "Type=simple\nExecStart=sleep 1000"}, shim.use)
	d.eventually("the stream", func() bool { return d.health("a").State == "running" })
	pid := d.health("a").PID
	d.cmd.Process.Kill()
	<-d.ended

	next := shim.startHeldUp(d)
	for range 8 {
		next.cmd.Process.Signal(syscall.SIGHUP)
	}
	next.cmd.Process.Signal(syscall.SIGTERM)
	shim.cmd.Process.Signal(syscall.SIGCONT)
	d.awaitEnd("the keeper", next.ended)
	d.awaitEnd("the shim", shim.ended)
	if code := next.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the keeper ended with %s", next.cmd.ProcessState)
	}
	if !gone(pid) {
		t.Errorf("the stream's process %d is left", pid)
	}
	if strings.Contains(d.log.String(), "the stop hangs") {
		t.Errorf("an ordinary stop; the log:\n%s", d.log)
	}
}

// TestAHandOverDuringTheStartStartsTheStreams: what the first keeper left as
// stopped, the next one would leave so.
func TestAHandOverDuringTheStartStartsTheStreams(t *testing.T) {
	t.Parallel()
	shim := startShim(t)
	d := startDaemon(t, nil, shim.use)
	d.file("a", "Type=simple\nExecStart=sleep 1000")
	d.cmd.Process.Kill()
	<-d.ended

	// A service, and no systemd that would know of a job to stop it.
	next := shim.startHeldUp(d, "INVOCATION_ID=0123456789abcdef0123456789abcdef")
	next.cmd.Process.Signal(syscall.SIGTERM)
	shim.cmd.Process.Signal(syscall.SIGCONT)
	d.awaitEnd("the keeper", next.ended)
	if code := next.cmd.ProcessState.ExitCode(); code != exitHandedOver {
		t.Fatalf("the keeper ended with %s; the log:\n%s", next.cmd.ProcessState, d.log)
	}
	third := startDaemon(t, nil, shim.use, func(c *exec.Cmd) { c.Env = append(c.Env, "FFKEEPER_STREAM_PATH="+d.dir) })
	third.eventually("the stream", func() bool { return third.health("a").State == "running" })
}

// TestAStopEndsAKeeperWhoseShimHangs: the shim's backlog is full, and nobody
// empties it.
func TestAStopEndsAKeeperWhoseShimHangs(t *testing.T) {
	t.Parallel()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "shim")
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listener)
	if err := unix.Bind(listener, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(listener, 0); err != nil {
		t.Fatal(err)
	}
	first, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(first)
	if err := unix.Connect(first, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	d := &running{t: t, cmd: exec.Command(filepath.Join(bin, "ffkeeperd")), log: &buffer{}, ended: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), "FFKEEPER_BUS=private", "FFKEEPER_LOG=text", "FFKEEPER_STATE_DIR="+state,
		"FFKEEPER_STREAM_PATH="+t.TempDir(), "FFKEEPER_SHIM="+socket)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.ended) }()
	t.Cleanup(func() { d.cmd.Process.Kill(); <-d.ended })
	// That comes before it connects, and after it hears signals.
	d.eventually("its state directory", func() bool { _, err := os.Stat(state); return err == nil })
	d.cmd.Process.Signal(syscall.SIGTERM)
	d.awaitEnd("the keeper", d.ended)
	if code := d.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(d.log.String(), "the shim does not answer") {
		t.Errorf("it ended with %s and said %s", d.cmd.ProcessState, d.log)
	}
}
