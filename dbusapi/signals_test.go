package dbusapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/wire"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// listener hears the signals of the keeper, in order.
type listener struct {
	t  testing.TB
	ch chan *dbus.Signal
}

func (r *running) listen(t testing.TB) *listener {
	t.Helper()
	c := r.connect(t, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	l := &listener{t, make(chan *dbus.Signal, 10000)}
	c.Signal(l.ch)
	if err := c.AddMatchSignal(dbus.WithMatchSender(busName)); err != nil {
		t.Fatal(err)
	}
	return l
}

// next is the next signal of the keeper as one line: member, path, body.
func (l *listener) next() string {
	l.t.Helper()
	for {
		select {
		case s := <-l.ch:
			if s == nil {
				l.t.Fatal("the connection is lost")
			}
			if !strings.HasPrefix(s.Name, "org.freedesktop.DBus.Name") {
				return describeSignal(s)
			}
		case <-time.After(20 * time.Second):
			l.t.Fatal("no signal")
		}
	}
}

func (l *listener) expect(want ...string) {
	l.t.Helper()
	var got []string
	for range want {
		got = append(got, l.next())
	}
	if d := cmp.Diff(want, got); d != "" {
		l.t.Error(d)
	}
}

// quiet makes sure that nothing more was sent: a signal that the test itself
// causes comes next.
func (l *listener) quiet(k *fakekeeper.Keeper) {
	l.t.Helper()
	k.Put(fakekeeper.Stopped("marker"))
	if s := l.next(); !strings.HasPrefix(s, "InterfacesAdded") || !strings.Contains(s, "marker") {
		l.t.Errorf("unexpected: %s", s)
	}
	for range 2 {
		l.next() // the manager's properties, StreamNew
	}
	k.Remove("marker")
	for range 3 {
		l.next()
	}
}

func describeSignal(s *dbus.Signal) string {
	member := s.Name[strings.LastIndexByte(s.Name, '.')+1:]
	path := strings.TrimPrefix(string(s.Path), string(managerPath))
	var parts []string
	for _, v := range s.Body {
		switch v := v.(type) {
		case map[string]dbus.Variant:
			parts = append(parts, describeProperties(v))
		case map[string]map[string]dbus.Variant:
			for iface, p := range v {
				parts = append(parts, fmt.Sprintf("%s with %d properties", iface, len(p)))
			}
		default:
			parts = append(parts, fmt.Sprint(v))
		}
	}
	return strings.TrimSpace(member + " " + path + " " + strings.Join(parts, " "))
}

func describeProperties(p map[string]dbus.Variant) string {
	var parts []string
	for name, v := range p {
		parts = append(parts, fmt.Sprintf("%s=%v", name, v.Value()))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func TestOnePropertiesChangedATransition(t *testing.T) {
	k := fakekeeper.New("cam-1", "other")
	r := start(t, k)
	l := r.listen(t)

	at := time.UnixMicro(1_700_000_000_000_002)
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.State, s.Health, s.Wanted, s.StateSince = stream.StateStarting, stream.HealthStarting, true, at
	})
	l.expect(
		"PropertiesChanged /stream/cam_2d1 org.ffkeeper1.Stream Health=starting,State=starting,StateChangeTimestamp=1700000000000002,Wanted=true []",
		"PropertiesChanged  org.ffkeeper1.Manager AllHealthy=false []",
		"StateChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 stopped starting",
		"HealthChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 none starting",
	)
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.State, s.Health, s.PID, s.Started = stream.StateRunning, stream.HealthOK, 77, at
	})
	l.expect(
		"PropertiesChanged /stream/cam_2d1 org.ffkeeper1.Stream Health=ok,PID=77,StartTimestamp=1700000000000002,State=running []",
		"PropertiesChanged  org.ffkeeper1.Manager AllHealthy=true,NRunning=1 []",
		"StateChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 starting running",
		"HealthChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 starting ok",
	)
	// Figures alone are no transition that anybody is told of.
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.Usage, s.Progress, s.LastActivity = &stream.Usage{RSS: 5}, &stream.Progress{Frame: 9}, at
	})
	l.quiet(k)
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.Health, s.Reason = stream.HealthDegraded, stream.ReasonTooSlow
	})
	l.expect(
		"PropertiesChanged /stream/cam_2d1 org.ffkeeper1.Stream Health=degraded,Reason=too-slow []",
		"PropertiesChanged  org.ffkeeper1.Manager AllHealthy=false []",
		"HealthChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 ok degraded too-slow",
	)
	// A crash, and the new process after it.
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.State, s.Health, s.Reason, s.PID, s.Started = stream.StateRestarting, stream.HealthDown, stream.ReasonExitCode, 0, time.Time{}
		s.NextRestart, s.ExitCodes, s.ConsecutiveFailures = at, []int{1}, 1
	})
	l.expect(
		"PropertiesChanged /stream/cam_2d1 org.ffkeeper1.Stream ConsecutiveFailures=1,ExitCodes=[1],Health=down,NextRestartTimestamp=1700000000000002,PID=0,Reason=exit-code,StartTimestamp=0,State=restarting []",
		"PropertiesChanged  org.ffkeeper1.Manager NRunning=0 []",
		"StateChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 running restarting exit-code",
		"HealthChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 degraded down exit-code",
	)
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.State, s.PID, s.NextRestart, s.LastRestart = stream.StateStarting, 78, time.Time{}, at
		s.RestartCount = 1
	}, service.EventRestarted)
	l.expect(
		"PropertiesChanged /stream/cam_2d1 org.ffkeeper1.Stream LastRestartTimestamp=1700000000000002,NextRestartTimestamp=0,PID=78,RestartCount=1,State=starting []",
		"StateChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 restarting starting exit-code",
		"StreamRestarted  cam-1 /org/ffkeeper1/stream/cam_2d1 1",
	)
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.State, s.Reason, s.PID = stream.StateFailed, stream.ReasonRestartLimit, 0
	}, service.EventFailed)
	l.expect(
		"PropertiesChanged /stream/cam_2d1 org.ffkeeper1.Stream PID=0,Reason=restart-limit,State=failed []",
		"PropertiesChanged  org.ffkeeper1.Manager NFailed=1 []",
		"StateChanged  cam-1 /org/ffkeeper1/stream/cam_2d1 starting failed restart-limit",
		"StreamFailed  cam-1 /org/ffkeeper1/stream/cam_2d1 restart-limit",
	)
	l.quiet(k)
}

