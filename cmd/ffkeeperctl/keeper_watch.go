package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// watch calls each for every event until ctx ends or each fails. After a time
// without a connection it tells what is different from before.
func (k *keeper) watch(ctx context.Context, each func(event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watcher{each: each}
	for e := range k.c.Watch(ctx) {
		if err := w.take(e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// watcher turns the client's events into ours.
type watcher struct {
	each func(event) error
	// known is what was last said of each stream; nil before the first resync.
	known map[string]condition
}

type condition struct{ state, health string }

func (w *watcher) take(e client.Event) error {
	out := event{RealtimeUsec: toUsec(e.Time), Event: string(e.Kind), Name: e.Name}
	switch e.Kind {
	case client.EventResync:
		return w.resync(e.Time, e.Streams)
	case client.EventGone:
		out.Event = eventDisconnected
		if e.Err != nil {
			out.Detail = e.Err.Error()
		}
	case client.EventBack:
		out.Event = eventConnected
	case client.EventStreamNew:
		p := e.Streams[e.Name]
		w.know(e.Name, condition{p.State, p.Health})
	case client.EventStreamRemoved:
		delete(w.known, e.Name)
	case client.EventStateChanged:
		out.Old, out.New, out.Reason = e.Old, e.New, e.Reason
		w.know(e.Name, condition{e.New, w.known[e.Name].health})
	case client.EventHealthChanged:
		out.Old, out.New, out.Reason = e.Old, e.New, e.Reason
		w.know(e.Name, condition{w.known[e.Name].state, e.New})
	case client.EventStreamRestarted:
		out.RestartCount = &e.RestartCount
	case client.EventStreamFailed:
		out.Reason = e.Reason
	default:
		return nil // PropertiesChanged: the others tell what matters
	}
	return w.each(out)
}

func (w *watcher) know(name string, c condition) {
	if w.known == nil {
		w.known = map[string]condition{}
	}
	w.known[name] = c
}

// resync tells the differences between what was known and what is.
func (w *watcher) resync(at time.Time, streams map[string]client.Properties) error {
	before := w.known
	w.known = make(map[string]condition, len(streams))
	for name, p := range streams {
		w.known[name] = condition{p.State, p.Health}
	}
	if before == nil {
		return nil
	}
	usec := toUsec(at)
	var missed []event
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := streams[name]; !ok {
			missed = append(missed, event{RealtimeUsec: usec, Event: eventRemoved, Name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		was, known := before[name]
		is, p := w.known[name], streams[name]
		if !known {
			missed = append(missed, event{RealtimeUsec: usec, Event: eventNew, Name: name})
			continue
		}
		if was.state != is.state && was.state != "" {
			missed = append(missed, event{RealtimeUsec: usec, Event: eventState, Name: name, Old: was.state, New: is.state, Reason: p.Reason})
		}
		if was.health != is.health && was.health != "" {
			missed = append(missed, event{RealtimeUsec: usec, Event: eventHealth, Name: name, Old: was.health, New: is.health, Reason: p.Reason})
		}
	}
	for _, e := range missed {
		if err := w.each(e); err != nil {
			return err
		}
	}
	return nil
}
