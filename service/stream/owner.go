package stream

import (
	"context"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// owner is what only the stream's goroutine touches.
type owner struct {
	*Stream
	m       *machine
	attempt uint64 // number of the last spawn asked for
	backs   uint64 // how often there has been a new shim
	built   []string
	shown   *streamfile.Definition // what the last transition showed
	proc    *process               // from spawned until forgotten
	jobs    []*job
	waiters []*waiter
	lines   lineRing
	growth  growth
	kept    keeping
	// keptDigest is of the definition that an earlier keeper had last.
	keptDigest string
	blind      bool               // of a process that is taken over nothing else is known
	left       bool               // the stream has been left to the next keeper
	past       time.Time          // while what happened before this keeper is made up for; zero: now
	cancel     context.CancelFunc // of AwaitDeps or of the command builder
	ctx        context.Context
	log        logger
}

// run is the stream's goroutine.
func (o *owner) run(ctx context.Context) {
	o.ctx = ctx
	o.log.init(&o.cfg)
	if o.m.state == StateFailed && !o.known {
		o.log.event(o.snapshot(), KindBadSetting, o.m.detail, nil)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	o.takeOver()
	for {
		if d := o.deadline(); d.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(d))
		}
		select {
		case <-o.in.poke:
		case <-timer.C:
			o.tick()
		case <-ctx.Done():
			o.end()
			return
		}
		for _, e := range o.in.take() {
			if !o.left {
				e.run()
			} else if e.drop != nil {
				e.drop()
			}
		}
		if o.left {
			o.end()
			return
		}
		o.pumpIn()
		o.keepTick(time.Now())
	}
}

// end lets go of everything without touching the process.
func (o *owner) end() {
	o.in.end()
	if o.cancel != nil {
		o.cancel()
	}
	o.dropProcess()
	for _, j := range o.jobs {
		j.close()
	}
	for _, w := range o.waiters {
		w.answer(0, &Error{Kind: Busy, Text: o.cfg.Name + ": the keeper is ending"})
	}
	o.waiters = nil
}

func (o *owner) deadline() time.Time {
	d := o.m.deadline()
	for _, t := range []time.Time{o.jobsDue(), o.growth.due, o.log.floodDue, o.kept.late} {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	return d
}

func (o *owner) tick() {
	now := time.Now()
	o.jobsTick(now)
	o.growthTick(now)
	o.log.floodTick(o.m, now)
	if d := o.m.deadline(); d.IsZero() || now.Before(d) {
		return
	}
	// A verdict is only fair on everything that has arrived by now.
	if o.proc != nil && (o.m.state == StateRunning || o.m.state == StateStarting) {
		o.drainProgress()
		o.step(o.sample(o.proc.usageNow()))
	}
	o.step(evTick{})
}

// step feeds the machine, carries out what it wants, publishes what changed
// and answers who waited for it.
func (o *owner) step(ev event) {
	t := Transition{}
	actions := o.m.step(o.time(), ev)
	o.keep()
	var after []func()
	for _, a := range actions {
		switch a := a.(type) {
		case actDeps:
			o.awaitDeps()
		case actCancelDeps:
			o.cancelWork()
		case actBuild:
			o.build()
		case actCancelBuild:
			o.cancelWork()
			o.killJobs(jobBuilder)
		case actSpawn:
			// After publishing: an instant failure is the next transition.
			after = append(after, o.spawn)
		case actAsk:
			o.proc.ask(o.cfg.Shim)
		case actTerm:
			o.signal(syscall.SIGTERM)
		case actKill:
			if o.proc != nil {
				o.cfg.Shim.Kill(o.proc.id)
			}
		case actForget:
			o.dropProcess()
		case actRestarted:
			t.Restarted = true
		case actFailed:
			t.Failed = true
		case actRemoved:
			t.Removed = true
			o.dropNotes()
		case actLog:
			o.log.event(o.snapshotCore(), a.kind, a.text, o.proc)
		}
	}
	o.publish(t)
	if t.Restarted {
		o.runHooks(o.m.def.OnRestart, o.cfg.OnRestart, "restart")
	}
	if t.Failed {
		o.runHooks(o.hooksOf(func(d *streamfile.Definition) []streamfile.Hook { return d.OnFailure }), o.cfg.OnFailure, "failure")
	}
	o.growthWatch()
	o.answerWaiters()
	for _, f := range after {
		f()
	}
}

// time is now, but while what happened before this keeper is made up for.
func (o *owner) time() time.Time {
	if !o.past.IsZero() {
		return o.past
	}
	return time.Now()
}

func (o *owner) hooksOf(f func(*streamfile.Definition) []streamfile.Hook) []streamfile.Hook {
	if o.m.def == nil {
		return nil
	}
	return f(o.m.def)
}

func (o *owner) signal(sig syscall.Signal) {
	if o.proc != nil {
		o.cfg.Shim.Signal(o.proc.id, sig, shim.Group)
	}
}

// ShimEvent is called for what the shim reports of this stream, by any
// goroutine, in the shim's order.
func (s *Stream) ShimEvent(ev shim.Event) {
	o := s.in.owner
	s.post(func() { o.shimEvent(ev) })
}

// ShimStopping is called when the shim is about to end every process, and then
// itself.
func (s *Stream) ShimStopping() {
	o := s.in.owner
	s.post(func() { o.step(evShimStopping{}) })
}

// ShimLost is called when the shim and with it every process is gone.
func (s *Stream) ShimLost() {
	o := s.in.owner
	s.post(func() {
		o.attempt++ // what that shim may still answer is put away
		o.pumpNow()
		o.jobsLost()
		o.step(evShimLost{})
	})
}

// ShimBack is called when there is a shim again.
func (s *Stream) ShimBack() {
	o := s.in.owner
	s.post(func() {
		o.backs++
		o.renewNotes()
		o.step(evShimBack{})
	})
}

func (o *owner) shimEvent(ev shim.Event) {
	switch ev := ev.(type) {
	case shim.Exited:
		if o.proc == nil || o.proc.id != ev.ID {
			o.jobExited(ev)
			return
		}
		o.pumpNow()
		x := exit{code: ev.Code, signal: ev.Signal, core: ev.Core, oom: ev.OOM, tasks: ev.TaskLimit, unknown: ev.Unknown, ended: o.proc.ended}
		if o.m.state != StateStopping && o.m.state != StateZombie {
			o.explain(&x)
		}
		o.step(evExited{exit: x})
	case shim.Empty:
		if o.proc != nil && o.proc.id == ev.ID {
			o.pumpNow()
			o.step(evEmpty{})
		}
	}
}

// Grace is called after a suspend, or when the keeper itself was starved.
func (s *Stream) Grace() {
	o := s.in.owner
	s.post(func() { o.step(evGrace{}) })
}