func TestStreamsComeAndGo(t *testing.T) {
	k := fakekeeper.New()
	r := start(t, k)
	l := r.listen(t)
	k.Put(fakekeeper.Full("a-b", 5))
	l.expect(
		fmt.Sprintf("InterfacesAdded  /org/ffkeeper1/stream/a_2db org.ffkeeper1.Stream with %d properties", len(streamProperties())),
		"PropertiesChanged  org.ffkeeper1.Manager NRunning=1,NStreams=1 []",
		"StreamNew  a-b /org/ffkeeper1/stream/a_2db",
	)
	k.Remove("a-b")
	l.expect(
		"InterfacesRemoved  /org/ffkeeper1/stream/a_2db [org.ffkeeper1.Stream]",
		"PropertiesChanged  org.ffkeeper1.Manager NRunning=0,NStreams=0 []",
		"StreamRemoved  a-b /org/ffkeeper1/stream/a_2db",
	)
	l.quiet(k)
}

func TestGapInTheFeedIsMadeUpFor(t *testing.T) {
	k := fakekeeper.New("stays", "goes", "fails")
	r := start(t, k)
	l := r.listen(t)
	k.Lag() // what follows is told to nobody
	k.Remove("goes")
	k.Put(fakekeeper.Stopped("new"))
	k.Change("fails", func(s *stream.Snapshot) {
		s.State, s.Reason, s.RestartCount = stream.StateFailed, stream.ReasonRestartLimit, 4
	})
	k.Change("stays", func(s *stream.Snapshot) { s.Description = "other" })
	// The loop may have subscribed anew before all of that; either way each is
	// told once.
	want := map[string]int{
		"StreamNew  new /org/ffkeeper1/stream/new":                                                                 1,
		"StreamRemoved  goes /org/ffkeeper1/stream/goes":                                                           1,
		"StateChanged  fails /org/ffkeeper1/stream/fails stopped failed restart-limit":                             1,
		"PropertiesChanged /stream/stays org.ffkeeper1.Stream Description=other []":                                1,
		"PropertiesChanged /stream/fails org.ffkeeper1.Stream Reason=restart-limit,RestartCount=4,State=failed []": 1,
	}
	for len(want) > 0 {
		s := l.next()
		if want[s]--; want[s] == 0 {
			delete(want, s)
		} else if want[s] == -1 {
			delete(want, s)
		} else {
			t.Errorf("%q again", s)
		}
	}
}

