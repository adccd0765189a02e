package shim

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLeaveEndsTheShimOnceItIsEmpty(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.sh("read x; exit 3")
		if err := r.Leave(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"true"}}); err == nil {
			t.Error("a leaving shim has started a child")
		}
		select {
		case <-r.Lost():
			t.Fatalf("left with a child: %v", r.Err())
		default:
		}
		c.Stdin.Write([]byte("\n"))
		if e := next[Exited](r); e.Code != 3 {
			t.Errorf("%+v", e)
		}
		select {
		case <-r.Lost():
		case <-time.After(patience):
			t.Fatal("it does not leave")
		}
		if !errors.Is(r.Err(), ErrLeft) || !errors.Is(r.Err(), ErrLost) {
			t.Errorf("lost because %v", r.Err())
		}
		if err := r.Kill(1); !errors.Is(err, ErrLost) {
			t.Errorf("kill by a lost shim: %v", err)
		}
		if _, err := r.spawn(SpawnRequest{Argv: []string{"true"}}); !errors.Is(err, ErrLost) {
			t.Errorf("spawn by a lost shim: %v", err)
		}
		if err := r.Ping(context.Background()); !errors.Is(err, ErrLost) {
			t.Errorf("ping of a lost shim: %v", err)
		}
	})
}

func TestCloseStopsTheChildrenWithOneTERM(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(testing.TB, ...Option) *rig{"in-process": inProcess, "launched": launched} {
		t.Run(name, func(t *testing.T) {
			r := open(t, StopWait(patience))
			dir := t.TempDir()
			start := func(extra string) *Child {
				return r.start(SpawnRequest{
					Stream: "s", Argv: []string{"sh", "-c", `exec "$0" child-terms > "$1"`, self, dir + "/" + extra},
				})
			}
			a, b := start("a"), start("b")
			for _, f := range []string{"a", "b"} {
				until(t, "the child is ready", func() bool {
					data, _ := os.ReadFile(dir + "/" + f)
					return strings.Contains(string(data), "ready")
				})
			}
			// A stop is under way at b: another TERM would spoil its file.
			r.Signal(b.ID, unix.SIGTERM, Group)
			until(t, "TERM has reached it", func() bool {
				data, _ := os.ReadFile(dir + "/b")
				return strings.Contains(string(data), "TERM 1")
			})
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if !errors.Is(r.Err(), ErrClosed) {
				t.Errorf("lost because %v", r.Err())
			}
			for _, c := range []*Child{a, b} {
				if alive(c.PID) {
					t.Errorf("pid %d survived", c.PID)
				}
			}
			for _, f := range []string{"a", "b"} {
				if data, _ := os.ReadFile(dir + "/" + f); string(data) != "ready\nTERM 1\n" {
					t.Errorf("%s: %q", f, data)
				}
			}
		})
	}
}

func TestCloseKillsWhatIgnoresTERM(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...Option) *rig{"in-process": inProcess, "launched": launched} {
		t.Run(name, func(t *testing.T) {
			r := open(t, StopWait(100*time.Millisecond))
			c := r.sh("trap '' TERM; sh -c 'echo $$; while :; do sleep 1000; done' & while :; do sleep 1000; done")
			member := number(t, c.Stdout)
			r.Close()
			if alive(c.PID) || alive(member) {
				t.Error("it survived")
			}
		})
	}
}

func TestStoppedChildGetsItsTERM(t *testing.T) {
	r := launched(t, StopWait(patience))
	// Not a shell that forks: stopped within a vfork it would look otherwise.
	c := r.start(SpawnRequest{Stream: "s", Argv: []string{"perl", "-e", `$SIG{TERM} = sub { exit 0 }; $| = 1; print "ready\n"; sleep 1000 while 1`}, Stdout: Pipe})
	line(t, c.Stdout)
	r.Signal(c.ID, unix.SIGSTOP, Group)
	until(t, "it is stopped", func() bool {
		st, err := readStat(c.PID)
		return err == nil && st.state == 'T'
	})
	begin := time.Now()
	r.Close()
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("stopping took %v", took)
	}
}

func TestTERMStopsTheShimAndItsChildren(t *testing.T) {
	l := startLinger(t)
	r := l.dial(t)
	c := r.sh("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done")
	line(t, c.Stdout)
	l.cmd.Process.Signal(syscall.SIGTERM)
	if e := next[Exited](r); e.Code != 9 {
		t.Errorf("%+v", e)
	}
	<-l.done
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	<-r.Lost()
}

func TestKilledShimTakesItsChildrenAlong(t *testing.T) {
	r := launched(t)
	direct := r.sh("echo $$; exec sleep 1000")
	number(t, direct.Stdout)
	pipeline := r.sh("sleep 1000 & echo $!; sleep 1000 | cat & echo $!; setsid sleep 1000 & echo $!; sleep 1000")
	members := []int{direct.PID, pipeline.PID}
	for range 3 {
		members = append(members, number(t, pipeline.Stdout))
	}
	pending := make(chan error, 1)
	unix.Kill(r.shim, unix.SIGSTOP)
	r.Spawn(SpawnRequest{Argv: []string{"true"}}, nil, func(_ *Child, err error) { pending <- err })
	unix.Kill(r.shim, unix.SIGKILL)
	select {
	case <-r.Lost():
	case <-time.After(patience):
		t.Fatal("the loss was not noticed")
	}
	if err := <-pending; !errors.Is(err, ErrLost) {
		t.Errorf("pending spawn: %v", err)
	}
	if !strings.Contains(r.Err().Error(), "killed") {
		t.Errorf("lost because %q", r.Err())
	}
	for _, pid := range members {
		if exists(pid) {
			t.Errorf("pid %d is still there when the loss is told", pid)
		}
	}
	if z := zombies(os.Getpid()); len(z) > 0 {
		t.Errorf("zombies %v", z)
	}
}

// The keeper is a process of its own here: kill -9 of it must end everything.
func TestKilledKeeperTakesItsShimAlong(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"in-process", "launched"} {
		t.Run(form, func(t *testing.T) {
			cmd := exec.Command(self, "child-keeper", form, shimProgram(t))
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid := number(t, out.(*os.File))
			cmd.Process.Kill()
			cmd.Wait()
			until(t, "its child is gone", func() bool { return !alive(pid) })
		})
	}
}
