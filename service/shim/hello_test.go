package shim

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rawKeeper is a keeper that says what it is told to, and may die at any point.
type rawKeeper struct {
	*conn
	t *testing.T
}

func dialRaw(t *testing.T, l *linger) *rawKeeper {
	t.Helper()
	fd, err := dialSocket(t.Context(), l.path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(fd, "raw keeper")
	if err != nil {
		t.Fatal(err)
	}
	k := &rawKeeper{c, t}
	t.Cleanup(k.close)
	return k
}

func (k *rawKeeper) say(m *message) {
	k.t.Helper()
	if err := k.send(m, nil); err != nil {
		k.t.Fatal(err)
	}
}

// greet says hello and waits for the end of the answer.
func (k *rawKeeper) greet() {
	k.t.Helper()
	k.say(&message{Type: msgHello, Hello: &helloBody{Min: Version, Max: Version}})
	k.await(msgHelloEnd)
	k.say(&message{Type: msgReady})
}

// await reads up to the first message of a type.
func (k *rawKeeper) await(kind string) *message {
	k.t.Helper()
	k.file.SetReadDeadline(time.Now().Add(patience))
	for {
		m, fds, err := k.receive()
		if err != nil {
			k.t.Fatalf("waiting for %s: %v", kind, err)
		}
		closeAll(fds)
		if m.Type == kind {
			return m
		}
	}
}

// endAll kills what hello told of, and forgets it.
func (r *rig) endAll() {
	r.t.Helper()
	held := r.Hello().Children
	for _, h := range held {
		h.close()
		r.Kill(h.ID)
	}
	for range held {
		next[Empty](r)
	}
	for _, h := range held {
		r.Forget(h.ID)
	}
	r.Ping(r.t.Context())
}

// What a keeper has asked for and not lived to see is in the next one's hello:
// all of it, for nothing of it fails here, and nothing comes to life later.
func TestKeeperDiesInTheMiddleOfSpawns(t *testing.T) {
	t.Run("without cgroups", func(t *testing.T) { testKeeperDiesInSpawns(t, startLinger(t)) })
	t.Run("with cgroups", func(t *testing.T) {
		l, _ := startInCgroup(t)
		testKeeperDiesInSpawns(t, l)
	})
}

func testKeeperDiesInSpawns(t *testing.T, l *linger) {
	const each = 5
	for _, how := range []struct {
		name string
		req  SpawnRequest
	}{
		{"plain", SpawnRequest{}},
		{"through the helper", SpawnRequest{UMask: ptr[uint32](0)}},
	} {
		for _, frozen := range []bool{false, true} {
			for range 5 {
				k := dialRaw(t, l)
				k.greet()
				shim := l.cmd.Process.Pid
				if frozen { // so that the death and the next keeper are there before the spawns begin
					unix.Kill(shim, unix.SIGSTOP)
				}
				req := how.req
				req.Path, req.Argv, req.Stderr = "/bin/sh", []string{"sh", "-c", "echo x >&2; exec sleep 1000"}, Pipe
				for i := range each {
					req.Stream = fmt.Sprint("cam", i)
					k.say(&message{Type: msgSpawn, Seq: uint64(i + 1), Spawn: req.body()})
				}
				k.close()
				if frozen {
					time.AfterFunc(10*time.Millisecond, func() { unix.Kill(shim, unix.SIGCONT) })
				}
				r := l.dial(t)
				var told, there []int
				for _, h := range r.Hello().Children {
					if h.Exited != nil || h.Stderr == nil || h.PIDFD == nil {
						t.Errorf("%+v", h)
					}
					told = append(told, h.PID)
				}
				there = childrenOf(shim)
				slices.Sort(told)
				slices.Sort(there)
				if len(told) != each || !slices.Equal(told, there) {
					t.Errorf("%s, frozen %v: hello has %v, the shim has %v", how.name, frozen, told, there)
				}
				r.endAll()
				r.leaveAlone()
			}
		}
	}
}

// A keeper that does not hear any more, though its end has not come yet: its
// child waits for the next.
func TestUndeliverableAnswerIsInTheNextHello(t *testing.T) {
	l := startLinger(t)
	for _, umask := range []*uint32{nil, ptr[uint32](0)} {
		k := dialRaw(t, l)
		k.greet()
		unix.Shutdown(k.fd, unix.SHUT_RD) // the shim's send says EPIPE
		k.say(&message{Type: msgSpawn, Seq: 1, Spawn: (&SpawnRequest{
			Stream: "cam1", Path: "/bin/sh", Argv: []string{"sh", "-c", "echo words >&2; exec sleep 1000"}, Stderr: Pipe, UMask: umask,
		}).body()})
		until(t, "the child runs", func() bool {
			pids := childrenOf(l.cmd.Process.Pid)
			if len(pids) != 1 {
				return false
			}
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pids[0]))
			return string(name) == "sleep\n"
		})
		k.close()
		r := l.dial(t)
		held := r.Hello().Children
		if len(held) != 1 || held[0].Stream != "cam1" || held[0].Exited != nil {
			t.Fatalf("%+v", held)
		}
		if got := string(held[0].Drained[Stderr].Data) + available(held[0].Stderr); got != "words\n" {
			t.Errorf("%q", got)
		}
		r.endAll()
		r.leaveAlone()
	}
}

// A keeper that waits for its answer says nothing else, and if it goes the next
// one gets it.
func TestKeeperThatWaitsForItsHelloCanDie(t *testing.T) {
	l := startLinger(t)
	shim := l.cmd.Process.Pid
	for range 5 {
		k := dialRaw(t, l)
		k.greet()
		unix.Kill(shim, unix.SIGSTOP)
		for i := range 5 {
			k.say(&message{Type: msgSpawn, Seq: uint64(i + 1), Spawn: (&SpawnRequest{
				Stream: "cam1", Path: "/bin/sleep", Argv: []string{"sleep", "1000"}, UMask: ptr[uint32](0),
			}).body()})
		}
		k.close()
		second := dialRaw(t, l)
		second.say(&message{Type: msgHello, Hello: &helloBody{Min: Version, Max: Version}})
		second.say(&message{Type: msgPing, Seq: 9}) // too early, or not
		second.say(&message{Type: msgHello, Hello: &helloBody{Min: Version, Max: Version}})
		second.close()
		unix.Kill(shim, unix.SIGCONT)
		r := l.dial(t)
		held := r.Hello().Children
		if len(held) != 5 || len(childrenOf(shim)) != 5 {
			t.Errorf("hello has %d, the shim has %v", len(held), childrenOf(shim))
		}
		r.endAll()
		r.leaveAlone()
	}
}
