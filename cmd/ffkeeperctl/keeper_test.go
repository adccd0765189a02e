package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

func TestErrorsNameTheThingAndTheRemedyAndHaveSystemctlsCodes(t *testing.T) {
	const keeperError, standard = "org.ffkeeper1.Error.", "org.freedesktop.DBus.Error."
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{&client.Error{Name: keeperError + "NoSuchStream", Text: "no such stream"}, 5,
			"start cam1: no such stream; ffkeeperctl list shows all"},
		{&client.Error{Name: standard + "AccessDenied", Text: "not allowed"}, 4,
			"start cam1: not allowed; run it as root, or have polkit allow it to you"},
		{&client.Error{Name: standard + "InteractiveAuthorizationRequired", Text: "not so"}, 4,
			"start cam1: not so; a password is needed: run it on a terminal, or as root"},
		{&client.Error{Name: keeperError + "SpawnFailed", Text: "start cam1: no such file"}, 1,
			"start cam1: no such file; ffkeeperctl status and logs tell more"},
		{&client.Error{Name: keeperError + "BadSetting", Text: "x"}, 1,
			"start cam1: x; ffkeeperctl verify --all shows all that is wrong with the files"},
		{&client.Error{Name: standard + "LimitsExceeded", Text: "too much"}, 1, "start cam1: too much; try again with less at a time"},
		{&client.Error{Name: standard + "InvalidArgs", Text: "cam1: signal 99"}, 1, "start cam1: signal 99"},
		{&client.Error{Name: keeperError + "Busy", Text: "busy"}, 1, "start cam1: busy"},
		{errors.New("lost the bus"), 1, "start cam1: lost the bus"},
		{context.DeadlineExceeded, 1, "start cam1: the keeper does not answer in time"},
		{failf("said already"), 1, "start cam1: said already"},
	} {
		err := explain("start cam1", c.err)
		if err.Error() != c.text || exitCodeOf(err) != c.code {
			t.Errorf("%v: got %q, code %d; want %q, %d", c.err, err, exitCodeOf(err), c.text, c.code)
		}
	}
	if err := explain("x", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("an interruption became %v", err)
	}
	if explain("x", nil) != nil || withCode(nil, 4) != nil {
		t.Error("nil is an error")
	}
	if err := withCode(failf("x"), 4); exitCodeOf(err) != 4 || err.Error() != "x" {
		t.Errorf("withCode: %v", err)
	}
}

func TestMonitorTellsWhatChangedWhileNobodyWatched(t *testing.T) {
	at := noon
	var got []string
	w := &watcher{each: func(e event) error {
		got = append(got, fmt.Sprint(e.Event, " ", e.Name, " ", e.Old, " ", e.New, " ", e.Reason))
		return nil
	}}
	streams := func(conditions map[string][2]string) map[string]client.Properties {
		out := map[string]client.Properties{}
		for n, c := range conditions {
			out[n] = client.Properties{Name: n, State: c[0], Health: c[1], Reason: "why"}
		}
		return out
	}
	for _, e := range []client.Event{
		{Kind: client.EventResync, Streams: streams(map[string][2]string{"a": {"running", "ok"}, "b": {"stopped", "none"}})},
		{Kind: client.EventStateChanged, Name: "b", Old: "stopped", New: "starting", Reason: "requested"},
		{Kind: client.EventPropertiesChanged, Name: "b"},
		{Kind: client.EventHealthChanged, Name: "b", Old: "none", New: "starting"},
		{Kind: client.EventGone, Err: errors.New("gone")},
		{Kind: client.EventBack},
		{Kind: client.EventResync, Streams: streams(map[string][2]string{"a": {"restarting", "down"}, "b": {"starting", "starting"}, "c": {"running", "ok"}})},
		{Kind: client.EventStreamRemoved, Name: "c"},
		{Kind: client.EventGone},
		{Kind: client.EventBack},
		{Kind: client.EventResync, Streams: streams(map[string][2]string{"a": {"restarting", "down"}})},
	} {
		e.Time = at
		if err := w.take(e); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"StateChanged b stopped starting requested",
		"HealthChanged b none starting ",
		"disconnected    ",
		"connected    ",
		"StateChanged a running restarting why",
		"HealthChanged a ok down why",
		"StreamNew c   ",
		"StreamRemoved c   ",
		"disconnected    ",
		"connected    ",
		"StreamRemoved b   ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if toUsec(time.Time{}) != 0 || fromUsec(toUsec(noon)) != noon.Local() && !fromUsec(toUsec(noon)).Equal(noon) {
		t.Error("toUsec is not the inverse of fromUsec")
	}
}

func TestEveryFigureOfTheKeepersIsShown(t *testing.T) {
	var h client.Health
	for _, f := range reflect.ValueOf(&h).Elem().Fields() {
		if f.Kind() == reflect.Pointer {
			f.Set(reflect.New(f.Type().Elem()))
		}
	}
	v := viewOf("cam1", "", h)
	for field, value := range reflect.ValueOf(v).Elem().Fields() {
		if value.Kind() == reflect.Pointer && !field.Anonymous && value.IsNil() {
			t.Errorf("%s is left out", field.Name)
		}
	}
}
