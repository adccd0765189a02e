package stream

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// rig is a stream on a fake shim, in a bubble of fake time, and over any
// number of keepers.
type rig struct {
	*Stream
	t    *testing.T
	shim *fakeShim
	link *fakeLink // this keeper's
	cfg  Config    // of the next keeper; its own are made from it

	mu        sync.Mutex
	met       bool         // with a stream to tell events to
	early     []shim.Event // before that
	published []Transition // by this keeper
	failures  int          // published by all keepers
	end       func()       // ends this keeper without a word
}

// onRig runs f with a stream whose child does what, in a bubble. change may
// alter what the stream is made of.
func onRig(t *testing.T, what string, f func(r *rig), change ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, what, change...)
		defer func() { r.end() }()
		f(r)
	})
}

func newRig(t *testing.T, what string, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, shim: newFakeShim(t)}
	def := streamfile.New("cam1", []string{"/bin/sh", what})
	def.Type, def.OnStall, def.RestartJitter = streamfile.TypeSimple, streamfile.OnStallLog, 0
	def.Digest, def.Source = "first", "/etc/cam1.stream"
	boot := time.Now().Add(-time.Hour)
	r.cfg = Config{
		Name: "cam1", Definition: def, Log: slog.New(slog.DiscardHandler), Redact: redact.New(),
		Lasting: true, Clock: func() time.Duration { return time.Since(boot) },
	}
	for _, c := range change {
		c(&r.cfg)
	}
	r.keeper()
	return r
}

// keeper is a new keeper, which takes over what there is. change alters what
// it finds, and who comes after it.
func (r *rig) keeper(change ...func(*Config)) {
	for _, c := range change {
		c(&r.cfg)
	}
	cfg := r.cfg
	r.mu.Lock()
	r.met, r.early, r.published = false, nil, nil
	r.mu.Unlock()
	link, notes, held := r.shim.connect(r.event)
	r.link = link
	cfg.Shim, cfg.Publish = link, r.publish
	if cfg.Lasting {
		cfg.Inherited = Inheritances(notes, held)[cfg.Name]
	}
	r.Stream = New(cfg)
	r.mu.Lock()
	r.met = true
	for _, ev := range r.early {
		r.ShimEvent(ev)
	}
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	s := r.Stream
	go s.Run(ctx)
	r.end = func() {
		cancel()
		<-s.done
	}
}

func (r *rig) event(ev shim.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.met {
		r.ShimEvent(ev)
	} else {
		r.early = append(r.early, ev)
	}
}

func (r *rig) publish(tr Transition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.published); n > 0 && r.published[n-1].New != tr.Old {
		r.t.Errorf("transition %d does not follow from the one before", n)
	}
	flagged := tr.Restarted || tr.Failed || tr.Removed
	if !flagged && tr.Old.State == tr.New.State && tr.Old.looks() == tr.New.looks() {
		r.t.Errorf("nothing changed in a transition: %s", tr.New.looks())
	}
	r.published = append(r.published, tr)
	if tr.Failed {
		r.failures++
	}
}

// die kills the keeper at this moment: nothing that it still does arrives.
func (r *rig) die() {
	r.shim.mu.Lock()
	r.link.dead = true
	r.shim.mu.Unlock()
	r.end()
}

// lives says whether the keeper has not been killed.
func (r *rig) lives() bool {
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	return !r.link.dead
}

// dieAfter has the keeper killed when it has sent n things more.
func (r *rig) dieAfter(n int) {
	r.shim.mu.Lock()
	r.link.cut = len(r.link.sent) + n
	r.shim.mu.Unlock()
}

// dieOnceSent has the keeper killed when it has sent something that begins with
// what.
func (r *rig) dieOnceSent(what string) {
	r.shim.mu.Lock()
	r.link.until = what
	r.shim.mu.Unlock()
}

// handOver leaves the stream to the next keeper in good order.
func (r *rig) handOver() {
	r.t.Helper()
	if err := r.HandOver(background()); err != nil {
		r.t.Errorf("hand over: %v", err)
	}
	r.shim.mu.Lock()
	r.link.dead = true
	r.shim.mu.Unlock()
}

// looks is all that a transition may show.
func (s *Snapshot) looks() string {
	c := *s
	c.Lines, c.Usage, c.Progress, c.LastActivity, c.StateSince = nil, nil, nil, time.Time{}, time.Time{}
	return fmt.Sprintf("%+v", c)
}

func (r *rig) is(want State) {
	r.t.Helper()
	synctest.Wait()
	if s := r.Core(); s.State != want {
		r.t.Fatalf("%s/%s/%q (%s), want %s", s.State, s.Health, s.Reason, s.Detail, want)
	}
}

// lose is what the keeper does when the shim is lost.
func (r *rig) lose() {
	r.shim.lose()
	r.ShimLost()
}

func (r *rig) back() {
	r.shim.back()
	r.ShimBack()
}
