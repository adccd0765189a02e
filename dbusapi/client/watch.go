package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// EventKind is what an Event tells.
type EventKind string

const (
	// EventResync carries all streams as they are: at the beginning, and after
	// each EventBack. What happened while nobody watched is not told.
	EventResync EventKind = "resync"
	// EventGone: there is no keeper (any more), or no bus. Err says which.
	EventGone EventKind = "gone"
	// EventBack: there is a keeper again. EventResync follows.
	EventBack EventKind = "back"

	// The signals of the keeper, by their names on the bus.
	EventStreamNew       EventKind = "StreamNew"
	EventStreamRemoved   EventKind = "StreamRemoved"
	EventStateChanged    EventKind = "StateChanged"
	EventHealthChanged   EventKind = "HealthChanged"
	EventStreamRestarted EventKind = "StreamRestarted"
	EventStreamFailed    EventKind = "StreamFailed"
	// EventPropertiesChanged is of a stream, or of the keeper if Name is "".
	EventPropertiesChanged EventKind = "PropertiesChanged"
)

// Event is one thing that happened.
type Event struct {
	Kind EventKind
	Time time.Time // of its arrival
	Name string    // of the stream

	Old, New     string // StateChanged, HealthChanged
	Reason       string // these and StreamFailed
	RestartCount uint32 // StreamRestarted

	Changed map[string]any        // PropertiesChanged: what has changed, and its value now
	Streams map[string]Properties // Resync: all; StreamNew: the new one
	Err     error                 // Gone
}

const (
	firstRetry = 20 * time.Millisecond
	lastRetry  = time.Second
)

// Watch tells what happens, in order, until ctx ends; the channel is closed
// then. It survives restarts of the keeper and of the bus. The first event is
// EventResync, or EventGone where there is no keeper yet.
func (c *Client) Watch(ctx context.Context) <-chan Event {
	w := &watch{client: c, events: make(chan Event, 64), names: map[dbus.ObjectPath]string{}, added: map[dbus.ObjectPath]map[string]Properties{}}
	go func() {
		defer close(w.events)
		delay := firstRetry
		for {
			begun := time.Now()
			err := w.follow(ctx)
			if ctx.Err() != nil {
				return
			}
			if !w.gone {
				w.tell(ctx, Event{Kind: EventGone, Err: err})
			}
			if time.Since(begun) > lastRetry {
				delay = firstRetry
			}
			select {
			case <-time.After(delay):
				delay = min(2*delay, lastRetry)
			case <-ctx.Done():
				return
			}
		}
	}()
	return w.events
}

// watch is the state of Watch over its connections.
type watch struct {
	client *Client
	events chan Event
	gone   bool // EventGone was the last word
	names  map[dbus.ObjectPath]string
	added  map[dbus.ObjectPath]map[string]Properties // by InterfacesAdded, which StreamNew follows
}

func (w *watch) tell(ctx context.Context, e Event) {
	switch e.Kind {
	case EventGone:
		w.gone = true
	case EventBack:
		w.gone = false
	}
	e.Time = time.Now()
	select {
	case w.events <- e:
	case <-ctx.Done():
	}
}

