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

// growthSlack is what may be on its way through the pump between two looks:
// 20 KB/s of log for its interval.
const growthSlack = 2 << 10

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
		c, ok := io[id]
		if !ok {
			return // the main process has ended, or nobody may look
		}
		o.post(func() {
			if o.proc == nil || o.proc.id != id || o.growth.every == 0 {
				return
			}
			// What it wrote to us is no output: a stalled ffmpeg goes on
			// with blocks in which nothing moves.
			written := c.WriteChars - min(o.proc.received, c.WriteChars)
			if o.growth.known && written > o.growth.written+growthSlack {
				o.step(evGrew{})
			}
			o.growth.written, o.growth.known = written, true
		})
	}()
}
