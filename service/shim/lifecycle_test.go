package shim

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExitIsToldAsItWas(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		for script, want := range map[string]Exited{
			"exit 0":        {},
			"exit 255":      {Code: 255},
			"kill -TERM $$": {Signal: int(unix.SIGTERM)},
			"kill -SEGV $$": {Signal: int(unix.SIGSEGV)},
		} {
			c := r.sh(script)
			got := r.ends(c)
			if got.Code != want.Code || got.Signal != want.Signal || got.Unknown || got.Core {
				t.Errorf("%s: %+v", script, got)
			}
			if got.MaxRSS == 0 || got.UserTime+got.SystemTime == 0 {
				t.Errorf("%s: no usage in %+v", script, got)
			}
		}
	})
}

func TestEmptyComesWhenTheLastOfTheGroupEnds(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.sh("exec 3<&0; (read x <&3; exit 0) & echo $!; exit 5")
		member := number(t, c.Stdout)
		if e := next[Exited](r); e.Code != 5 {
			t.Errorf("%+v", e)
		}
		if !alive(member) {
			t.Error("the other member of the group has ended too")
		}
		r.Ping(t.Context())
		select {
		case e := <-r.events:
			t.Errorf("%#v while pid %d lives", e, member)
		default:
		}
		c.Stdin.Write([]byte("\n"))
		if e := next[Empty](r); e.ID != c.ID || e.Stream != "s" {
			t.Errorf("%+v", e)
		}
		if alive(member) {
			t.Error("empty was told while a member of the group lives")
		}
	})
}

func TestEmptyWaitsForAnOrphanKnownByItsEnvironment(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		// Out of the group and the session, two forks away.
		c := r.sh("(setsid sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" &') & wait; exit 0")
		stray := number(t, c.Stdout)
		next[Exited](r)
		until(t, "the stray is an orphan", func() bool {
			st, err := readStat(stray)
			return err == nil && st.ppid == r.shim && st.session != c.PID
		})
		r.Ping(t.Context())
		select {
		case e := <-r.events:
			t.Errorf("%#v while pid %d lives", e, stray)
		default:
		}
		r.Kill(c.ID)
		next[Empty](r)
		if alive(stray) {
			t.Error("the stray survived")
		}
	})
}

func TestSignalScopes(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		script := `
			trap 'echo main' USR1
			sh -c 'trap "echo group" USR1; echo ready; while :; do sleep 0.01; done' &
			setsid sh -c 'trap "echo stray" USR1; echo ready; while :; do sleep 0.01; done' &
			echo ready
			while :; do sleep 0.01; done`
		for scope, want := range map[Scope]string{Main: "main", Group: "group main", All: "group main stray"} {
			c := r.start(SpawnRequest{Stream: "s", Argv: []string{"sh", "-c", script}, Stdout: Pipe, Stderr: Null})
			for range 3 {
				if got := line(t, c.Stdout); got != "ready" {
					t.Fatalf("%q", got)
				}
			}
			r.Signal(c.ID, unix.SIGUSR1, scope)
			var got []string
			for range strings.Fields(want) {
				got = append(got, line(t, c.Stdout))
			}
			for _, w := range strings.Fields(want) {
				if !contains(got, w) {
					t.Errorf("%s: got %q, want %q", scope, got, want)
				}
			}
			r.Kill(c.ID)
			r.ends(c)
		}
	})
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func TestKillEndsEverythingThatIsOfTheChild(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.sh(`
			trap '' TERM INT HUP
			sleep 1000 & echo $!
			setsid sleep 1000 & echo $!
			env -i /usr/bin/setsid /bin/sleep 1000 & echo $!
			(setsid sh -c 'sleep 1000 & echo $!; sleep 1000 & echo $!; wait' &)
			while :; do sleep 1000; done`)
		var members []int
		for range 5 {
			members = append(members, number(t, c.Stdout))
		}
		r.Kill(c.ID)
		if e := r.ends(c); e.Signal != int(unix.SIGKILL) {
			t.Errorf("%+v", e)
		}
		for _, pid := range members {
			if alive(pid) {
				t.Errorf("pid %d survived", pid)
			}
		}
		if z := zombies(r.shim); len(z) > 0 {
			t.Errorf("zombies %v", z)
		}
	})
}

