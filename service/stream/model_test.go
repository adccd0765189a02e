package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// lives is how many are tried; each can be repeated alone by its number:
// go test -run 'TestManyLives/417$'.
const lives = 1200

// TestManyLives has streams live through whatever can happen, in random order:
// calls, exits, stalls, stuck kills, changed files, lost shims, and keepers
// that are handed over or killed at any moment, between any two things that
// they send. All the time the stream must be what the reference says.
func TestManyLives(t *testing.T) {
	var failed atomic.Bool // one story is enough to read
	for seed := range uint64(lives) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if failed.Load() {
				return
			}
			synctest.Test(t, func(t *testing.T) { newTrial(t, seed).run() })
			if t.Failed() {
				failed.Store(true)
			}
		})
	}
}

// happening is what the shim has seen of the stream's processes.
type happening struct {
	at   time.Time
	what string
	c    *fakeChild
	main bool
	code int
	sure bool // the keeper was alive
}

// line is one of a story.
type line struct {
	at     time.Time
	format string
	args   []any
}

// trial is one life.
type trial struct {
	*rig
	ref   *reference
	dice  sync.Mutex
	rnd   *rand.Rand
	story []line // what was done, for people

	alive   bool // there is a keeper
	up      bool // there is a shim
	forget  bool // the next keeper may know nothing
	armed   time.Time
	news    []happening // guarded by the shim's lock
	blocks  int
	removed bool
}

func newTrial(t *testing.T, seed uint64) *trial {
	r := &trial{rnd: rand.New(rand.NewPCG(seed, 11)), alive: true, up: true}
	r.rig = newRig(t, "run", func(c *Config) {
		d := c.Definition
		d.Restart = []streamfile.RestartPolicy{streamfile.RestartAlways, streamfile.RestartAlways, streamfile.RestartOnFailure, streamfile.RestartNo}[r.n(4)]
		if r.n(3) == 0 {
			d.RestartMaxAttempts = r.n(4)
		}
		if r.n(2) == 0 {
			d.Type, d.OnStall, d.StandardInput = streamfile.TypeFFmpeg, streamfile.OnStallRestart, streamfile.StdinNull
		}
		if r.n(4) == 0 {
			d.RestartSec = time.Duration(r.n(3)) * 10 * time.Second
		}
	})
	r.ref = newReference(r.cfg.Definition)
	r.set(func(s *fakeShim) {
		s.tell = r.happens
		if r.n(2) == 0 {
			s.delay = func() time.Duration { return time.Duration(r.n(2)*r.n(3000)) * time.Millisecond }
		}
		s.refuse = func() error {
			if r.n(12) == 0 {
				return []error{&shim.SpawnError{Path: "x", Op: "fork", Err: syscall.EAGAIN}, errors.New("odd")}[r.n(2)]
			}
			return nil
		}
		s.deaf = func() bool { return r.n(4) == 0 }
		s.stuck = func() time.Duration { return time.Duration(r.n(2)*r.n(2)*r.n(100)) * time.Second }
	})
	return r
}

// n is a random number. The shim asks for some, too; it has its lock then, and
// only one goroutine runs at any moment that matters.
func (r *trial) n(n int) int {
	r.dice.Lock()
	defer r.dice.Unlock()
	return r.rnd.IntN(n)
}

// happens is told by the shim, which has its lock.
func (r *trial) happens(what string, c *fakeChild) {
	h := happening{at: time.Now(), what: what, c: c, sure: r.shim.alive() != nil}
	if c != nil {
		if OwnerOf(c.Stream) != c.Stream {
			return
		}
		h.main = c.main
		if what == "exited" {
			h.code = c.exited.Code
			if c.exited.Signal != 0 {
				h.code = -c.exited.Signal
			}
		}
	}
	r.news = append(r.news, h)
}

// settle waits until nothing happens any more at this moment, tells the
// reference what did, and holds the stream against it.
func (r *trial) settle() {
	synctest.Wait()
	r.shim.mu.Lock()
	news := r.news
	r.news = nil
	dead := r.link.dead
	r.shim.mu.Unlock()
	for _, h := range news {
		r.story = append(r.story, line{h.at, "    %s %d", []any{h.what, h.code}})
		r.tell(h)
	}
	if r.alive && dead {
		r.alive = false
		r.end()
	}
	if r.alive && !r.removed {
		r.ref.seen(time.Now(), r.Core(), r.up)
	}
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	if r.ref.fault != "" || len(r.shim.trouble) > 0 || r.t.Failed() {
		for _, l := range r.story {
			r.t.Log(l.at.Format("15:04:05.000 ") + fmt.Sprintf(l.format, l.args...))
		}
		r.t.Fatalf("%s %q", r.ref.fault, r.shim.trouble)
	}
}

