package dbusapi

import (
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// transitions follows what is told of one stream.
type transitions struct {
	*listener
	name       string
	properties map[string]any // as told last
	states     []string
	healths    []string
	untold     []string // State and Health in a PropertiesChanged, but in no signal of its own yet
	restarts   int
}

// until takes signals to the one that says that the stream is in a state, or
// with "" to the first of another stream.
func (f *transitions) until(state string) {
	f.t.Helper()
	for {
		var s *dbus.Signal
		select {
		case s = <-f.ch:
		case <-time.After(20 * time.Second):
		}
		if s == nil {
			f.t.Fatalf("no signal, or no connection, before %q; there were %v", state, f.states)
		}
		switch s.Name {
		case propertiesInterface + ".PropertiesChanged":
			if s.Path == StreamPath(f.name) {
				f.changed(s.Body[1].(map[string]dbus.Variant))
			} else if s.Path != managerPath && state == "" {
				return
			}
		case managerInterface + ".StateChanged":
			if s.Body[0] != f.name {
				continue
			}
			to := s.Body[3].(string)
			f.tell("State", to)
			f.states = append(f.states, to)
			if to == state {
				return
			}
		case managerInterface + ".HealthChanged":
			if s.Body[0] == f.name {
				to := s.Body[3].(string)
				f.tell("Health", to)
				f.healths = append(f.healths, to)
			}
		case managerInterface + ".StreamRestarted":
			f.restarts++
		}
	}
}

// changed takes a PropertiesChanged, which has what has changed and no more,
// and of one transition only.
func (f *transitions) changed(all map[string]dbus.Variant) {
	f.t.Helper()
	if len(all) == 0 {
		f.t.Error("a PropertiesChanged of no property")
	}
	if len(f.untold) > 0 {
		f.t.Errorf("%v was told, and before its signal %v", f.untold, all)
	}
	for name, v := range all {
		if old, known := f.properties[name]; known && reflect.DeepEqual(old, v.Value()) {
			f.t.Errorf("%s=%v is told again", name, old)
		}
		f.properties[name] = v.Value()
		if name == "State" || name == "Health" {
			f.untold = append(f.untold, name+" "+v.Value().(string))
		}
	}
}

// tell takes the signal of a State or Health that a PropertiesChanged has told.
func (f *transitions) tell(what, to string) {
	f.t.Helper()
	i := slices.Index(f.untold, what+" "+to)
	if i < 0 {
		f.t.Errorf("the change to %s %s was in no PropertiesChanged before it, or is told twice", what, to)
		return
	}
	f.untold = slices.Delete(f.untold, i, i+1)
}

// TestRealTransitionsAreToldOnceEach: over a life of a stream every change of
// its state is one PropertiesChanged, with its health where that changes along.
func TestRealTransitionsAreToldOnceEach(t *testing.T) {
	r, _, _ := realKeeper(t, map[string]string{
		"picture": "ExecStart=ffmpeg -re -f lavfi -i testsrc=size=64x64:rate=10 -f null -\nRestartSec=100ms\n",
		"plain":   "Type=simple\nExecStart=sleep 1000\nRestartSec=100ms\n",
		"marker":  "Type=simple\nExecStart=sleep 1000\n",
	})
	m := manager(r.connect(t))
	call := func(method string, args ...any) *dbus.Call {
		c := m.Call(managerInterface+"."+method, 0, args...)
		if c.Err != nil {
			t.Fatal(c.Err)
		}
		return c
	}
	for name, delivering := range map[string]string{"picture": "ok", "plain": "unknown"} {
		f := &transitions{listener: r.listen(t), name: name, properties: map[string]any{}}
		var pid uint32
		call("Start", name, options{}).Store(&pid)
		f.until("running")
		syscall.Kill(int(pid), syscall.SIGKILL)
		f.until("restarting")
		f.until("running")
		call("Stop", name, options{})
		f.until("stopped")
		call("Start", "marker", options{})
		f.until("")
		call("Stop", "marker", options{})

		if d := cmp.Diff([]string{"starting", "running", "restarting", "starting", "running", "stopping", "stopped"}, f.states); d != "" {
			t.Errorf("%s: states %s", name, d)
		}
		if d := cmp.Diff([]string{"starting", delivering, "down", "starting", delivering, "none"}, f.healths); d != "" {
			t.Errorf("%s: healths %s", name, d)
		}
		if f.restarts != 1 || f.properties["RestartCount"] != uint32(1) || f.properties["PID"] != uint32(0) {
			t.Errorf("%s: %d restarts were told, properties are %v", name, f.restarts, f.properties)
		}
	}
}
