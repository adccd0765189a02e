package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/procfs"
)

// use is what processes have cost so far.
type use struct {
	cpu     float64 // seconds
	rss     int     // bytes
	threads int
}

func useOf(pids []int) (u use, err error) {
	for _, pid := range pids {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return u, err
		}
		stat, err := p.Stat()
		if err != nil {
			return u, err
		}
		u.cpu += stat.CPUTime()
		u.rss += stat.ResidentMemory()
		u.threads += stat.NumThreads
	}
	return u, nil
}

// eventually waits until cond holds.
func eventually(ctx context.Context, limit time.Duration, cond func() bool) error {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if cond() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return errors.New("time is over")
}
