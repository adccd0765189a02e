package service

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ffkeeper/ffkeeper/procmon"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// sampler reads /proc for all streams from one goroutine, and watches the
// clocks for a suspend or for starvation of the keeper itself.
type sampler struct {
	k     *Keeper
	clock *procmon.Clock
	beat  atomic.Int64           // monotonic time of the last round
	slow  atomic.Pointer[string] // what the host is short of
	runs  map[string]*sampled
}

// sampled is one run of a stream.
type sampled struct {
	pid   int
	child shim.ID
	proc  *procmon.Sampler
	group *procmon.CgroupSampler // nil: it has no cgroup
	next  time.Time
	seen  bool
}

// The sampler's rounds. What is late by lateness has been starved.
const (
	samplerRound = time.Second
	lateness     = 2 * time.Second
	suspendMin   = time.Second
)

func (s *sampler) init(k *Keeper) {
	s.k, s.clock, s.runs = k, procmon.NewClock(samplerRound), make(map[string]*sampled)
	s.beat.Store(int64(time.Since(processStart)))
}

// processStart is a base for monotonic times in an atomic.
var processStart = time.Now()

// hostSlow is what the host is short of, for people; "": of nothing.
func (s *sampler) hostSlow() string {
	if why := s.slow.Load(); why != nil {
		return *why
	}
	return ""
}

// idle is how long ago the last round ended.
func (s *sampler) idle() time.Duration {
	return time.Since(processStart) - time.Duration(s.beat.Load())
}

func (s *sampler) run(ctx context.Context) {
	tick := time.NewTicker(samplerRound)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		suspended, late := s.clock.Look()
		if suspended > suspendMin || late > lateness {
			s.k.log.Warn("the host slept or the keeper got no processor; verdicts wait", "suspended", suspended, "late", late)
			for _, m := range s.k.members() {
				m.Grace()
			}
		}
		if n%5 == 0 {
			_, why := s.k.host.Slow()
			s.slow.Store(&why)
		}
		s.round(ctx, time.Now())
		s.beat.Store(int64(time.Since(processStart)))
	}
}

// round samples the streams whose time has come.
func (s *sampler) round(ctx context.Context, now time.Time) {
	type due struct {
		m *member
		r *sampled
	}
	var todo []due
	var ids []shim.ID
	for _, m := range s.k.members() {
		core := m.Core()
		r := s.runs[core.Name]
		if core.PID == 0 {
			delete(s.runs, core.Name)
			continue
		}
		if r == nil || r.child != core.Child {
			r = &sampled{pid: core.PID, child: core.Child, proc: procmon.NewSampler(core.PID)}
			if core.Cgroup != "" {
				r.group = procmon.NewCgroupSampler(core.Cgroup)
			}
			s.runs[core.Name] = r
		}
		r.seen = true
		if now.Before(r.next) {
			continue
		}
		// Rounds are a second apart; half of one early keeps the interval.
		r.next = now.Add(s.interval(m) - samplerRound/2)
		todo = append(todo, due{m, r})
		ids = append(ids, r.child)
	}
	for name, r := range s.runs {
		if !r.seen {
			delete(s.runs, name)
		}
		r.seen = false
	}
	if len(todo) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, samplerRound)
	defer cancel()
	io, _ := s.k.link.IO(ctx, ids) // without a shim there is nothing to sample
	for _, d := range todo {
		u, err := d.r.proc.Sample()
		if err != nil {
			continue // it has ended; its exit is on its way
		}
		usage := &stream.Usage{CPUPercent: u.CPUPercent, HasCPU: u.HasCPU, RSS: u.RSS, Threads: u.Threads}
		if c, ok := io[d.r.child]; ok {
			usage.ReadBytes, usage.WriteBytes, usage.HasIO = c.ReadBytes, c.WriteBytes, true
		}
		if d.r.group != nil {
			usage.SetCgroup(d.r.group.Sample())
		}
		d.m.Sampled(d.r.pid, usage)
	}
}

func (s *sampler) interval(m *member) time.Duration {
	s.k.mu.RLock()
	defer s.k.mu.RUnlock()
	if m.def == nil || m.def.HealthCheck <= 0 {
		return 5 * time.Second
	}
	return m.def.HealthCheck
}