func (r *trial) tell(h happening) {
	ref := r.ref
	switch h.what {
	case "asked", "asked in vain":
		ref.spawnAsked(h.at, h.what != "asked")
	case "spawned":
		ref.spawned(h.at)
	case "refused":
		ref.refused(h.at, h.sure && r.alive && r.armed.IsZero())
	case "signalled":
		if h.main {
			ref.ended(h.at)
		}
	case "exited":
		ref.exited(h.at, h.code, h.sure)
	case "empty":
		ref.empty(h.at, h.sure && r.armed.IsZero())
	case "died":
		ref.died(h.at, r.armed)
	}
}

func (r *trial) did(format string, args ...any) {
	r.story = append(r.story, line{time.Now(), format, args})
}

// sure: the keeper lived through what was just asked of it.
func (r *trial) sure() bool {
	synctest.Wait()
	return r.lives()
}

// call asks something of the stream; f is what that means.
func (r *trial) call(what string, do func(), f func(possible, time.Time) possible) {
	if !r.alive {
		return
	}
	r.did("%s", what)
	do()
	r.ref.fork(f, time.Now(), r.sure())
	r.settle()
}

func (r *trial) start() {
	r.call("start", func() { r.Start(background(), WaitNone) }, r.ref.start)
}

func (r *trial) stop() {
	r.call("stop", func() { r.Stop(background(), WaitNone, time.Duration(r.n(2))*time.Second) }, r.ref.stop)
}

// process is one of which something lives, and what there is to know of it now;
// nil: none.
func (r *trial) process() (c *fakeChild, now fakeChild) {
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	for _, c := range r.shim.children {
		if c.group {
			return c, *c
		}
	}
	return nil, fakeChild{}
}

// noted says whether word of what runs has been left.
func (r *trial) noted() bool {
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	return r.shim.notes["cam1"+noteRun] != nil
}

func (r *trial) run() {
	defer func() { r.end() }()
	for range 60 {
		r.act()
		if r.n(2) == 0 {
			d := []time.Duration{time.Second, 10 * time.Second, 100 * time.Second}[r.n(3)]
			time.Sleep(time.Duration(r.n(int(d/time.Millisecond))) * time.Millisecond)
			r.settle()
		}
	}
	r.last()
}

func (r *trial) act() {
	switch r.n(24) {
	case 0, 1, 2:
		r.start()
	case 3, 4:
		r.stop()
	case 5:
		r.call("restart", func() { r.Restart(background(), WaitNone, 0) }, r.ref.restart)
	case 6:
		r.call("reset", func() { r.ResetFailed(background()) }, r.ref.reset)
	case 7:
		r.file()
	case 8:
		sig := []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP}[r.n(2)]
		if _, c := r.process(); c.terms > 0 {
			sig = syscall.SIGHUP // a second TERM by hand is its sender's fault
		}
		r.ref.byHand = true
		r.call(sig.String(), func() { r.Kill(background(), sig) }, func(p possible, _ time.Time) possible { return p })
		r.ref.byHand = false
	case 9, 10, 11:
		if c, _ := r.process(); c != nil {
			code, all := r.n(3), r.n(3) > 0
			r.did("exit %d, all %v", code, all)
			r.exits(c, code, all)
			r.settle()
		}
	case 12, 13, 14, 15:
		r.deliver()
	case 16:
		r.lostShim()
	case 17:
		if r.alive && r.up {
			r.did("handed over")
			r.handOver()
			r.alive = false
		}
	case 18:
		if r.alive {
			r.did("killed")
			r.die()
			r.alive = false
		}
	case 19, 20:
		if r.alive && r.armed.IsZero() {
			n := r.n(7)
			r.did("to be killed after %d more", n)
			r.dieAfter(n)
			r.armed = time.Now()
		}
	default:
		r.nextKeeper()
	}
}

