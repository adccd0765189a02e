package stream

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
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
// signal. It outlives its keepers, each of which has a fakeLink.
type fakeShim struct {
	t *testing.T

	mu       sync.Mutex
	link     *fakeLink // of the keeper there is; nil: none yet
	links    int       // how often a keeper has met a shim
	last     shim.ID
	lastPID  int
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
	tell   func(what string, c *fakeChild)
	spawns int
	log    []string
}

type fakeChild struct {
	shim.Child
	what        string
	main, group bool
	exited      *shim.Exited
	forgotten   bool
	terms       int
	killing     bool
	drained     map[shim.End]shim.Drained
}

type fakeSpawn struct {
	link *fakeLink
	req  shim.SpawnRequest
	done func(*shim.Child, error)
}

func newFakeShim(t *testing.T) *fakeShim {
	return &fakeShim{t: t, children: map[shim.ID]*fakeChild{}, notes: map[string][]byte{}}
}

// fakeLink is one keeper's connection.
type fakeLink struct {
	*fakeShim
	number uint64 // as in the link of the service room
	event  func(shim.Event)
	dead   bool // this keeper has been killed: nothing of it arrives any more
	sent   []string
	cut    int    // it is killed before the send of this number, from 0; negative: never
	until  string // it is killed when it has sent something that begins with this
}

// connect is a new keeper's hello: what there is, as the shim tells it. What
// the keeper before has sent has been done by then, and is not answered.
func (s *fakeShim) connect(event func(shim.Event)) (l *fakeLink, notes map[string][]byte, held []*shim.Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil {
		s.link.dead = true
	}
	for _, p := range slices.Clone(s.pending) {
		s.answer(p)
	}
	l = &fakeLink{fakeShim: s, number: uint64(s.links), event: event, cut: -1}
	s.link = l
	s.links++
	for _, id := range slices.Sorted(maps.Keys(s.children)) {
		c := s.children[id]
		if c.forgotten {
			continue
		}
		h := &shim.Held{Child: c.Child, Empty: !c.group, Termed: c.terms > 0, Killing: c.killing, Drained: c.drained}
		h.ID = l.global(id)
		if c.exited != nil {
			x := *c.exited
			x.ID = h.ID
			h.Exited = &x
		}
		c.drained = nil
		held = append(held, h)
	}
	return l, maps.Clone(s.notes), held
}

func (l *fakeLink) global(id shim.ID) shim.ID { return GlobalID(l.number, id) }

// local is the shim's own number of a child, 0 where it was another shim's.
func (l *fakeLink) local(id shim.ID) shim.ID {
	if number, local := LocalID(id); number == l.number {
		return local
	}
	return 0
}

// send counts what the keeper sends, has the lock, and says whether it arrives.
func (l *fakeLink) send(format string, args ...any) bool {
	if l.dead {
		return false
	}
	if len(l.sent) == l.cut {
		l.dead = true
		s := l.fakeShim
		s.happened("died", nil)
		return false
	}
	what := fmt.Sprintf(format, args...)
	l.sent = append(l.sent, what)
	if l.until != "" && strings.HasPrefix(what, l.until) {
		l.cut = len(l.sent)
	}
	return true
}

// alive is the keeper that hears of things now; nil: none.
func (s *fakeShim) alive() *fakeLink {
	if s.link == nil || s.link.dead {
		return nil
	}
	return s.link
}

// later runs f, which has the lock, after the usual delay.
func (s *fakeShim) later(f func() (after func())) {
	var d time.Duration
	if s.delay != nil {
		d = s.delay()
	}
	s.after(d, f)
}

func (s *fakeShim) after(d time.Duration, f func() (after func())) {
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

func (s *fakeShim) happened(what string, c *fakeChild) {
	if s.tell != nil {
		s.tell(what, c)
	}
}

func (l *fakeLink) Spawn(req shim.SpawnRequest, _ []*os.File, done func(*shim.Child, error)) {
	s := l.fakeShim
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.send("spawn %s", req.Stream) {
		return
	}
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
	asked := &fakeChild{Child: shim.Child{Stream: req.Stream}}
	if s.lost {
		s.happened("asked in vain", asked)
		go done(nil, shim.ErrLost)
		return
	}
	s.happened("asked", asked)
	p := &fakeSpawn{l, req, done}
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
		if f != nil {
			f()
		}
	}
}