func TestKillOfAGroupWinsAgainstAForkBomb(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		// Each process starts the next and ends: there is always one, never
		// the same. Several at once, so that one is always in a fork.
		c := r.start(SpawnRequest{Stream: "bomb", Stdout: Pipe, Argv: []string{"perl", "-e", `
			$SIG{CHLD} = "IGNORE"; $| = 1;
			for (1..4) { if (!fork) { while (1) { my $p = fork; exit if $p; } } }
			print "ready\n"; sleep 1000`}})
		line(t, c.Stdout)
		r.Kill(c.ID)
		r.ends(c)
		until(t, "nothing of the bomb is left", func() bool { return len(childrenInSession(r.shim, c.PID)) == 0 })
	})
}

// childrenInSession lists the children of a process that are in a session.
func childrenInSession(pid, session int) []int {
	var found []int
	for _, p := range childrenOf(pid) {
		if st, err := readStat(p); err == nil && st.session == session {
			found = append(found, p)
		}
	}
	return found
}

func TestKillLeavesOtherChildrenOfTheStreamAlone(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		a := r.sh("exec sleep 1000")
		b := r.sh("sleep 1000 & echo $!; wait")
		member := number(t, b.Stdout)
		r.Kill(a.ID)
		r.ends(a)
		if !alive(b.PID) || !alive(member) {
			t.Error("another child of the stream was killed too")
		}
		r.Kill(b.ID)
		r.ends(b)
	})
}

func TestOrdersForAChildThatHasEndedAreNoError(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.sh("exit 0")
		r.ends(c)
		for _, id := range []ID{c.ID, 12345} {
			for _, err := range []error{
				r.Signal(id, unix.SIGTERM, Group), r.Signal(id, unix.SIGTERM, Main), r.Signal(id, unix.SIGTERM, All),
				r.Kill(id), r.Forget(id), r.CloseEnd(id, Stdin),
			} {
				if err != nil {
					t.Error(err)
				}
			}
		}
		if err := r.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestIOCountsTheDescendantsToo(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		// The shell itself writes a line; its living child 3 MB.
		c := r.sh("(head -c 3000000 /dev/zero | cat >/dev/null; echo done; sleep 1000) & wait")
		line(t, c.Stdout)
		got, err := r.IO(t.Context(), []ID{c.ID, 999})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[c.ID].WriteChars < 6000000 || got[c.ID].ReadChars < 6000000 {
			t.Errorf("%+v", got)
		}
		r.Kill(c.ID)
		r.ends(c)
	})
}

func TestPlainPipeStdinEndsWhenBothEndsAreClosed(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.start(SpawnRequest{Stream: "s", Argv: []string{"cat"}, Stdin: Pipe, Stdout: Pipe})
		c.Stdin.Write([]byte("x"))
		if err := r.CloseEnd(c.ID, Stdin); err != nil {
			t.Error(err)
		}
		c.Stdin.Close()
		if got := readAll(t, c.Stdout); got != "x" {
			t.Errorf("%q", got)
		}
		if e := r.ends(c); e.Code != 0 {
			t.Errorf("%+v", e)
		}
	})
}

func TestManyChildrenNeedFewThreads(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		const n = 200
		var children []*Child
		for range n {
			children = append(children, r.start(SpawnRequest{Stream: "s", Argv: []string{"cat"}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true}))
		}
		tids, err := threads(r.shim)
		if err != nil {
			t.Fatal(err)
		}
		if len(tids) >= 24 {
			t.Errorf("%d threads hold %d children", len(tids), n)
		}
		for _, c := range children {
			c.close()
			r.CloseEnd(c.ID, Stdin)
			r.Signal(c.ID, unix.SIGTERM, Group)
		}
		ended := map[ID]bool{}
		for range n {
			e := next[Exited](r)
			if ended[e.ID] || e.Unknown {
				t.Errorf("%+v", e)
			}
			ended[e.ID] = true
			r.Forget(e.ID)
		}
	})
}

func TestNothingLeaksOverManyChildren(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		round := func() {
			for range 20 {
				c := r.start(SpawnRequest{Stream: "s", Argv: []string{"true"}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true})
				r.ends(c)
				if _, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/nowhere"}, Stdin: Pipe, Stdout: Pipe}); err == nil {
					t.Error("a program that is not there was started")
				}
				if _, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/nowhere"}, Stdin: Pipe, UMask: ptr[uint32](0)}); err == nil {
					t.Error("a program that is not there was started")
				}
			}
			if err := r.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		round()
		var before int
		until(t, "the failed helpers are gone", func() bool { before = fdCount(t, r.shim); return len(childrenOf(r.shim)) == 0 || r.shim == os.Getpid() })
		round()
		until(t, "no more descriptors are open than before", func() bool { return fdCount(t, r.shim) <= before })
	})
}
