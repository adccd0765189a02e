package shim

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// kernels runs test with both ways to signal a group.
func kernels(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("pidfd", func(t *testing.T) { test(t, inProcess(t)) })
	t.Run("before 6.9", func(t *testing.T) {
		test(t, inProcess(t, func(o *settings) { o.tweak = func(c *Config) { c.oldKernel = true } }))
	})
}

// withPID starts processes until one has the given pid. It fails where somebody
// else on this machine has got it.
func withPID(t *testing.T, pid int, start func() int) bool {
	t.Helper()
	for range 100 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skipf("cannot choose a pid: %v", err)
		}
		if start() == pid {
			return true
		}
	}
	return false
}

// strayOf starts a child whose main process and group end while one stray of
// another session goes on, which keeps the child from being empty.
func strayOf(t *testing.T, r *rig) (c *Child, stray procKey) {
	t.Helper()
	c = r.sh("(setsid sh -c 'echo $$; exec sleep 1000' &) ; read x; exit 0")
	st, err := readStat(number(t, c.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	stray = procKey{st.pid, st.start}
	c.Stdin.Write([]byte("\n"))
	next[Exited](r)
	until(t, "nobody has the child's number", func() bool { return unix.Kill(-c.PID, 0) == unix.ESRCH })
	return c, stray
}

// lives: the process is there, and not another with its pid: pids chosen as
// here are used again at once.
func (k procKey) lives() bool {
	st, err := readStat(k.pid)
	return err == nil && st.start == k.start && !st.dead()
}

// The number of a group that has ended belongs to whoever gets it next.
func TestReusedNumberOfAGroupIsNeverSignalled(t *testing.T) {
	for name, attr := range map[string]*syscall.SysProcAttr{"group": {Setpgid: true}, "session": {Setsid: true}} {
		t.Run(name, func(t *testing.T) {
			kernels(t, func(t *testing.T, r *rig) {
				var c *Child
				var stray procKey
				var foreign *exec.Cmd
				start := func() int {
					foreign = exec.Command("sleep", "1000")
					foreign.SysProcAttr = attr
					if err := foreign.Start(); err != nil {
						t.Fatal(err)
					}
					if foreign.Process.Pid != c.PID {
						foreign.Process.Kill()
						foreign.Wait()
					}
					return foreign.Process.Pid
				}
				for done := false; !done; done = withPID(t, c.PID, start) {
					if c != nil {
						r.Kill(c.ID)
						next[Empty](r)
					}
					c, stray = strayOf(t, r)
				}
				for _, scope := range []Scope{Main, Group, All} {
					r.Signal(c.ID, unix.SIGTERM, scope)
				}
				r.Kill(c.ID)
				next[Empty](r)
				if stray.lives() {
					t.Error("the stray survived")
				}
				if !alive(foreign.Process.Pid) {
					t.Error("a process that is nobody's was killed")
				}
				foreign.Process.Kill()
				foreign.Wait()
				if ws, ok := foreign.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != unix.SIGKILL {
					t.Errorf("its status was stolen: %v", foreign.ProcessState)
				}
			})
		})
	}
}

// Two children with one number, the first not yet empty.
func TestChildWithAnEarlierOnesNumber(t *testing.T) {
	kernels(t, func(t *testing.T, r *rig) {
		var a, b *Child
		var stray procKey
		start := func() int {
			b = r.start(SpawnRequest{Stream: "other", Argv: []string{"sh", "-c", "sleep 1000 & echo $!; wait"}, Stdout: Pipe})
			if b.PID != a.PID {
				r.Kill(b.ID)
				r.ends(b)
			}
			return b.PID
		}
		for done := false; !done; done = withPID(t, a.PID, start) {
			if a != nil {
				r.Kill(a.ID)
				next[Empty](r)
			}
			a, stray = strayOf(t, r)
		}
		member := number(t, b.Stdout)
		r.Kill(a.ID)
		if e := next[Empty](r); e.ID != a.ID {
			t.Errorf("%+v", e)
		}
		if stray.lives() || !alive(b.PID) || !alive(member) {
			t.Errorf("stray %v, other child %v, its member %v", stray.lives(), alive(b.PID), alive(member))
		}
		r.Kill(b.ID)
		if e := r.ends(b); e.Signal != int(unix.SIGKILL) {
			t.Errorf("%+v", e)
		}
		if alive(member) {
			t.Error("a member of the second survived")
		}
	})
}

// Before Linux 6.9 groups are signalled by number: all else must be the same.
func TestOldKernel(t *testing.T) {
	kernels(t, func(t *testing.T, r *rig) {
		c := r.sh("exec 3<&0; (trap 'echo usr1' USR1; echo $$; while :; do sleep 0.01; done) & exit 0")
		line(t, c.Stdout)
		next[Exited](r)
		r.Signal(c.ID, unix.SIGUSR1, Group)
		if got := line(t, c.Stdout); got != "usr1" {
			t.Errorf("%q", got)
		}
		r.Kill(c.ID)
		if e := next[Empty](r); e.ID != c.ID {
			t.Errorf("%+v", e)
		}
		r.Forget(c.ID)
		r.ends(r.sh("exit 0"))
	})
}
