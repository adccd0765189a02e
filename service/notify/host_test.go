package notify_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit bounds what a test waits for.
const limit = time.Minute

// host is a booted systemd.
type host struct {
	t      *testing.T
	dir    string
	leader int // its PID 1, as seen from here
	exited chan struct{}
}

// boot boots a host with these files on it and returns when it is ready. It
// ends with the test.
func boot(t *testing.T, files map[string]string) *host {
	t.Helper()
	dir := t.TempDir()
	seed := filepath.Join(dir, "seed")
	for name, text := range files {
		path := filepath.Join(seed, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(seed, "usr/local/bin/jobservice"), "./testdata/jobservice")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the test's service: %v\n%s", err, out)
	}
	for path := seed; path != filepath.Dir(dir); path = filepath.Dir(path) {
		os.Chmod(path, 0o755)
	}

	name := fmt.Sprintf("ffkeeper-notify-%d-%s", os.Getpid(), filepath.Base(dir))
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: "@" + name})
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	var console bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
		"bash", "testdata/boot.sh", dir, seed, name)
	cmd.Stdout, cmd.Stderr = &console, &console
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET=@"+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	h := &host{t: t, dir: dir, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(h.exited)
		}
	}()
	if err := <-started; err != nil {
		t.Skipf("SKIPPED: THIS MACHINE CANNOT BOOT A SYSTEMD: %v", err)
	}
	t.Cleanup(func() { h.end(cmd.Process) })

	isReady := make(chan error, 1)
	go func() { isReady <- waitReady(ready) }()
	select {
	case <-h.exited:
		err = errors.New(strings.TrimSpace(console.String()))
	case err = <-isReady:
	}
	if err == nil {
		if h.leader, err = child(cmd.Process.Pid); err == nil {
			h.leader, err = child(h.leader)
		}
	}
	if err != nil {
		t.Skipf("SKIPPED: THIS MACHINE CANNOT BOOT A SYSTEMD: %v", err)
	}
	return h
}

func waitReady(c *net.UnixConn) error {
	c.SetReadDeadline(time.Now().Add(limit))
	packet := make([]byte, 4096)
	for {
		n, err := c.Read(packet)
		if err != nil {
			return err
		}
		if strings.Contains("\n"+string(packet[:n])+"\n", "\nREADY=1\n") {
			return nil
		}
	}
}

func child(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// end has nothing of the host left behind.
func (h *host) end(p *os.Process) {
	p.Kill() // its children go with it: --kill-child, and PID 1 of a namespace
	<-h.exited
	list, _ := os.ReadFile(filepath.Join(h.dir, "cgroups"))
	for _, top := range strings.Fields(string(list)) {
		for end := time.Now().Add(limit); removeCgroups(top) != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				h.t.Errorf("cannot remove cgroup %s", top)
				break
			}
		}
	}
}

func removeCgroups(top string) error {
	var dirs []string
	filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := syscall.Rmdir(dirs[i]); err != nil && err != syscall.ENOENT {
			return err
		}
	}
	return nil
}

// command runs a command on the host, outside of its units.
func (h *host) command(argv ...string) (string, error) {
	args := append([]string{"-t", strconv.Itoa(h.leader), "-a", "--wdns=/", "--",
		"env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, argv...)
	out, err := exec.Command("nsenter", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h *host) run(argv ...string) string {
	h.t.Helper()
	out, err := h.command(argv...)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// becomes waits until a property of a unit has a value: systemctl has no
// command that waits for one.
func (h *host) becomes(unit, property, want string) {
	h.t.Helper()
	h.property(unit, property, func(got string) bool { return got == want })
}

// leaves waits until a property of a unit has another value.
func (h *host) leaves(unit, property, old string) {
	h.t.Helper()
	h.property(unit, property, func(got string) bool { return got != old })
}

func (h *host) property(unit, property string, ok func(string) bool) {
	h.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		got := h.run("systemctl", "show", unit, "-P", property)
		if ok(got) {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%s of %s is still %q", property, unit, got)
		}
	}
}

// lines is what a service has written to /out.
func (h *host) lines(name string) []string {
	b, _ := os.ReadFile(filepath.Join(h.dir, "out", name))
	return strings.Fields(strings.ReplaceAll(string(b), " ", "_"))
}

// writes waits until these are the lines.
func (h *host) writes(name string, want ...string) {
	h.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		got := h.lines(name)
		if slices.Equal(got, want) {
			return
		}
		if len(got) >= len(want) || time.Now().After(end) {
			h.t.Fatalf("%s writes %q, want %q", name, got, want)
		}
	}
}
