package service

import (
	"context"
	"sync"
	"time"
)

// start and restart also take the stream out of stops that are on their way
// to it.
func (m *member) start(ctx context.Context, w Wait) (int, error) {
	m.starts.Add(1)
	return m.Stream.Start(ctx, w)
}

func (m *member) restart(ctx context.Context, w Wait, timeout time.Duration) (int, error) {
	m.starts.Add(1)
	return m.Stream.Restart(ctx, w, timeout)
}

// Start starts a stream, and what it requires before it.
func (k *Keeper) Start(ctx context.Context, name string, o CallOptions) (int, error) {
	m, err := k.member(name)
	if err != nil {
		return 0, err
	}
	for _, other := range closure(name, k.currentGraph().requires)[1:] {
		if r, err := k.member(other); err == nil {
			r.start(ctx, WaitNone)
		}
	}
	return m.start(ctx, orDone(o.Wait))
}

// Stop stops a stream, and before it those that require it, as systemd does.
func (k *Keeper) Stop(ctx context.Context, name string, o CallOptions) error {
	m, err := k.member(name)
	if err != nil {
		return err
	}
	g := k.currentGraph()
	if names := closure(name, g.requiredBy); len(names) > 1 {
		for _, f := range k.stopInOrder(ctx, names, g, o) {
			if f.Name == name {
				return f.Err
			}
		}
		return nil
	}
	return m.Stream.Stop(ctx, orDone(o.Wait), o.Timeout)
}

// Restart restarts a stream. Those that run and require it are restarted too,
// as with systemd: stopped before it, started after it.
func (k *Keeper) Restart(ctx context.Context, name string, o CallOptions) (int, error) {
	m, err := k.member(name)
	if err != nil {
		return 0, err
	}
	g := k.currentGraph()
	var dependents []string
	for _, other := range closure(name, g.requiredBy)[1:] {
		if d, err := k.member(other); err == nil && d.Core().Wanted {
			dependents = append(dependents, other)
		}
	}
	if len(dependents) == 0 {
		return m.restart(ctx, orDone(o.Wait), o.Timeout)
	}
	k.stopInOrder(ctx, dependents, g, CallOptions{Wait: WaitDone, Timeout: o.Timeout})
	pid, err := m.restart(ctx, orDone(o.Wait), o.Timeout)
	for _, other := range dependents {
		if d, e := k.member(other); e == nil {
			d.start(ctx, WaitNone)
		}
	}
	return pid, err
}

// StartAll starts every stream, in the order of After= and Requires=, in
// parallel where that leaves it free.
func (k *Keeper) StartAll(ctx context.Context, o CallOptions) []Failure {
	return k.startSome(ctx, k.Names(), o)
}

// Autostart starts the streams with Autostart=yes and answers at once. Those
// that an earlier keeper left are as they were wanted then.
func (k *Keeper) Autostart(ctx context.Context) []Failure {
	var names []string
	k.mu.RLock()
	for name, m := range k.set {
		if m.def != nil && m.broken == "" && m.def.Autostart && !m.Known() {
			names = append(names, name)
		}
	}
	k.mu.RUnlock()
	return k.startSome(ctx, names, CallOptions{Wait: WaitNone})
}

func (k *Keeper) startSome(ctx context.Context, names []string, o CallOptions) []Failure {
	// What comes first is wanted first: a stream that awaits another must find
	// it wanted, not merely stopped.
	for _, name := range k.currentGraph().sorted(names) {
		if m, err := k.member(name); err == nil {
			m.start(ctx, WaitNone)
		}
	}
	if orDone(o.Wait) == WaitNone {
		return nil
	}
	return inParallel(names, func(name string) error {
		_, err := k.Start(ctx, name, o)
		return err
	})
}

// StopAll stops every stream, those that come after another before it, in
// parallel where the order leaves it free.
func (k *Keeper) StopAll(ctx context.Context, o CallOptions) []Failure {
	return k.stopInOrder(ctx, k.Names(), k.currentGraph(), o)
}

// stopInOrder stops each of names once those of names that follow it have
// stopped. If ctx ends first it goes on. A stream that is started meanwhile,
// before its turn, is left alone.
func (k *Keeper) stopInOrder(ctx context.Context, names []string, g graph, o CallOptions) []Failure {
	type stop struct {
		m      *member
		starts uint64
		err    error
		done   chan struct{}
	}
	stops := make(map[string]*stop, len(names))
	for _, name := range names {
		if m, err := k.member(name); err == nil {
			stops[name] = &stop{m: m, starts: m.starts.Load(), done: make(chan struct{})}
		}
	}
	for name, s := range stops {
		go func() {
			defer close(s.done)
			for _, follower := range g.followers[name] {
				if f := stops[follower]; f != nil && f != s {
					<-f.done
				}
			}
			if s.m.starts.Load() != s.starts {
				s.err = &Error{Kind: Busy, Text: name + ": a start came in between"}
				return
			}
			// However long it takes; it is answered when the keeper ends, too.
			err := s.m.Stream.Stop(context.Background(), WaitDone, o.Timeout)
			if e, ok := err.(*Error); !ok || e.Kind != NoSuchStream { // else gone meanwhile
				s.err = err
			}
		}()
	}
	if orDone(o.Wait) == WaitNone {
		return nil
	}
	var out []Failure
	for _, name := range names {
		s := stops[name]
		if s == nil {
			continue // gone meanwhile
		}
		var err error
		select {
		case <-s.done:
			err = s.err
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			out = append(out, Failure{Name: name, Err: err})
		}
	}
	return out
}

func inParallel(names []string, f func(name string) error) []Failure {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { errs[i] = f(name) })
	}
	wg.Wait()
	var out []Failure
	for i, err := range errs {
		if err != nil {
			out = append(out, Failure{Name: names[i], Err: err})
		}
	}
	return out
}

func orDone(w Wait) Wait {
	if w == "" {
		return WaitDone
	}
	return w
}
