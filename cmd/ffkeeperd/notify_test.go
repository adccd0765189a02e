package main

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
)

// manager is what a service manager has of its service: the socket that the
// service notifies it by.
type manager struct {
	t      *testing.T
	socket *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &manager{t, c}
}

func (m *manager) asNotified(c *exec.Cmd) {
	c.Env = append(c.Env, "NOTIFY_SOCKET="+m.socket.LocalAddr().String())
}

// next is the next message, but for the text of the state, which comes by the
// way.
func (m *manager) next() string {
	m.t.Helper()
	m.socket.SetReadDeadline(time.Now().Add(patience))
	packet := make([]byte, 4096)
	for {
		n, err := m.socket.Read(packet)
		if err != nil {
			m.t.Fatalf("no message of the daemon: %v", err)
		}
		if s := strings.TrimSpace(string(packet[:n])); !strings.HasPrefix(s, "STATUS=") {
			return s
		}
	}
}

func (m *manager) expect(want string) {
	m.t.Helper()
	if got := m.next(); got != want {
		m.t.Errorf("the daemon tells %q, want %q", got, want)
	}
}

// expectReloading wants a reload to begin, at a time after since.
func (m *manager) expectReloading(since int64) {
	m.t.Helper()
	got := m.next()
	var at int64
	if _, err := fmt.Sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%d", &at); err != nil || at < since || at > monotonic(m.t) {
		m.t.Errorf("the daemon tells %q, want RELOADING=1 with a time after %d", got, since)
	}
}

// quiet makes sure that nothing was told up to now: what the test itself tells
// comes next.
func (m *manager) quiet() {
	m.t.Helper()
	c, err := net.Dial("unixgram", m.socket.LocalAddr().String())
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("X_MARK=1")); err != nil {
		m.t.Fatal(err)
	}
	for got := m.next(); got != "X_MARK=1"; got = m.next() {
		m.t.Errorf("the daemon tells %q already", got)
	}
}

// monotonic is the clock that MONOTONIC_USEC= is of.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

const sleeper = "Type=simple\nExecStart=sleep 1000"

// TestEachReloadIsToldToTheManager, whoever asks for it; and once its end is
// told, it is done.
func TestEachReloadIsToldToTheManager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	d := startDaemon(t, map[string]string{"a": sleeper}, m.asNotified)
	m.expect("READY=1")
	for name, reload := range map[string]func(){
		"hup": func() { d.cmd.Process.Signal(syscall.SIGHUP) },
		"bus": func() {
			if _, err := d.client.Reload(d.ctx()); err != nil {
				t.Error(err)
			}
		},
	} {
		d.file(name, sleeper)
		since := monotonic(t)
		reload()
		m.expectReloading(since)
		m.expect("READY=1")
		d.health(name) // fails where the stream is not there
	}
	// One that fails ends, too.
	d.file("broken", "ExecStrat=sleep 1000")
	since := monotonic(t)
	if changes, err := d.client.Reload(d.ctx()); err == nil && !strings.Contains(fmt.Sprint(changes), "ExecStrat") {
		t.Errorf("a broken file is taken: %v", changes)
	}
	m.expectReloading(since)
	m.expect("READY=1")
}

// TestAHUPBeforeTheBusIsThereDoesNotEndTheStart: systemd would take the keeper
// for started, and start what needs its name.
func TestAHUPBeforeTheBusIsThereDoesNotEndTheStart(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	bus := bustest.Start(t)
	bus.Kill()
	d := launchDaemon(t, map[string]string{"a": sleeper}, m.asNotified,
		func(c *exec.Cmd) { c.Env = append(c.Env, "FFKEEPER_BUS="+bus.Address) })
	d.eventually("the bus being missed", func() bool { return strings.Contains(d.log.String(), "trying again") })
	d.file("b", sleeper)
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.eventually("the reload", func() bool { return strings.Contains(d.log.String(), "reload: added") })
	m.quiet()

	bus.Restart()
	d.await(bus.Address)
	m.expect("READY=1")
	d.health("b")
	since := monotonic(t)
	d.cmd.Process.Signal(syscall.SIGHUP)
	m.expectReloading(since)
	m.expect("READY=1")
}
