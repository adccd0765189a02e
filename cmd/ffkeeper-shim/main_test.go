package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){
		"ffkeeper-shim": main,
		"listening":     listening,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
		},
	})
}

// exits N command... runs a command that must end with exit code N.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if e, ok := err.(*exec.ExitError); ok {
		code = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// listening [-stream] command... executes a command with a listening socket as
// descriptor 3, as systemd does. The socket is bound to ./control.
func listening() {
	args, kind := os.Args[1:], unix.SOCK_SEQPACKET
	if args[0] == "-stream" {
		args, kind = args[1:], unix.SOCK_STREAM
	}
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "listening:", err)
			os.Exit(1)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
	check(err)
	check(unix.Bind(fd, &unix.SockaddrUnix{Name: "control"}))
	check(unix.Listen(fd, 5))
	if fd != 3 {
		check(unix.Dup3(fd, 3, 0))
	}
	path, err := exec.LookPath(args[0])
	check(err)
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	_, err = unix.FcntlInt(3, unix.F_SETFD, 0)
	check(err)
	check(syscall.Exec(path, args, os.Environ()))
}

// underSystemd starts the shim as a unit with a socket does.
func underSystemd(t *testing.T, watchdog time.Duration) (cmd *exec.Cmd, dir string, notified func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "listening")); err != nil {
		t.Fatal(err)
	}
	// The real program: it must find itself for an upgrade in place.
	if out, err := exec.Command("go", "build", "-o", dir, ".").CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	name := "@ffkeeper-test-" + strconv.Itoa(os.Getpid()) + filepath.Base(dir)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(int64(30 * time.Second))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	cmd = exec.Command(filepath.Join(dir, "listening"), filepath.Join(dir, "ffkeeper-shim"))
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+name)
	if watchdog > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, dir, func() string {
		t.Helper()
		buf := make([]byte, 4096)
		n, _, err := unix.Recvfrom(fd, buf, 0)
		for err == unix.EINTR { // by a signal of Go's own
			n, _, err = unix.Recvfrom(fd, buf, 0)
		}
		if err != nil {
			t.Fatalf("no notification: %v", err)
		}
		return string(buf[:n])
	}
}

func TestServiceWithASocket(t *testing.T) {
	cmd, dir, notified := underSystemd(t, 0)
	if got := notified(); got != "READY=1" {
		t.Errorf("%q", got)
	}
	events := make(chan shim.Event, 10)
	c, err := shim.Dial(context.Background(), filepath.Join(dir, "control"), func(e shim.Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	spawned := make(chan *shim.Child, 1)
	c.Spawn(shim.SpawnRequest{Stream: "s", Argv: []string{"sh", "-c", "trap 'exit 3' TERM; env; while :; do sleep 0.01; done"}, Stdout: shim.Pipe}, nil, func(c *shim.Child, err error) {
		if err != nil {
			t.Error(err)
		}
		spawned <- c
	})
	child := <-spawned
	buf := make([]byte, 4096)
	n, err := child.Stdout.Read(buf)
	if err != nil || strings.Contains(string(buf[:n]), "NOTIFY_SOCKET") || strings.Contains(string(buf[:n]), "LISTEN") {
		t.Errorf("the child's environment is\n%s(%v)", buf[:n], err)
	}
	// An upgrade in place keeps the socket and says that it is ready.
	if err := c.Reexec(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if got := notified(); got != "READY=1" {
		t.Errorf("%q", got)
	}
	c.Close()
	if c, err = shim.Dial(context.Background(), filepath.Join(dir, "control"), func(e shim.Event) { events <- e }); err != nil {
		t.Fatal(err)
	}
	if h := c.Hello(); h.PID != cmd.Process.Pid || len(h.Children) != 1 || h.Children[0].PID != child.PID {
		t.Errorf("%+v", h)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if e := <-events; e != (shim.Stopping{}) {
		t.Errorf("%#v", e)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if e, ok := (<-events).(shim.Exited); !ok || e.Code != 3 {
		t.Errorf("%+v", e)
	}
	if got := notified(); got != "STOPPING=1" {
		t.Errorf("%q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestWatchdogIsFed(t *testing.T) {
	_, _, notified := underSystemd(t, 50*time.Millisecond)
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := notified(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestEachUpgradeInPlaceFeedsTheWatchdog: systemd counts from the last word, and
// upgrades in a row each begin to wait anew.
func TestEachUpgradeInPlaceFeedsTheWatchdog(t *testing.T) {
	_, dir, notified := underSystemd(t, time.Hour)
	for i := range 3 {
		if i > 0 {
			c, err := shim.Dial(t.Context(), filepath.Join(dir, "control"), func(shim.Event) {})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Reexec(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		for _, want := range []string{"READY=1", "WATCHDOG=1"} {
			if got := notified(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

func TestLingerRemovesItsSocket(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "ffkeeper-shim")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control")
	cmd := exec.Command(program, "--linger", path)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var c *shim.Client
	for deadline := time.Now().Add(30 * time.Second); c == nil; time.Sleep(time.Millisecond) {
		if c, err = shim.Dial(t.Context(), path, func(shim.Event) {}); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	cmd.Process.Signal(syscall.SIGHUP) // an upgrade in place
	if err := c.Leave(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}
