// Package systemtest tests the installed programs on a booted systemd with
// journald, a system bus and polkit, and offers that host to other tests.
//
// A host is systemd-nspawn on an overlay of the machine's own root directory,
// in mount and process namespaces of its own: it boots in half a second, what
// is installed here is there, nothing that happens there changes anything
// here, and when the test process ends, however, all of it vanishes. It has
// no network but its own loopback, and its cgroups have no controllers where
// this machine's have none.
//
// It needs root, systemd-container, dbus and polkitd, and a machine that lets
// it; where it does not, tests are skipped with the reason.
package systemtest

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

//go:embed boot.sh
var bootScript string

// bootTime bounds booting; it takes half a second on an idle machine.
const bootTime = time.Minute

// Host is a booted system. Its methods fail the test on what only a broken
// host can cause.
type Host struct {
	t      testing.TB
	dir    string
	name   string
	leader int // the host's systemd, as seen from here; 0: it is this machine
	nspawn int
	exited chan struct{} // closed when nothing of it is left
	stop   sync.Once
}

// namePrefix is common to the hosts of all test processes that see the same
// process ids as we do: the number is that of our process namespace.
func namePrefix() string {
	var n uint64
	ns, _ := os.Readlink("/proc/self/ns/pid")
	fmt.Sscanf(ns, "pid:[%d]", &n)
	return fmt.Sprintf("ffkeeper-test-%d-", n)
}

var hosts atomic.Int32 // makes names unique within this process

// Boot boots a host on which the files below seed (a directory, or "") lie
// over the machine's own. It is stopped when the test ends.
func Boot(t testing.TB, seed string) *Host {
	t.Helper()
	if err := canBoot(); err != nil {
		t.Skipf("THIS MACHINE CANNOT BOOT A TEST HOST: %v", err)
	}
	h, err := boot(t.TempDir(), seed)
	if err != nil {
		t.Fatal(err)
	}
	h.t = t
	t.Cleanup(h.Stop)
	return h
}

// Here is the machine that the test itself runs on, where that one is booted
// for nothing else. It is never stopped.
func Here(t testing.TB) *Host { return &Host{t: t} }

// canBoot tries once, with a host as plain as can be, so that a host that
// fails for what a test put on it is a failure and not skipped.
var canBoot = sync.OnceValue(func() error {
	if os.Geteuid() != 0 {
		return errors.New("it takes root")
	}
	for _, program := range []string{"unshare", "nsenter", "systemd-nspawn", "dbus-daemon", "pkcheck"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "systemtest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h, err := boot(dir, "")
	if err != nil {
		return err
	}
	h.Stop()
	return nil
})

// boot returns when the host's systemd says that booting has finished.
func boot(dir, seed string) (*Host, error) {
	h := &Host{
		dir:    dir,
		name:   fmt.Sprintf("%s%d-%d", namePrefix(), os.Getpid(), hosts.Add(1)),
		exited: make(chan struct{}),
	}
	if err := os.Mkdir(filepath.Join(dir, "mnt"), 0o755); err != nil {
		return nil, err
	}
	// An abstract address: the namespaces share our network, not our files.
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: "@" + h.name})
	if err != nil {
		return nil, err
	}
	defer notify.Close()

	var console bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
		"bash", "-c", bootScript, "boot.sh", dir, seed, h.name)
	cmd.Stdout, cmd.Stderr = &console, &console
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET=@"+h.name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The parent-death signal fires when the thread that started the
		// process ends, not when the whole program does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			h.removeCgroups()
			close(h.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}

	ready := make(chan error, 1)
	go func() { ready <- readUntilReady(notify) }()
	select {
	case <-h.exited:
		err = fmt.Errorf("nspawn ended: %s", strings.TrimSpace(console.String()))
	case err = <-ready:
		if err == nil {
			h.nspawn, err = onlyChild(cmd.Process.Pid)
		}
		if err == nil {
			h.leader, err = onlyChild(h.nspawn)
		}
	}
	if err != nil {
		cmd.Process.Kill()
		<-h.exited
		return nil, fmt.Errorf("cannot boot a test host: %w", err)
	}
	return h, nil
}

func readUntilReady(notify *net.UnixConn) error {
	notify.SetReadDeadline(time.Now().Add(bootTime))
	packet := make([]byte, 4096)
	for {
		n, err := notify.Read(packet)
		if err != nil {
			return fmt.Errorf("no word of its systemd: %w", err)
		}
		for line := range bytes.Lines(packet[:n]) {
			if string(bytes.TrimSpace(line)) == "READY=1" {
				return nil
			}
		}
	}
}

func onlyChild(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// Stop powers the host off and returns when nothing of it is left. It may be
// called more than once.
func (h *Host) Stop() {
	h.stop.Do(func() {
		syscall.Kill(h.nspawn, syscall.SIGTERM)
		select {
		case <-h.exited:
		case <-time.After(30 * time.Second):
			syscall.Kill(h.nspawn, syscall.SIGKILL)
			<-h.exited
		}
	})
}

// removeCgroups removes what boot.sh and the host's systemd have made, for the
// kernel keeps empty cgroups until somebody does; and what was left by a test
// process that was killed.
func (h *Host) removeCgroups() {
	list, _ := os.ReadFile(filepath.Join(h.dir, "cgroups"))
	for _, top := range strings.Fields(string(list)) {
		removeTree(top)
		siblings, _ := filepath.Glob(filepath.Join(filepath.Dir(top), namePrefix()+"*"))
		for _, dir := range siblings {
			var pid int
			_, err := fmt.Sscanf(filepath.Base(dir), namePrefix()+"%d-", &pid)
			if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				removeTree(dir)
			}
		}
	}
}

func removeTree(top string) {
	var dirs []string
	filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- { // children come after their parent
		syscall.Rmdir(dirs[i])
	}
}
