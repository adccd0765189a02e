package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
