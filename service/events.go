package service

import (
	"context"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// publish is called by a stream's owner for each transition.
func (k *Keeper) publish(m *member, t stream.Transition) {
	name := m.Name()
	events := make([]Event, 0, 3)
	add := func(e EventType) {
		events = append(events, Event{Type: e, Name: name, Snapshot: t.New, Old: t.Old})
	}
	if t.Old.PID != t.New.PID {
		k.mu.Lock()
		if k.byPID[t.Old.PID] == name {
			delete(k.byPID, t.Old.PID)
		}
		if t.New.PID != 0 {
			k.byPID[t.New.PID] = name
		}
		k.mu.Unlock()
	}
	add(EventTransition)
	if t.Restarted {
		add(EventRestarted)
	}
	if t.Failed {
		add(EventFailed)
	}
	if !t.Removed {
		k.hub.send(events...)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set[name] == m {
		delete(k.set, name)
		k.graph = k.graphLocked()
		m.cancel()
		k.redact.Forget(name)
		add(EventRemoved)
		close(m.gone)
	}
	// Under the lock: the next stream of that name is announced later.
	k.hub.send(events...)
}

// route takes the shim's events to the streams they are about.
func (k *Keeper) route(ev shim.Event) {
	if k.closed.Load() {
		return // the shim ends everything; no stream has failed
	}
	var name string
	switch ev := ev.(type) {
	case shim.Stopping:
		for _, m := range k.members() {
			m.ShimStopping()
		}
		select {
		case k.stopping <- k.link.client.Load().Hello().PID:
		default:
		}
		return
	case shim.Exited:
		name = ev.Stream
	case shim.Empty:
		name = ev.Stream
	}
	owner := stream.OwnerOf(name)
	k.mu.RLock()
	m := k.set[owner]
	k.mu.RUnlock()
	if m == nil && k.leftFor(owner, ev) {
		return
	}
	if m != nil {
		m.ShimEvent(ev)
	} else if ev, ok := ev.(shim.Exited); ok {
		k.link.Forget(ev.ID)
	}
}

// leftFor keeps an event for a stream that an earlier keeper left and that has
// not been added here yet.
func (k *Keeper) leftFor(name string, ev shim.Event) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.set[name]; m != nil { // it has been, at this moment
		m.ShimEvent(ev)
		return true
	}
	in := k.inherited[name]
	return in != nil && in.Add(ev)
}

func (k *Keeper) shimLost() {
	for _, m := range k.members() {
		m.ShimLost()
	}
}

func (k *Keeper) shimBack() {
	for _, m := range k.members() {
		m.ShimBack()
	}
}

func (k *Keeper) startOther(from, name string) {
	ctx, cancel := context.WithTimeout(k.ctx, time.Minute)
	defer cancel()
	if _, err := k.Start(ctx, name, CallOptions{Wait: WaitNone}); err != nil {
		k.log.Error("cannot start the stream that another one's hook names", "FFKEEPER_STREAM", from, "other", name, "error", err)
	}
}