// The loop must never wait for the bus, or the keeper's events pile up.
func TestManyTransitionsAllArriveInOrder(t *testing.T) {
	k := fakekeeper.New("cam1")
	r := start(t, k)
	l := r.listen(t)
	const n = 2000
	for i := range n {
		k.Change("cam1", func(s *stream.Snapshot) { s.RestartCount = i + 1 }, service.EventRestarted)
	}
	for i := range n {
		l.expect(
			fmt.Sprintf("PropertiesChanged /stream/cam1 org.ffkeeper1.Stream RestartCount=%d []", i+1),
			fmt.Sprintf("StreamRestarted  cam1 /org/ffkeeper1/stream/cam1 %d", i+1),
		)
	}
}

func TestIntrospectionWhileObjectsComeAndGo(t *testing.T) {
	k := fakekeeper.New("cam1")
	r := start(t, k)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 3)
	for _, call := range []struct {
		path   dbus.ObjectPath
		method string
	}{
		{streamsPath, introspectInterface + ".Introspect"},
		{"/", introspectInterface + ".Introspect"},
		{managerPath, objectManagerInterface + ".GetManagedObjects"},
	} {
		o := r.connect(t).Object(busName, call.path)
		go func() {
			for ctx.Err() == nil {
				if err := o.Call(call.method, 0).Err; err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for i := range 1000 {
		k.Put(fakekeeper.Stopped(fmt.Sprint("s", i)))
	}
	for i := range 1000 {
		k.Remove(fmt.Sprint("s", i))
	}
	cancel()
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	c := r.connect(t)
	if _, children := introspection(t, c, streamsPath); !slices.Equal(children, []string{"cam1"}) {
		t.Errorf("%d children remain", len(children))
	}
}

func TestABurstTellsTheManagersPropertiesFewTimes(t *testing.T) {
	const streams = 2*burstLength + burstFrom + 2
	k := fakekeeper.New()
	for i := range streams {
		k.Put(fakekeeper.Stopped(fmt.Sprint("cam", i)))
	}
	r := start(t, k)
	l := r.listen(t)
	hold := make(chan *wire.Conn)
	r.pings <- hold // the loop waits until its answer is taken
	for i := range streams {
		k.Change(fmt.Sprint("cam", i), func(s *stream.Snapshot) {
			s.State, s.PID = stream.StateRunning, i+1
		})
	}
	<-hold
	var told []string
	for seen := 0; seen < streams; {
		switch s := l.next(); {
		case strings.HasPrefix(s, "PropertiesChanged  org.ffkeeper1.Manager"):
			told = append(told, s)
		case strings.HasPrefix(s, "StateChanged"):
			seen++
		}
	}
	var want []string
	for running := 1; running <= streams; running++ {
		if running%burstLength == 0 || streams-running <= burstFrom {
			want = append(want, fmt.Sprintf("PropertiesChanged  org.ffkeeper1.Manager NRunning=%d []", running))
		}
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Error(d)
	}
	l.quiet(k)
}
