package stream

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/shim/lingertest"
)

// lingering is a shim that goes on without its keeper, the real one or the
// fake.
type lingering struct {
	connect func(shim.Handler) (s Shim, notes map[string][]byte, held []*shim.Held)
	die     func() // the keeper that is connected
	killed  func(pid int)
	argv    func(what string) []string
}

// realLingering is a shim in this process that listens.
func realLingering(t *testing.T) *lingering {
	path := lingertest.Listen(t)
	var client *shim.Client
	return &lingering{
		connect: func(h shim.Handler) (Shim, map[string][]byte, []*shim.Held) {
			var err error
			if client, err = shim.Dial(context.Background(), path, h); err != nil {
				t.Fatal(err)
			}
			hello := client.Hello()
			held := make([]*shim.Held, len(hello.Children))
			for i := range held {
				held[i] = &hello.Children[i]
			}
			return client, hello.Notes, held
		},
		die:    func() { client.Close() },
		killed: func(pid int) { syscall.Kill(pid, syscall.SIGKILL) },
		argv: func(what string) []string {
			switch what {
			case "run":
				what = "trap '' TERM; echo; exec sleep 1000"
			case "leave 3":
				what = "sleep 1000 & echo; exit 3"
			default:
				what = "echo; " + what
			}
			return []string{"sh", "-c", what}
		},
	}
}

func fakeLingering(t *testing.T) *lingering {
	fake := newFakeShim(t)
	fake.deaf = func() bool { return true }
	t.Cleanup(func() {
		if held, _ := fake.held(); held != 0 || len(fake.trouble) > 0 {
			t.Errorf("%d held, %q", held, fake.trouble)
		}
	})
	return &lingering{
		connect: func(h shim.Handler) (Shim, map[string][]byte, []*shim.Held) { return fake.connect(h) },
		die: func() {
			fake.mu.Lock()
			fake.link.dead = true
			fake.mu.Unlock()
		},
		killed: func(pid int) {
			fake.mu.Lock()
			defer fake.mu.Unlock()
			for _, c := range fake.children {
				if c.PID == pid {
					fake.exit(c, 0, 9, true)
				}
			}
		},
		argv: func(what string) []string { return []string{what} },
	}
}

// keeperPlay is one keeper of the play, and writes down what it is told.
type keeperPlay struct {
	t      *testing.T
	l      *lingering
	shim   Shim
	events chan shim.Event
	name   string // of its streams
	spawns int
	told   []string
}

func (k *keeperPlay) tell(format string, args ...any) {
	k.told = append(k.told, fmt.Sprintf(format, args...))
}

func number(id shim.ID) uint64 { return localNumber(id) }

func (k *keeperPlay) event() shim.Event {
	k.t.Helper()
	select {
	case ev := <-k.events:
		return ev
	case <-time.After(20 * time.Second):
		k.t.Fatalf("no event after %q", k.told)
		return nil
	}
}

func (k *keeperPlay) next() {
	k.t.Helper()
	switch ev := k.event().(type) {
	case shim.Exited:
		k.tell("%d exited %d %d", number(ev.ID), ev.Code, ev.Signal)
	case shim.Empty:
		k.tell("%d empty", number(ev.ID))
	}
}

func (k *keeperPlay) spawn(what string) *shim.Child {
	k.t.Helper()
	got := make(chan *shim.Child, 1)
	k.spawns++
	name := fmt.Sprint(k.name, k.spawns) // a stream has one process only
	k.shim.Spawn(shim.SpawnRequest{Stream: name, Path: "/bin/sh", Argv: k.l.argv(what), Stdout: shim.Pipe}, nil, func(c *shim.Child, err error) {
		if err != nil {
			k.t.Error(err)
		}
		got <- c
	})
	c := <-got
	if c == nil {
		k.t.Fatal("no child")
	}
	if c.Stdout != nil {
		bufio.NewReader(c.Stdout).ReadString('\n') // it has begun
	}
	discard(c)
	return c
}

// meet connects a keeper, and has it told what there is. That ended has ended is
// awaited where the shim has not seen it yet.
func meet(t *testing.T, l *lingering, name string, ended shim.ID) (*keeperPlay, map[uint64]shim.ID) {
	k := &keeperPlay{t: t, l: l, name: name, events: make(chan shim.Event, 100)}
	s, notes, held := l.connect(func(ev shim.Event) { k.events <- ev })
	k.shim = s
	ids := map[uint64]shim.ID{}
	for _, h := range held {
		ids[number(h.ID)] = h.ID
		discard(&h.Child)
		for number(h.ID) == uint64(ended) && !h.Empty {
			switch ev := k.event().(type) {
			case shim.Exited:
				h.Exited = &ev
			case shim.Empty:
				h.Empty = true
			}
		}
		exit := "runs"
		if h.Exited != nil {
			exit = fmt.Sprintf("exited %d %d", h.Exited.Code, h.Exited.Signal)
		}
		k.tell("%d of %s %s, empty %v, termed %v, killing %v", number(h.ID), h.Stream, exit, h.Empty, h.Termed, h.Killing)
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		k.tell("note %s: %s", key, notes[key])
	}
	return k, ids
}

// TestTheFakeShimKeepsWhatTheRealOneKeeps plays three keepers to both, one
// after the other, and compares what they are told.
func TestTheFakeShimKeepsWhatTheRealOneKeeps(t *testing.T) {
	play := func(t *testing.T, l *lingering) (told []string) {
		k, _ := meet(t, l, "first", 0)
		k.shim.Note("s", []byte("first"))
		k.shim.Note("s", []byte("second"))
		k.shim.Note("t", []byte("gone"))
		k.shim.Note("t", nil)
		deaf := k.spawn("run")
		k.shim.Signal(deaf.ID, syscall.SIGTERM, shim.Group)
		killed := k.spawn("run")
		k.shim.Kill(killed.ID)
		k.next()
		k.next()
		forgotten := k.spawn("exit 7")
		k.next()
		k.next()
		k.shim.Forget(forgotten.ID)
		meanwhile := k.spawn("run")
		left := k.spawn("leave 3")
		k.next()
		k.shim.Forget(left.ID)
		told = append(told, k.told...)
		l.die()

		l.killed(meanwhile.PID)
		k, ids := meet(t, l, "second", meanwhile.ID)
		k.shim.Kill(ids[number(deaf.ID)])
		k.next()
		k.next()
		k.shim.Forget(ids[number(deaf.ID)])
		k.shim.Forget(ids[number(killed.ID)])
		told = append(told, k.told...)
		l.die()

		k, ids = meet(t, l, "third", 0)
		k.shim.Forget(ids[number(meanwhile.ID)])
		global := func(c *shim.Child) shim.ID { return ids[number(meanwhile.ID)] - meanwhile.ID + c.ID }
		k.shim.Kill(global(left)) // forgotten, and not told of, but not gone
		k.next()
		again := k.spawn("exit 5")
		k.next()
		k.next()
		k.shim.Forget(again.ID)
		k.shim.Note("s", nil)
		told = append(told, k.told...)
		l.die()

		k, _ = meet(t, l, "fourth", 0)
		told = append(told, k.told...)
		l.die()
		return told
	}
	want := play(t, realLingering(t))
	if got := play(t, fakeLingering(t)); !slices.Equal(got, want) {
		t.Errorf("the fake tells\n%q, the real one\n%q", got, want)
	}
	if len(want) < 15 {
		t.Errorf("only %q", want)
	}
}
