package stream

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// fakeShim is a shim without processes, for interleavings that the kernel
// cannot be made to show at will. A test holds it against the real one. What
// a child does is its last argument: "exit N", "leave N" (its main process
// exits with N, something of its group goes on), anything else runs until a
// signal.
type fakeShim struct {
	t     *testing.T
	event func(shim.Event)

	mu       sync.Mutex
	last     shim.ID
	children map[shim.ID]*fakeChild // not forgotten
	notes    map[string][]byte
	pending  []*fakeSpawn
	trouble  []string // broken invariants

	lost   bool
	hold   bool                 // spawns are not answered until release
	delay  func() time.Duration // of each thing; nil: none
	refuse func() error         // of each spawn; nil: none
	deaf   func() bool          // to each TERM; nil: obeyed
	stuck  func() time.Duration // how long a KILL takes; nil: no time
	spawns int
	log    []string
}

type fakeChild struct {
	shim.Child
	what              string
	main, group       bool
	exited, forgotten bool
	terms             int
	killing           bool
}

type fakeSpawn struct {
	req  shim.SpawnRequest
	done func(*shim.Child, error)
}

func newFakeShim(t *testing.T, event func(shim.Event)) *fakeShim {
	return &fakeShim{t: t, event: event, children: map[shim.ID]*fakeChild{}, notes: map[string][]byte{}}
}

// later runs f, which has the lock, after the usual delay.
func (s *fakeShim) later(f func() (after func())) {
	var d time.Duration
	if s.delay != nil {
		d = s.delay()
	}
	time.AfterFunc(d, func() {
		s.mu.Lock()
		after := f()
		s.mu.Unlock()
		if after != nil {
			after()
		}
	})
}

func (s *fakeShim) wrong(format string, args ...any) {
	s.trouble = append(s.trouble, fmt.Sprintf(format, args...))
}

func (s *fakeShim) Spawn(req shim.SpawnRequest, _ []*os.File, done func(*shim.Child, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spawns++
	if OwnerOf(req.Stream) == req.Stream {
		for _, c := range s.children {
			if c.Stream == req.Stream && c.group {
				s.wrong("a second process of %s is asked for", req.Stream)
			}
		}
		for _, p := range s.pending {
			if p.req.Stream == req.Stream {
				s.wrong("a second spawn of %s is asked for", req.Stream)
			}
		}
	}
	if s.lost {
		go done(nil, shim.ErrLost)
		return
	}
	p := &fakeSpawn{req, done}
	s.pending = append(s.pending, p)
	if !s.hold {
		s.later(func() func() { return s.answer(p) })
	}
}

// release answers what hold held back, in order.
func (s *fakeShim) release() {
	s.mu.Lock()
	s.hold = false
	var calls []func()
	for _, p := range slices.Clone(s.pending) {
		calls = append(calls, s.answer(p))
	}
	s.mu.Unlock()
	for _, f := range calls {
		f()
	}
}

func (s *fakeShim) answer(p *fakeSpawn) func() {
	i := slices.Index(s.pending, p)
	if i < 0 {
		return nil // lost meanwhile
	}
	s.pending = slices.Delete(s.pending, i, i+1)
	if _, err := os.Stat(p.req.Path); err != nil {
		return func() {
			p.done(nil, &shim.SpawnError{Path: p.req.Path, Op: "exec", Err: syscall.ENOENT, NoProgram: true})
		}
	}
	if s.refuse != nil {
		if err := s.refuse(); err != nil {
			return func() { p.done(nil, err) }
		}
	}
	s.last++
	c := &fakeChild{what: p.req.Argv[len(p.req.Argv)-1], main: true, group: true}
	c.Child = shim.Child{ID: s.last, Stream: p.req.Stream, PID: 1000 + int(s.last), Started: time.Now()}
	s.children[c.ID] = c
	child := c.Child
	return func() {
		p.done(&child, nil)
		var code int
		if n, _ := fmt.Sscanf(c.what, "exit %d", &code); n == 1 {
			s.later(func() func() { return s.exit(c, code, 0, true) })
		} else if n, _ := fmt.Sscanf(c.what, "leave %d", &code); n == 1 {
			s.later(func() func() { return s.exit(c, code, 0, false) })
		}
	}
}

// exit ends the main process, and with all everything of the child.
func (s *fakeShim) exit(c *fakeChild, code, signal int, all bool) func() {
	if s.children[c.ID] != c {
		return nil
	}
	var events []shim.Event
	if c.main {
		c.main, c.exited = false, true
		events = append(events, shim.Exited{ID: c.ID, Stream: c.Stream, PID: c.PID, Code: code, Signal: signal, At: time.Now()})
	}
	if all && c.group {
		c.group = false
		events = append(events, shim.Empty{ID: c.ID, Stream: c.Stream, At: time.Now()})
		if c.forgotten {
			delete(s.children, c.ID)
		}
	}
	return func() {
		for _, ev := range events {
			s.event(ev)
		}
	}
}

func (s *fakeShim) Signal(id shim.ID, sig syscall.Signal, _ shim.Scope) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.children[id]
	if s.lost {
		return shim.ErrLost
	}
	if c == nil || !c.group {
		return nil
	}
	s.log = append(s.log, fmt.Sprintf("signal %d", sig))
	if sig == syscall.SIGTERM {
		if c.terms++; c.terms > 1 {
			s.wrong("a second TERM for %s", c.Stream)
		}
		if s.deaf != nil && s.deaf() {
			return nil
		}
	}
	s.later(func() func() { return s.exit(c, 0, int(sig), true) })
	return nil
}