// nextKeeper takes over where there is none.
func (r *trial) nextKeeper() {
	if r.alive {
		return
	}
	if !r.up {
		r.newShim()
	}
	r.did("next keeper")
	r.alive, r.armed = true, time.Time{}
	if r.ref.bad && (r.forget || !r.noted()) {
		r.mend() // of an unknown stream with a broken file other tests tell
	}
	if r.forget {
		r.ref.all[possible{rest: true}] = true
		r.forget = false
	}
	_, before := r.process()
	r.keeper()
	r.ref.taken = time.Now()
	if _, c := r.process(); c.main && len(before.drained) > 0 {
		r.ref.delivered(time.Now(), true)
	}
	r.settle()
	if r.alive && !r.Known() {
		r.start() // as Autostart= has it
	}
}

func (r *trial) forgotten() {
	r.ref.forgotten()
	r.forget = true
}

func (r *trial) lostShim() {
	switch {
	case !r.up:
		r.newShim()
	case r.alive:
		r.did("shim lost")
		r.up = false
		r.ref.shimLost(time.Now())
		r.lose()
		r.settle()
		if !r.alive {
			r.forgotten()
		}
	default:
		r.did("shim lost while nobody was there")
		r.up = false
		r.shim.lose()
		r.forgotten()
		r.settle()
	}
}

// newShim has a new shim come up; a keeper that is there hears of it.
func (r *trial) newShim() {
	r.did("new shim")
	r.up = true
	if !r.alive {
		r.shim.back()
		r.forgotten()
		return
	}
	r.ref.shimBack(time.Now())
	r.back()
	r.forget = !r.sure()
	r.settle()
}

// deliver has something come out of the process.
func (r *trial) deliver() {
	c, now := r.process()
	if !now.main || r.ref.def.Type != streamfile.TypeFFmpeg {
		return
	}
	r.blocks++
	data := fmt.Appendf(nil, "frame=%d\nout_time_us=%d\nprogress=continue\n", r.blocks, r.blocks)
	r.did("block %d", r.blocks)
	if !r.alive {
		r.ref.delivered(time.Now(), false)
		d := now.drained[shim.Progress]
		d.Data = append(d.Data, data...)
		r.set(func(*fakeShim) { c.drained = map[shim.End]shim.Drained{shim.Progress: d} })
		return
	}
	r.post(func() {
		if r.in.owner.proc != nil {
			r.in.owner.feedProgress(data)
		}
	})
	r.ref.delivered(time.Now(), r.sure() && r.armed.IsZero())
	r.settle()
}

// file changes the stream's file, breaks it or mends it.
func (r *trial) file() {
	what := r.n(3)
	if !r.alive && !r.noted() {
		what = 1 // of a stream without any definition other tests tell
	}
	r.write(what)
	if r.alive {
		r.Reload(r.cfg.Definition, r.cfg.Broken)
		synctest.Wait()
	}
	r.settle()
}

func (r *trial) mend() { r.write(1) }

// write writes a new file, a broken one if what is 0.
func (r *trial) write(what int) {
	changed := *r.ref.def
	changed.Digest = fmt.Sprint(r.n(3))
	r.did("file %d, %s", what, changed.Digest)
	if what == 0 {
		r.cfg.Definition, r.cfg.Broken = nil, "rubbish"
	} else {
		r.cfg.Definition, r.cfg.Broken = &changed, ""
	}
	r.ref.bad = what == 0
}

// last is the end of all lives: a stop ends everything, and the notes say so.
func (r *trial) last() {
	r.nextKeeper()
	for !r.alive || !r.up || !r.armed.IsZero() {
		r.nextKeeper()
		if !r.up {
			r.newShim()
		}
		if r.alive && !r.armed.IsZero() {
			r.die()
			r.alive = false
		}
	}
	r.stop()
	for range 5 {
		time.Sleep(time.Minute) // what was stuck is gone
		r.settle()
	}
	r.sane(0)
	var note record
	r.shim.mu.Lock()
	data := r.shim.notes["cam1"]
	r.shim.mu.Unlock()
	if data != nil {
		if err := json.Unmarshal(data, &note); err != nil || note.Wanted || note.Group || note.State != StateStopped && note.State != StateFailed {
			r.t.Errorf("%v, the note says %s", err, data)
		}
	}
	r.did("killed for the last time")
	r.die()
	r.alive = false
	r.keeper()
	r.alive = true
	time.Sleep(time.Hour)
	r.settle()
	r.sane(0)
}