// answer starts what was asked for; a keeper that has been killed is not told.
func (s *fakeShim) answer(p *fakeSpawn) func() {
	i := slices.Index(s.pending, p)
	if i < 0 {
		return nil // lost meanwhile
	}
	s.pending = slices.Delete(s.pending, i, i+1)
	done := p.done
	if p.link.dead {
		done = func(*shim.Child, error) {}
	}
	if _, err := os.Stat(p.req.Path); err != nil {
		return func() {
			done(nil, &shim.SpawnError{Path: p.req.Path, Op: "exec", Err: syscall.ENOENT, NoProgram: true})
		}
	}
	if s.refuse != nil {
		if err := s.refuse(); err != nil {
			s.happened("refused", &fakeChild{Child: shim.Child{Stream: p.req.Stream}})
			return func() { done(nil, err) }
		}
	}
	s.last++
	s.lastPID++
	c := &fakeChild{what: p.req.Argv[len(p.req.Argv)-1], main: true, group: true}
	c.Child = shim.Child{ID: s.last, Stream: p.req.Stream, PID: 1000 + s.lastPID, Started: time.Now()}
	s.children[c.ID] = c
	s.happened("spawned", c)
	child := c.Child
	child.ID = p.link.global(child.ID)
	act := func() {
		var code int
		if n, _ := fmt.Sscanf(c.what, "exit %d", &code); n == 1 {
			s.later(func() func() { return s.exit(c, code, 0, true) })
		} else if n, _ := fmt.Sscanf(c.what, "leave %d", &code); n == 1 {
			s.later(func() func() { return s.exit(c, code, 0, false) })
		}
	}
	if p.link.dead {
		act() // nobody calls what is returned
		return nil
	}
	return func() {
		done(&child, nil)
		act()
	}
}

// exit ends the main process, and with all everything of the child.
func (s *fakeShim) exit(c *fakeChild, code, signal int, all bool) func() {
	if s.children[c.ID] != c {
		return nil
	}
	l := s.alive()
	id := c.ID
	if l != nil {
		id = l.global(id)
	}
	var events []shim.Event
	if c.main {
		c.main = false
		c.exited = &shim.Exited{ID: id, Stream: c.Stream, PID: c.PID, Code: code, Signal: signal, At: time.Now()}
		events = append(events, *c.exited)
		s.happened("exited", c)
	}
	if all && c.group {
		c.group = false
		events = append(events, shim.Empty{ID: id, Stream: c.Stream, At: time.Now()})
		if c.forgotten {
			delete(s.children, c.ID)
		}
		s.happened("empty", c)
	}
	if l == nil {
		return nil // the next keeper finds it in its hello
	}
	return func() {
		for _, ev := range events {
			l.event(ev)
		}
	}
}

func (l *fakeLink) Signal(id shim.ID, sig syscall.Signal, _ shim.Scope) error {
	s := l.fakeShim
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.send("signal %d", sig) {
		return nil
	}
	if s.lost {
		return shim.ErrLost
	}
	c := s.children[l.local(id)]
	if c == nil || !c.group {
		return nil
	}
	s.log = append(s.log, fmt.Sprintf("signal %d", sig))
	s.happened("signalled", c)
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

func (l *fakeLink) Kill(id shim.ID) error {
	s := l.fakeShim
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.send("kill") {
		return nil
	}
	if s.lost {
		return shim.ErrLost
	}
	c := s.children[l.local(id)]
	if c == nil || !c.group || c.killing {
		return nil
	}
	s.log = append(s.log, "kill")
	s.happened("signalled", c)
	c.killing = true
	var d time.Duration
	if s.stuck != nil {
		d = s.stuck()
	}
	s.after(d, func() func() { return s.exit(c, 0, 9, true) })
	return nil
}

func (l *fakeLink) Note(key string, blob []byte) error {
	s := l.fakeShim
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.send("note %s", key) {
		return nil
	}
	switch {
	case s.lost:
		return nil // as the service room's link has it: the next shim is told all anew
	case len(blob) == 0:
		delete(s.notes, key)
	default:
		s.notes[key] = blob
	}
	return nil
}

func (l *fakeLink) CloseEnd(shim.ID, shim.End) error { return nil }

func (l *fakeLink) Forget(id shim.ID) error {
	s := l.fakeShim
	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.send("forget") {
		return nil
	}
	c := s.children[l.local(id)]
	if c == nil || c.exited == nil {
		return nil // a child that runs is not forgotten
	}
	c.forgotten = true
	if !c.group {
		delete(s.children, c.ID)
	}
	return nil
}

func (l *fakeLink) IO(context.Context, []shim.ID) (map[shim.ID]shim.IO, error) { return nil, nil }

// lose is the shim's death, and the children's.
func (s *fakeShim) lose() {
	s.mu.Lock()
	s.lost = true
	clear(s.children)
	clear(s.notes)
	pending := s.pending
	s.pending = nil
	var tell []func(*shim.Child, error)
	for _, p := range pending {
		if !p.link.dead {
			tell = append(tell, p.done)
		}
	}
	s.mu.Unlock()
	for _, done := range tell {
		done(nil, shim.ErrLost)
	}
}

// back is a new shim, which counts its children from 1 again.
func (s *fakeShim) back() {
	s.mu.Lock()
	s.lost, s.last = false, 0
	if s.link != nil {
		s.link.number = uint64(s.links)
		s.links++
	}
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
