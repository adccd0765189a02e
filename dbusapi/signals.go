package dbusapi

import (
	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/wire"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// announcer turns the keeper's events into signals. It remembers what it has
// announced of each stream, so that after a gap in the feed it announces the
// difference.
//
// The order of signals, per event: first the objects and properties, so that
// whoever looks on a signal sees what it tells (InterfacesAdded or
// InterfacesRemoved, the stream's PropertiesChanged, the manager's), then
// what happened (StreamNew, StreamRemoved, StateChanged, HealthChanged,
// StreamRestarted, StreamFailed). While many events wait, the manager's
// properties are announced every burstLength of them only.
//
// It belongs to the bus loop: one goroutine.
type announcer struct {
	server  *Server
	conn    *wire.Conn // nil while there is no bus: then it only remembers
	waiting func() int // events
	known   map[string]*stream.Snapshot
	count   tally
	told    tally // count, as announced
	untold  int   // events since
}

// A burst is when more than burstFrom events wait: more than one thing that
// happened to one stream. After burstLength of them the manager's properties
// are announced at the latest. With those of every event, starting all of three
// hundred streams sends six hundred signals more, each of which says for the
// length of two context switches what the next corrects.
const (
	burstFrom   = 8
	burstLength = 64
)

// begin takes the streams as they are, without a signal.
func (a *announcer) begin(all []*stream.Snapshot) {
	a.known = make(map[string]*stream.Snapshot, len(all))
	a.count = tally{}
	for _, s := range all {
		a.known[s.Name] = s
		a.count.add(s, 1)
	}
	a.told, a.untold = a.count, 0
}

// catchUp announces what a feed that broke off did not tell.
func (a *announcer) catchUp(all []*stream.Snapshot) {
	there := make(map[string]bool, len(all))
	for _, s := range all {
		there[s.Name] = true
	}
	for name := range a.known {
		if !there[name] {
			a.removed(name)
		}
	}
	for _, s := range all {
		old := a.known[s.Name]
		a.changed(s)
		if old != nil && s.RestartCount > old.RestartCount {
			a.restarted(s)
		}
		if old != nil && old.State != stream.StateFailed && s.State == stream.StateFailed {
			a.failed(s)
		}
	}
	a.managerChanged()
}

// event announces one event of the feed.
func (a *announcer) event(e service.Event) {
	a.untold++
	switch e.Type {
	case service.EventNew:
		if _, ok := a.known[e.Name]; !ok { // else begin was quicker than the feed
			a.added(e.Snapshot)
		}
	case service.EventRemoved:
		a.removed(e.Name)
	case service.EventTransition:
		a.changed(e.Snapshot)
	case service.EventRestarted:
		a.restarted(e.Snapshot)
	case service.EventFailed:
		a.failed(e.Snapshot)
	}
	a.managerChanged()
}

func (a *announcer) added(s *stream.Snapshot) {
	a.known[s.Name] = s
	a.count.add(s, 1)
	path := StreamPath(s.Name)
	a.emit(managerPath, objectManagerInterface, "InterfacesAdded", path,
		interfaces{streamInterface: a.server.allProperties(s)})
	a.managerChanged()
	a.emit(managerPath, managerInterface, "StreamNew", s.Name, path)
}

func (a *announcer) removed(name string) {
	s, ok := a.known[name]
	if !ok {
		return
	}
	delete(a.known, name)
	a.count.add(s, -1)
	path := StreamPath(name)
	a.emit(managerPath, objectManagerInterface, "InterfacesRemoved", path, []string{streamInterface})
	a.managerChanged()
	a.emit(managerPath, managerInterface, "StreamRemoved", name, path)
}

// changed announces a stream's new state, measured against what was announced
// last.
func (a *announcer) changed(s *stream.Snapshot) {
	old, ok := a.known[s.Name]
	if !ok {
		a.added(s)
		return
	}
	a.known[s.Name] = s
	a.count.add(old, -1)
	a.count.add(s, 1)
	path := StreamPath(s.Name)
	a.propertiesChanged(path, streamInterface, a.server.changedProperties(old, s))
	a.managerChanged()
	if old.State != s.State {
		a.emit(managerPath, managerInterface, "StateChanged", s.Name, path, string(old.State), string(s.State), string(s.Reason))
	}
	if old.Health != s.Health {
		a.emit(managerPath, managerInterface, "HealthChanged", s.Name, path, string(old.Health), string(s.Health), string(s.Reason))
	}
}

func (a *announcer) restarted(s *stream.Snapshot) {
	a.emit(managerPath, managerInterface, "StreamRestarted", s.Name, StreamPath(s.Name), uint32(max(s.RestartCount, 0)))
}

func (a *announcer) failed(s *stream.Snapshot) {
	a.emit(managerPath, managerInterface, "StreamFailed", s.Name, StreamPath(s.Name), string(s.Reason))
}

// managerChanged announces the manager's properties, or leaves that to an event
// that waits.
func (a *announcer) managerChanged() {
	if a.count == a.told || a.untold < burstLength && a.waiting() > burstFrom {
		return
	}
	a.propertiesChanged(managerPath, managerInterface, a.count.changes(a.told))
	a.told, a.untold = a.count, 0
}

func (a *announcer) propertiesChanged(path dbus.ObjectPath, iface string, changed map[string]dbus.Variant) {
	if len(changed) > 0 {
		a.emit(path, propertiesInterface, "PropertiesChanged", iface, changed, []string{})
	}
}

// emit sends a signal if there is a bus. That it is lost with the connection
// is no loss: clients start over then.
func (a *announcer) emit(path dbus.ObjectPath, iface, member string, args ...any) {
	if a.conn == nil || a.conn.Err() != nil {
		return
	}
	if err := a.conn.Emit(path, iface, member, args...); err != nil && a.conn.Err() == nil {
		a.server.log.Error("cannot send a D-Bus signal", "signal", member, "path", string(path), "error", err)
	}
}
