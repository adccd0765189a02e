package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ffkeeper/ffkeeper/service/stream"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// graph is After= and Requires= among the streams of the set, both ways.
// Files with cycles are refused, but an old definition that is still in force
// and a new one may make one between them; then one edge of it is left out of
// before and followers, or nobody could ever be stopped first.
type graph struct {
	before     map[string][]string // what a stream comes after or requires
	requires   map[string][]string // what a stream requires
	requiredBy map[string][]string
	followers  map[string][]string // those that come after a stream, or require it
}

// graphLocked is the graph of the newest definitions. The mutex is held.
func (k *Keeper) graphLocked() graph {
	g := graph{make(map[string][]string), make(map[string][]string), make(map[string][]string), make(map[string][]string)}
	for name, m := range k.set {
		if m.def == nil {
			continue
		}
		for _, other := range m.def.Requires {
			g.requires[name] = append(g.requires[name], other)
			g.requiredBy[other] = append(g.requiredBy[other], name)
		}
		g.before[name] = before(m.def)
	}
	g.breakCycles()
	for name, others := range g.before {
		for _, other := range others {
			g.followers[other] = append(g.followers[other], name)
		}
	}
	return g
}

// breakCycles leaves out of before what leads back to where a walk came from.
func (g graph) breakCycles() {
	const walking, walked = 1, 2
	state := make(map[string]int, len(g.before))
	var walk func(name string)
	walk = func(name string) {
		state[name] = walking
		g.before[name] = slices.DeleteFunc(g.before[name], func(other string) bool {
			if state[other] == 0 {
				walk(other)
			}
			return state[other] == walking
		})
		state[name] = walked
	}
	for _, name := range slices.Sorted(maps.Keys(g.before)) {
		if state[name] == 0 {
			walk(name)
		}
	}
}

// circleLocked is the way from a new definition through the set back to it;
// "": there is none. The mutex is held.
func (k *Keeper) circleLocked(def *streamfile.Definition) string {
	seen := make(map[string]bool)
	var walk func(d *streamfile.Definition) string
	walk = func(d *streamfile.Definition) string {
		for _, other := range before(d) {
			if other == def.Name {
				return d.Name + " → " + other
			}
			m := k.set[other]
			if m == nil || m.def == nil || seen[other] {
				continue
			}
			seen[other] = true
			if rest := walk(m.def); rest != "" {
				return d.Name + " → " + rest
			}
		}
		return ""
	}
	return walk(def)
}

// before is what has to be up before a stream, each once.
func before(def *streamfile.Definition) []string {
	all := slices.Concat(def.After, def.Requires)
	slices.Sort(all)
	return slices.Compact(all)
}

// sorted is names with what comes before a stream before it.
func (g graph) sorted(names []string) []string {
	given := make(map[string]bool, len(names))
	for _, name := range names {
		given[name] = true
	}
	out := make([]string, 0, len(names))
	var visit func(name string)
	visit = func(name string) {
		if !given[name] {
			return
		}
		given[name] = false
		for _, other := range g.before[name] {
			visit(other)
		}
		out = append(out, name)
	}
	for _, name := range names {
		visit(name)
	}
	return out
}

// closure is name and everything reached from it by edges.
func closure(name string, edges map[string][]string) []string {
	seen := map[string]bool{name: true}
	out := []string{name}
	for i := 0; i < len(out); i++ {
		for _, next := range edges[out[i]] {
			if !seen[next] {
				seen[next] = true
				out = append(out, next)
			}
		}
	}
	return out
}

func (k *Keeper) currentGraph() graph {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.graph
}

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

// awaitDeps blocks until what def comes after delivers, has failed or has
// used up its start time-out, and names what it requires and cannot have.
func (k *Keeper) awaitDeps(ctx context.Context, def *streamfile.Definition) (failed, detail string) {
	begun := time.Now()
	for _, other := range before(def) {
		required := slices.Contains(def.Requires, other)
		why := k.awaitDep(ctx, other, begun)
		if ctx.Err() != nil {
			return "", ""
		}
		if why != "" && required {
			return other, fmt.Sprintf("requires %s, which %s", other, why)
		}
	}
	return "", ""
}

// awaitDep answers "" when the stream delivers, else why it was given up.
func (k *Keeper) awaitDep(ctx context.Context, name string, begun time.Time) string {
	for {
		changed := k.hub.change()
		m, err := k.member(name)
		if err != nil {
			return "does not exist"
		}
		s := m.Core()
		switch {
		case s.State == stream.StateRunning && s.Health != stream.HealthStalled:
			return ""
		case s.State == stream.StateFailed:
			return "has failed"
		case !s.Wanted:
			return "is not started"
		}
		left := time.Until(begun.Add(k.startTimeout(m)))
		if left <= 0 {
			return "has not come up within its start time-out"
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return "was not awaited"
		}
	}
}

func (k *Keeper) startTimeout(m *member) time.Duration {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if m.def == nil {
		return 0
	}
	return min(m.def.TimeoutStart, 24*time.Hour)
}