// follow watches over one connection, until it is lost.
func (w *watch) follow(ctx context.Context) error {
	// godbus's usual handler does not keep the order of signals when it gets
	// many.
	conn, err := w.client.dial(dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return err
	}
	defer conn.Close()
	signals := make(chan *dbus.Signal, 256)
	conn.Signal(signals)
	for _, rule := range []string{
		"type='signal',sender='" + busName + "',path_namespace='" + string(managerPath) + "'",
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + busName + "'",
	} {
		if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.AddMatch", 0, rule).Err; err != nil {
			return fmt.Errorf("cannot watch the %s: %w", w.client.busText(), err)
		}
	}
	since, err := w.resync(ctx, conn)
	if err != nil {
		return err
	}
	for {
		select {
		case s, ok := <-signals:
			if !ok {
				return fmt.Errorf("lost the %s", w.client.busText())
			}
			if s.Name == "org.freedesktop.DBus.NameOwnerChanged" {
				since, err = w.ownerChanged(ctx, conn, s, since)
				if err != nil {
					return err
				}
			} else if s.Sequence > since { // else the resync has it already
				w.signal(ctx, s)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ownerChanged is called when the keeper has come or gone.
func (w *watch) ownerChanged(ctx context.Context, conn *dbus.Conn, s *dbus.Signal, since dbus.Sequence) (dbus.Sequence, error) {
	var name, old, now string
	if err := dbus.Store(s.Body, &name, &old, &now); err != nil || name != busName || s.Sequence < since {
		return since, nil
	}
	if old != "" && !w.gone {
		w.tell(ctx, Event{Kind: EventGone, Err: w.client.notRunning()})
	}
	if now == "" {
		return since, nil
	}
	return w.resync(ctx, conn)
}

// resync asks for all there is and tells it. It answers the place of the
// answer in the order of what was received.
func (w *watch) resync(ctx context.Context, conn *dbus.Conn) (dbus.Sequence, error) {
	call := conn.Object(busName, managerPath).CallWithContext(ctx, objectManagerInterface+".GetManagedObjects", dbus.FlagNoAutoStart)
	var objects managed
	err := call.Store(&objects)
	if err != nil {
		err = w.client.explain(err)
	}
	if errors.Is(err, ErrNotRunning) {
		if !w.gone {
			w.tell(ctx, Event{Kind: EventGone, Err: err})
		}
		return call.ResponseSequence, nil
	}
	if err != nil {
		return 0, err
	}
	w.names = make(map[dbus.ObjectPath]string, len(objects))
	w.added = map[dbus.ObjectPath]map[string]Properties{}
	for path, interfaces := range objects {
		w.names[path] = value[string](interfaces[streamInterface], "Name")
	}
	if w.gone {
		w.tell(ctx, Event{Kind: EventBack})
	}
	w.tell(ctx, Event{Kind: EventResync, Streams: objects.streams()})
	return call.ResponseSequence, nil
}

// signal tells one signal of the keeper.
func (w *watch) signal(ctx context.Context, s *dbus.Signal) {
	e := Event{}
	var path dbus.ObjectPath
	var err error
	switch s.Name {
	case managerInterface + ".StreamNew":
		e.Kind = EventStreamNew
		if err = dbus.Store(s.Body, &e.Name, &path); err == nil {
			w.names[path] = e.Name
			e.Streams = w.added[path]
			delete(w.added, path)
		}
	case managerInterface + ".StreamRemoved":
		e.Kind = EventStreamRemoved
		if err = dbus.Store(s.Body, &e.Name, &path); err == nil {
			delete(w.names, path)
		}
	case managerInterface + ".StateChanged":
		e.Kind = EventStateChanged
		err = dbus.Store(s.Body, &e.Name, &path, &e.Old, &e.New, &e.Reason)
	case managerInterface + ".HealthChanged":
		e.Kind = EventHealthChanged
		err = dbus.Store(s.Body, &e.Name, &path, &e.Old, &e.New, &e.Reason)
	case managerInterface + ".StreamRestarted":
		e.Kind = EventStreamRestarted
		err = dbus.Store(s.Body, &e.Name, &path, &e.RestartCount)
	case managerInterface + ".StreamFailed":
		e.Kind = EventStreamFailed
		err = dbus.Store(s.Body, &e.Name, &path, &e.Reason)
	case propertiesInterface + ".PropertiesChanged":
		var iface string
		var changed map[string]dbus.Variant
		var invalidated []string
		e.Kind = EventPropertiesChanged
		err = dbus.Store(s.Body, &iface, &changed, &invalidated)
		e.Name, e.Changed = w.names[s.Path], plain(changed)
	case objectManagerInterface + ".InterfacesAdded":
		var interfaces map[string]map[string]dbus.Variant
		if dbus.Store(s.Body, &path, &interfaces) == nil {
			w.added[path] = managed{path: interfaces}.streams()
		}
		return
	default:
		return // InterfacesRemoved: StreamRemoved tells it
	}
	if err == nil {
		w.tell(ctx, e)
	}
}
