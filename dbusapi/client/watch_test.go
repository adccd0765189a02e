package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// events reads a watch, one line an event.
type events struct {
	t  *testing.T
	ch <-chan client.Event
}

func (e *events) next() client.Event {
	e.t.Helper()
	select {
	case ev, ok := <-e.ch:
		if !ok {
			e.t.Fatal("the watch has ended")
		}
		if ev.Time.IsZero() {
			e.t.Error("an event without a time")
		}
		return ev
	case <-time.After(20 * time.Second):
		e.t.Fatal("no event")
	}
	panic("unreachable")
}

func (e *events) expect(want ...string) {
	e.t.Helper()
	for _, w := range want {
		ev := e.next()
		got := strings.TrimSpace(fmt.Sprint(ev.Kind, " ", ev.Name, " ", ev.Old, " ", ev.New, " ", ev.Reason))
		if ev.RestartCount != 0 {
			got += fmt.Sprint(" ", ev.RestartCount)
		}
		if len(ev.Changed) > 0 {
			got += fmt.Sprint(" ", ev.Changed)
		}
		if len(ev.Streams) > 0 {
			got += fmt.Sprint(" ", len(ev.Streams), " streams")
		}
		if strings.Join(strings.Fields(got), " ") != w {
			e.t.Errorf("%q, not %q", got, w)
		}
	}
}

func TestWatchTellsWhatHappens(t *testing.T) {
	k := fakekeeper.New("cam-1")
	bus := bustest.Start(t)
	serve(t, bus, k)
	ctx, cancel := context.WithCancel(t.Context())
	e := &events{t, dial(t, bus).Watch(ctx)}
	e.expect("resync 1 streams")
	k.Change("cam-1", func(s *stream.Snapshot) {
		s.State, s.Health, s.Reason = stream.StateFailed, stream.HealthDown, stream.ReasonRestartLimit
	}, service.EventFailed)
	e.expect(
		"PropertiesChanged cam-1 map[Health:down Reason:restart-limit State:failed]",
		"PropertiesChanged map[NFailed:1]",
		"StateChanged cam-1 stopped failed restart-limit",
		"HealthChanged cam-1 none down restart-limit",
		"StreamFailed cam-1 restart-limit",
	)
	k.Put(fakekeeper.Stopped("new"))
	e.expect("PropertiesChanged map[NStreams:2]")
	if ev := e.next(); ev.Kind != client.EventStreamNew || ev.Streams["new"].SourceFile == "" {
		t.Errorf("%+v", ev)
	}
	k.Change("new", func(s *stream.Snapshot) { s.RestartCount = 5 }, service.EventRestarted)
	e.expect("PropertiesChanged new map[RestartCount:5]", "StreamRestarted new 5")
	k.Remove("new")
	e.expect("PropertiesChanged map[NStreams:1]", "StreamRemoved new")
	cancel()
	for range e.ch { // it ends
	}
}

func TestWatchSurvivesKeeperAndBus(t *testing.T) {
	k := fakekeeper.New("cam1")
	bus := bustest.Start(t)
	e := &events{t, dial(t, bus).Watch(t.Context())}
	if ev := e.next(); ev.Kind != client.EventGone || !errors.Is(ev.Err, client.ErrNotRunning) {
		t.Errorf("%+v", ev)
	}
	stop := serve(t, bus, k)
	e.expect("back", "resync 1 streams")
	stop()
	if ev := e.next(); ev.Kind != client.EventGone || !errors.Is(ev.Err, client.ErrNotRunning) {
		t.Errorf("%+v", ev)
	}
	k.Put(fakekeeper.Stopped("meanwhile"))
	serve(t, bus, k)
	e.expect("back", "resync 2 streams")

	bus.Kill()
	if ev := e.next(); ev.Kind != client.EventGone || ev.Err == nil || errors.Is(ev.Err, client.ErrNotRunning) {
		t.Errorf("%+v", ev)
	}
	bus.Restart()
	e.expect("back", "resync 2 streams")
	k.Change("cam1", func(s *stream.Snapshot) { s.State = stream.StateFailed })
	e.expect("PropertiesChanged cam1 map[State:failed]", "PropertiesChanged map[NFailed:1]", "StateChanged cam1 stopped failed")
}

func TestWatchKeepsTheOrderOfManySignals(t *testing.T) {
	k := fakekeeper.New("cam1")
	bus := bustest.Start(t)
	serve(t, bus, k)
	e := &events{t, dial(t, bus).Watch(t.Context())}
	e.expect("resync 1 streams")
	const n = 3000
	for i := range n {
		k.Change("cam1", func(s *stream.Snapshot) { s.RestartCount = i + 1 })
	}
	for i := range n {
		if ev := e.next(); ev.Changed["RestartCount"] != uint32(i+1) {
			t.Fatalf("event %d: %+v", i, ev)
		}
	}
}
