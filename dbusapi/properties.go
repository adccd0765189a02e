package dbusapi

import (
	"slices"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// streamProperty is one property of a stream. Whether it is signalled says the
// XML.
type streamProperty struct {
	name  string
	value func(*stream.Snapshot) dbus.Variant
	// same reports whether the property is alike in both.
	same func(a, b *stream.Snapshot) bool
}

// property makes a row for a property that is a plain value of the snapshot.
func property[T comparable](name string, get func(*stream.Snapshot) T, variant func(T) dbus.Variant) streamProperty {
	return streamProperty{
		name:  name,
		value: func(s *stream.Snapshot) dbus.Variant { return variant(get(s)) },
		same:  func(a, b *stream.Snapshot) bool { return get(a) == get(b) },
	}
}

// propertyList is property for slices.
func propertyList[T comparable](name string, get func(*stream.Snapshot) []T, variant func([]T) dbus.Variant) streamProperty {
	return streamProperty{
		name:  name,
		value: func(s *stream.Snapshot) dbus.Variant { return variant(get(s)) },
		same:  func(a, b *stream.Snapshot) bool { return slices.Equal(get(a), get(b)) },
	}
}

// streamProperties is every property of org.ffkeeper1.Stream, in the order of
// the XML.
func streamProperties() []streamProperty {
	type snap = *stream.Snapshot
	return []streamProperty{
		property("Name", func(s snap) string { return s.Name }, variantString),
		property("Description", func(s snap) string { return s.Description }, variantString),
		property("State", func(s snap) string { return string(s.State) }, variantString),
		property("Health", func(s snap) string { return string(s.Health) }, variantString),
		property("Reason", func(s snap) string { return string(s.Reason) }, variantString),
		property("Detail", func(s snap) string { return s.Detail }, variantString),
		property("Wanted", func(s snap) bool { return s.Wanted }, variantBool),
		property("PID", func(s snap) int { return s.PID }, variantUint32),
		property("StartTimestamp", func(s snap) uint64 { return usec(s.Started) }, variantUint64),
		property("NextRestartTimestamp", func(s snap) uint64 { return usec(s.NextRestart) }, variantUint64),
		property("ConsecutiveFailures", func(s snap) int { return s.ConsecutiveFailures }, variantUint32),
		property("RestartCount", func(s snap) int { return s.RestartCount }, variantUint32),
		propertyList("ExitCodes", func(s snap) []int { return s.ExitCodes }, variantInts),
		property("StateChangeTimestamp", func(s snap) uint64 { return usec(s.StateSince) }, variantUint64),
		property("LastRestartTimestamp", func(s snap) uint64 { return usec(s.LastRestart) }, variantUint64),
		property("SourceFile", func(s snap) string { return s.SourceFile }, variantString),
		propertyList("Command", func(s snap) []string { return s.Command }, variantStrings),
		property("NeedsRestart", func(s snap) bool { return s.NeedsRestart }, variantBool),
	}
}

// allProperties are a stream's, for GetAll and the object manager.
func (s *Server) allProperties(snap *stream.Snapshot) map[string]dbus.Variant {
	all := make(map[string]dbus.Variant, len(s.properties))
	for _, p := range s.properties {
		all[p.name] = p.value(snap)
	}
	return all
}

// changedProperties are those that a transition changed and that are
// signalled.
func (s *Server) changedProperties(old, now *stream.Snapshot) map[string]dbus.Variant {
	changed := map[string]dbus.Variant{}
	for _, p := range s.properties {
		if s.signalled[p.name] && !p.same(old, now) {
			changed[p.name] = p.value(now)
		}
	}
	return changed
}

// tally is the manager's properties that change.
type tally struct {
	streams, running, failed int
	unhealthy                int // wanted, and neither ok nor unknown
}

// add counts a stream, or with n = -1 takes it out again.
func (t *tally) add(s *stream.Snapshot, n int) {
	t.streams += n
	switch s.State {
	case stream.StateRunning:
		t.running += n
	case stream.StateFailed:
		t.failed += n
	}
	if s.Wanted && s.Health != stream.HealthOK && s.Health != stream.HealthUnknown {
		t.unhealthy += n
	}
}

// properties are the tally as the bus shows it.
func (t tally) properties() map[string]dbus.Variant {
	return map[string]dbus.Variant{
		"AllHealthy": variantBool(t.unhealthy == 0),
		"NStreams":   variantUint32(t.streams),
		"NRunning":   variantUint32(t.running),
		"NFailed":    variantUint32(t.failed),
	}
}

// changes are those properties that differ from an earlier tally's.
func (t tally) changes(old tally) map[string]dbus.Variant {
	if t == old {
		return nil
	}
	before, changed := old.properties(), t.properties()
	for name, v := range before {
		if changed[name].Value() == v.Value() {
			delete(changed, name)
		}
	}
	return changed
}

// managerProperties are all of the manager's, as they are now.
func (s *Server) managerProperties() map[string]dbus.Variant {
	var t tally
	for _, snap := range s.api.Cores() {
		t.add(snap, 1)
	}
	all := t.properties()
	all["Version"] = variantString(s.opts.Version)
	return all
}
