package stream

import (
	"context"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// growth watches whether a process that is being stopped still writes: a
// +faststart mp4 is rewritten for a while without a progress block.
type growth struct {
	due     time.Time // of the next look; zero: not watching
	every   time.Duration
	written uint64
	known   bool
}

// growthWatch begins or ends the watching as the state says.
func (o *owner) growthWatch() {
	if o.m.state != StateStopping || o.proc == nil || o.m.phase == phaseKill {
		o.growth = growth{}
		return
	}
	if o.growth.every == 0 {
		o.growth.every = min(max(o.m.stageWait/4, 50*time.Millisecond), time.Second)
		o.growth.due = time.Now()
		o.growthTick(o.growth.due)
	}
}

func (o *owner) growthTick(now time.Time) {
	if o.growth.due.IsZero() || now.Before(o.growth.due) || o.proc == nil {
		return
	}
	o.growth.due = now.Add(o.growth.every)
	id := o.proc.id
	ctx, cancel := context.WithTimeout(o.ctx, o.growth.every)
	go func() {
		defer cancel()
		io, err := o.cfg.Shim.IO(ctx, []shim.ID{id})
		if err != nil {
			return
		}
		written := io[id].WriteChars
		o.post(func() {
			if o.proc == nil || o.proc.id != id || o.growth.every == 0 {
				return
			}
			if o.growth.known && written > o.growth.written {
				o.step(evGrew{})
			}
			o.growth.written, o.growth.known = written, true
		})
	}()
}
