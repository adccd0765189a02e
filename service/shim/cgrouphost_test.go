package shim

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// cgroupVariable names an empty cgroup v2 of ours that has controllers; without
// it tests make theirs in the cgroup that they run in, which may have none.
const cgroupVariable = "FFKEEPER_TEST_CGROUP"

var cgroupNumber atomic.Int32

// newCgroup makes an empty cgroup that lives as long as the test.
func newCgroup(t testing.TB) string {
	t.Helper()
	parent := os.Getenv(cgroupVariable)
	if parent == "" {
		var err error
		if parent, _, err = ownCgroup(); err != nil {
			t.Skipf("SKIPPED: THIS MACHINE HAS NO cgroup v2: %v", err)
		}
	}
	dir := fmt.Sprintf("%s/ffkeeper-test-%d-%d", parent, os.Getpid(), cgroupNumber.Add(1))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("SKIPPED: NO cgroup CAN BE MADE HERE: %v", err)
	}
	t.Cleanup(func() {
		killTree(dir)
		until(t, "the test's cgroup is empty", func() bool { return removeTree(dir) == nil })
	})
	return dir
}

// into makes cmd start in a cgroup.
func into(t testing.TB, cmd *exec.Cmd, dir string) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(d.Fd())
}

// startInCgroup starts a shim that stays, with a cgroup that is its own.
func startInCgroup(t testing.TB, args ...string) (l *linger, root string) {
	t.Helper()
	root = newCgroup(t)
	l = newLinger(t, append([]string{"--cgroup"}, args...)...)
	into(t, l.cmd, root)
	l.start(t)
	return l, root
}

// newLinger prepares what startLinger starts.
func newLinger(t testing.TB, args ...string) *linger {
	t.Helper()
	l := &linger{path: filepath.Join(t.TempDir(), "control"), done: make(chan struct{})}
	l.cmd = exec.Command(shimProgram(t), append([]string{"--linger", l.path, "--stop-wait", "1s"}, args...)...)
	l.cmd.Stderr = os.Stderr
	return l
}

// cgroupOf is the directory, below root, of the cgroup a process is in.
func cgroupOf(t testing.TB, root string, pid int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	path, _ := unifiedPath(data)
	_, below, ok := strings.Cut(path, filepath.Base(root)+"/")
	if !ok {
		t.Fatalf("pid %d is in %s, not below %s", pid, path, root)
	}
	return below
}

// leave starts a process in a directory that no shim knows of.
func leave(t testing.TB, dir string) *exec.Cmd {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	into(t, cmd, dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

// escape is a shell command that starts one more process, which nothing but
// its cgroup ties to the child: another session, no parent, no environment. It
// says its pid and runs script.
func escape(script string) string {
	return fmt.Sprintf(`(setsid env -i /bin/sh -c '(setsid env -i /bin/sh -c "echo \$\$; %s" &) ; exit 0' &) ;`, script)
}

// escaped waits until the process is nobody's.
func escaped(t *testing.T, r *rig, c *Child, pid int) {
	t.Helper()
	until(t, "it has escaped", func() bool {
		st, err := readStat(pid)
		if err != nil {
			t.Fatalf("the escapee: %v", err)
		}
		return st.ppid == r.shim && st.session != c.PID && st.group != c.PID
	})
	if stream, ok := streamOf(pid); ok {
		t.Errorf("it has the environment of %s", stream)
	}
}

// noClone3 installs a filter that makes clone3 fail as systemd's
// RestrictNamespaces= does, and executes a command under it.
func noClone3(args []string) int {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_CLONE3},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | uint32(unix.ENOSYS)}, // SECCOMP_RET_ERRNO
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},                       // SECCOMP_RET_ALLOW
	}
	if err := seccompFilter(filter); err != nil {
		fmt.Fprintln(os.Stderr, "seccomp:", err)
		return 1
	}
	fmt.Fprintln(os.Stderr, syscall.Exec(args[0], args, os.Environ()))
	return 1
}