func (s *fakeShim) Kill(id shim.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		return shim.ErrLost
	}
	c := s.children[id]
	if c == nil || !c.group || c.killing {
		return nil
	}
	s.log = append(s.log, "kill")
	c.killing = true
	var d time.Duration
	if s.stuck != nil {
		d = s.stuck()
	}
	time.AfterFunc(d, func() {
		s.mu.Lock()
		after := s.exit(c, 0, 9, true)
		s.mu.Unlock()
		if after != nil {
			after()
		}
	})
	return nil
}

func (s *fakeShim) Note(key string, blob []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lost:
		return shim.ErrLost
	case len(blob) == 0:
		delete(s.notes, key)
	default:
		s.notes[key] = blob
	}
	return nil
}

func (s *fakeShim) CloseEnd(shim.ID, shim.End) error { return nil }

func (s *fakeShim) Forget(id shim.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.children[id]
	if c == nil || !c.exited {
		return nil // a child that runs is not forgotten
	}
	c.forgotten = true
	if !c.group {
		delete(s.children, id)
	}
	return nil
}

func (s *fakeShim) IO(context.Context, []shim.ID) (map[shim.ID]shim.IO, error) { return nil, nil }

// lose is the shim's death, and the children's.
func (s *fakeShim) lose() {
	s.mu.Lock()
	s.lost = true
	clear(s.children)
	clear(s.notes)
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	for _, p := range pending {
		p.done(nil, shim.ErrLost)
	}
}

func (s *fakeShim) back() {
	s.mu.Lock()
	s.lost = false
	s.mu.Unlock()
}

// held is how many children have not been forgotten, alive those of which
// something lives.
func (s *fakeShim) held() (held, alive int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.children {
		if c.group {
			alive++
		}
	}
	return len(s.children), alive
}

// TestTheFakeShimBehavesLikeTheRealOne plays the same to both and compares
// what they tell.
func TestTheFakeShimBehavesLikeTheRealOne(t *testing.T) {
	play := func(t *testing.T, s Shim, events <-chan shim.Event, argv func(what string) []string) (told []string) {
		next := func() {
			select {
			case ev := <-events:
				switch ev := ev.(type) {
				case shim.Exited:
					told = append(told, fmt.Sprintf("%d exited %d %d", ev.ID, ev.Code, ev.Signal))
				case shim.Empty:
					told = append(told, fmt.Sprintf("%d empty", ev.ID))
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("no event after %q", told)
			}
		}
		spawn := func(path, what string) *shim.Child {
			got := make(chan *shim.Child, 1)
			s.Spawn(shim.SpawnRequest{Stream: "s", Path: path, Argv: argv(what)}, nil, func(c *shim.Child, err error) {
				if se, ok := err.(*shim.SpawnError); ok {
					told = append(told, fmt.Sprintf("no program %v", se.NoProgram))
				} else {
					told = append(told, fmt.Sprintf("%d spawned", c.ID))
				}
				got <- c
			})
			c := <-got
			if c != nil && c.PIDFD != nil {
				c.PIDFD.Close()
			}
			return c
		}
		c := spawn("/bin/sh", "exit 7")
		next()
		next()
		s.Forget(c.ID)
		s.Kill(c.ID) // of one that is gone: nothing

		c = spawn("/bin/sh", "run")
		s.Forget(c.ID) // it runs: not forgotten
		s.Kill(c.ID)
		next()
		next()
		s.Forget(c.ID)

		c = spawn("/bin/sh", "run")
		s.Signal(c.ID, syscall.SIGTERM, shim.Group)
		next()
		next()
		s.Forget(c.ID)

		spawn("/nonexistent", "run")

		c = spawn("/bin/sh", "leave 3")
		next()
		s.Forget(c.ID) // empty comes all the same
		s.Kill(c.ID)
		next()
		return told
	}

	events := make(chan shim.Event, 100)
	real, err := shim.InProcess(func(ev shim.Event) { events <- ev })
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	want := play(t, real, events, func(what string) []string {
		switch what {
		case "run":
			what = "exec sleep 1000"
		case "leave 3":
			what = "sleep 1000 & exit 3"
		}
		return []string{"sh", "-c", what}
	})
	fakeEvents := make(chan shim.Event, 100)
	fake := newFakeShim(t, func(ev shim.Event) { fakeEvents <- ev })
	got := play(t, fake, fakeEvents, func(what string) []string { return []string{what} })
	if !slices.Equal(got, want) {
		t.Errorf("the fake tells\n%q, the real one\n%q", got, want)
	}
	if held, _ := fake.held(); held != 0 || len(fake.trouble) > 0 {
		t.Errorf("%d held, %q", held, fake.trouble)
	}
}
