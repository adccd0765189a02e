package dbusapi

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busaddress"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
)

// stateDir is a short path: that of a socket has 107 bytes at most.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// ended waits for the end of a process that need not be our child.
func ended(t *testing.T, pidfd int) {
	t.Helper()
	defer unix.Close(pidfd)
	for deadline := time.Now().Add(20 * time.Second); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if n == 1 {
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			t.Fatal("the process does not end", err)
		}
	}
}

func pidfd(t *testing.T, pid int) int {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestPrivateBusServes(t *testing.T) {
	dir := stateDir(t)
	b, err := StartPrivateBus(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	info, err := os.Stat(busaddress.PrivateFile(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("bus-address: %v, %v", info.Mode(), err)
	}
	if a, err := busaddress.Of("private", dir); err != nil || a != b.Address() {
		t.Errorf("address %q, %v; it is %q", a, err, b.Address())
	}
	s, err := New(fakekeeper.New("cam1"), Options{Bus: b.Address()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	c, err := dbus.Connect(b.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := manager(c).Call(managerInterface+".Start", 0, "cam1", options{}).Err; err != nil {
		t.Error(err)
	}
	if os.Getuid() == 0 { // nobody else gets in
		cmd := exec.CommandContext(t.Context(), "busctl", "--address="+b.Address(), "list")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		os.Chmod(dir, 0o755)
		os.Chmod(filepath.Join(dir, "bus"), 0o777)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("another user is let in: %s", out)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPrivateBusIsStartedAgain(t *testing.T) {
	dir := stateDir(t)
	b, err := StartPrivateBus(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	k := fakekeeper.New("cam1")
	s, err := New(k, Options{Bus: b.Address()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	first := b.PID()
	fd := pidfd(t, first)
	syscall.Kill(first, syscall.SIGKILL)
	ended(t, fd)
	var c *dbus.Conn
	for deadline := time.Now().Add(20 * time.Second); ; {
		if c, err = dbus.Connect(b.Address()); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer c.Close()
	awaitOwner(t, c)
	if pid := b.PID(); pid == first || pid == 0 {
		t.Errorf("pid %d after %d", pid, first)
	}
	cancel()
	<-done
}

func TestPrivateBusEndsWithClose(t *testing.T) {
	dir := stateDir(t)
	b, err := StartPrivateBus(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	fd := pidfd(t, b.PID())
	b.Close()
	b.Close()
	ended(t, fd)
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("%v remain", entries)
	}
	// One that hangs is killed.
	if b, err = StartPrivateBus(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	fd = pidfd(t, b.PID())
	syscall.Kill(b.PID(), syscall.SIGSTOP)
	b.Close()
	ended(t, fd)
}

func TestPrivateBusIsOneForAStateDirectory(t *testing.T) {
	dir := stateDir(t)
	b, err := StartPrivateBus(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := StartPrivateBus(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another keeper") {
		t.Errorf("got %v", err)
	}
	if c, err := net.Dial("unix", filepath.Join(dir, "bus")); err != nil {
		t.Errorf("the first bus was hurt: %v", err)
	} else {
		c.Close()
	}
	b.Close()
	long := filepath.Join(dir, strings.Repeat("x", 100))
	if _, err := StartPrivateBus(t.Context(), long); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("got %v", err)
	}
	if _, err := StartPrivateBus(t.Context(), filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	t.Setenv("PATH", dir)
	if _, err := StartPrivateBus(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "package dbus-daemon") {
		t.Errorf("got %v", err)
	}
}

// TestPrivateBusOfAnother is not a test of its own: it is the process that the
// next test kills.
func TestPrivateBusOfAnother(t *testing.T) {
	dir := os.Getenv("FFKEEPER_TEST_PRIVATE_BUS")
	if dir == "" {
		return
	}
	if _, err := StartPrivateBus(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("started\n")
	select {}
}

func TestPrivateBusDiesWithItsKeeper(t *testing.T) {
	dir := stateDir(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestPrivateBusOfAnother$")
	cmd.Env = append(os.Environ(), "FFKEEPER_TEST_PRIVATE_BUS="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
		t.Fatal(line, err)
	}
	address, err := busaddress.Of("private", dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	select {
	case <-c.Context().Done(): // the bus has ended
	case <-time.After(20 * time.Second):
		t.Fatal("the bus has outlived its keeper")
	}
	// The next keeper is not disturbed by what the last one left.
	b, err := StartPrivateBus(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}
