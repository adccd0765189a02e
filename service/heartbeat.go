package service

import (
	"context"
	"fmt"
	"time"
)

// CheckAlive asks every part of the keeper for a sign of life: each stream's
// goroutine, the sampler, the pump and the shim. The error names the part
// that gave none before ctx ended. The systemd watchdog is pinged only after
// it answered nil.
func (k *Keeper) CheckAlive(ctx context.Context) error {
	members := k.members()
	answers := make(chan string, len(members))
	for _, m := range members {
		go func() {
			if m.Ping(ctx) == nil || ctx.Err() == nil {
				answers <- ""
				return
			}
			answers <- m.Name()
		}()
	}
	for range members {
		if name := <-answers; name != "" {
			return fmt.Errorf("stream %s does not answer", name)
		}
	}
	if idle := k.sampler.idle(); idle > 10*time.Second {
		return fmt.Errorf("the sampler has done nothing for %s", idle.Round(time.Second))
	}
	if err := k.pump.Ping(ctx); err != nil {
		return fmt.Errorf("the pump does not answer: %w", err)
	}
	// A lost shim is being replaced, which is life enough; one that is there
	// has to answer.
	if c := k.link.current(); c != nil {
		if err := c.Ping(ctx); err != nil && ctx.Err() != nil {
			return fmt.Errorf("the shim does not answer: %w", err)
		}
	}
	return nil
}
