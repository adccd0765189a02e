package service_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// said is a simple stream that counts as delivering once it has spoken.
const said = "Type=simple\nExecStart=sh -c \"echo up; exec sleep 1000\"\n"

// order is the streams' events of one kind in the order they happened.
func (k *keeper) order(kind stream.Kind) (names []string) {
	k.log.mu.Lock()
	defer k.log.mu.Unlock()
	for _, e := range k.log.r {
		if e.attrs["FFKEEPER_EVENT"] == string(kind) {
			names = append(names, e.attrs["FFKEEPER_STREAM"])
		}
	}
	return names
}

func TestStartAllAndStopAllFollowAfterAndRequires(t *testing.T) {
	k := newKeeper(t, map[string]string{
		// b's name sorts before what it comes after
		"b0": said + "After=c1", "c1": said, "a2": said + "Requires=b0", "free": said,
	})
	if f := k.StartAll(k.ctx(), service.CallOptions{Wait: service.WaitOK}); f != nil {
		t.Fatal(f)
	}
	started := slices.DeleteFunc(k.order(stream.KindStarted), func(n string) bool { return n == "free" })
	if strings.Join(started, " ") != "c1 b0 a2" {
		t.Errorf("started %v", started)
	}
	if !k.AllHealthy() {
		t.Error("not all healthy")
	}
	if f := k.StopAll(k.ctx(), service.CallOptions{}); f != nil {
		t.Fatal(f)
	}
	stopped := slices.DeleteFunc(k.order(stream.KindStopped), func(n string) bool { return n == "free" })
	if strings.Join(stopped, " ") != "a2 b0 c1" {
		t.Errorf("stopped %v", stopped)
	}
}

func TestStartingAStreamStartsWhatItRequires(t *testing.T) {
	k := newKeeper(t, map[string]string{"a": said, "b": said + "Requires=a"})
	k.startOK("b")
	if s := k.snap("a"); s.State != stream.StateRunning {
		t.Errorf("a is %s", s.State)
	}
	k.stop("a")
	if s := k.snap("b"); s.State != stream.StateStopped {
		t.Errorf("a stop of what it requires leaves b %s", s.State)
	}
}

func TestARestartTakesDependentsAlong(t *testing.T) {
	k := newKeeper(t, map[string]string{"a": said, "b": said + "Requires=a"})
	a, b := k.startOK("a"), k.startOK("b")
	if _, err := k.Restart(k.ctx(), "a", service.CallOptions{}); err != nil {
		t.Fatal(err)
	}
	k.until("b", "a new process", func(s *stream.Snapshot) bool { return s.PID != 0 && s.PID != b })
	if s := k.snap("a"); s.PID == a {
		t.Error("a was not restarted")
	}
}

func TestWhatRequiresAFailedStreamFailsForThatReason(t *testing.T) {
	k := newKeeper(t, map[string]string{
		"a": "Type=simple\nRestart=no\nCommandBuilder=false", "b": said + "Requires=a\nRestartSec=1h\nRestartMaxDelaySec=1h",
	})
	_, err := k.Start(k.ctx(), "b", service.CallOptions{})
	if err == nil || !strings.Contains(err.Error(), "requires a, which has failed") {
		t.Errorf("error %v", err)
	}
	if s := k.snap("b"); s.Reason != stream.ReasonRequiresFailed {
		t.Errorf("reason %s", s.Reason)
	}
}

func TestACycleIsAnErrorAndTheOthersRun(t *testing.T) {
	k := newKeeper(t, map[string]string{"a": said + "After=b", "b": said + "After=a", "c": said})
	k.startOK("c")
	for _, name := range []string{"a", "b"} {
		_, err := k.Start(k.ctx(), name, service.CallOptions{})
		if kindOf(err) != service.BadSetting || !strings.Contains(err.Error(), "→") {
			t.Errorf("%s: %v", name, err)
		}
		if s := k.snap(name); s.State != stream.StateFailed || s.Reason != stream.ReasonBadSetting {
			t.Errorf("%s is %s/%s", name, s.State, s.Reason)
		}
	}
}

// TestACycleBetweenAnOldAndANewDefinitionBlocksNobody: a's file is broken, so
// its old After=b stays in force; b's new one comes after a.
func TestACycleBetweenAnOldAndANewDefinitionBlocksNobody(t *testing.T) {
	k := newKeeper(t, map[string]string{"a": said + "After=b", "b": said})
	k.StartAll(k.ctx(), service.CallOptions{})
	k.file("a", said+"After=b\nNonsense=1")
	k.file("b", said+"After=a")
	if _, err := k.Reload(k.ctx()); err != nil {
		t.Fatal(err)
	}
	if f := k.StopAll(k.ctx(), service.CallOptions{}); f != nil {
		t.Fatal(f)
	}
	for _, name := range k.Names() {
		if s := k.snap(name); s.State != stream.StateStopped {
			t.Errorf("%s is %s", name, s.State)
		}
	}
}

func TestAddRefusesACycle(t *testing.T) {
	k := newKeeper(t, nil)
	for name, after := range map[string][]string{"a": {"b"}, "b": {"c"}} {
		def := streamfile.New(name, []string{"sleep", "1000"})
		def.Type, def.OnStall, def.After = streamfile.TypeSimple, streamfile.OnStallLog, after
		if err := k.Add(def, service.Hooks{}); err != nil {
			t.Fatal(err)
		}
	}
	def := streamfile.New("c", []string{"sleep", "1000"})
	def.Type, def.OnStall, def.Requires = streamfile.TypeSimple, streamfile.OnStallLog, []string{"a"}
	if err := k.Add(def, service.Hooks{}); kindOf(err) != service.BadSetting || !strings.Contains(err.Error(), "c → a → b → c") {
		t.Errorf("%v", err)
	}
}

// TestAStopOfManyGoesOnWhenItsCallerLeaves: in order still, and a start that
// comes later is not undone by it.
func TestAStopOfManyGoesOnWhenItsCallerLeaves(t *testing.T) {
	slow := "Type=simple\nTimeoutStopSec=1s\nExecStart=sh -c \"trap '' TERM; echo up; while :; do sleep 1000; done\"\n"
	k := newKeeper(t, map[string]string{"base": said, "top": slow + "After=base", "other": said, "slow": slow + "After=other"})
	k.StartAll(k.ctx(), service.CallOptions{Wait: service.WaitOK})
	for _, name := range k.Names() {
		k.until(name, "its word", func(s *stream.Snapshot) bool { return len(s.Lines) > 0 })
	}
	other := k.snap("other").PID
	ctx, cancel := context.WithCancel(k.ctx())
	cancel()
	if f := k.StopAll(ctx, service.CallOptions{}); len(f) == 0 {
		t.Error("no failure tells that not all had stopped")
	}
	if _, err := k.Start(k.ctx(), "other", service.CallOptions{}); err != nil {
		t.Error(err)
	}
	k.untilState("base", stream.StateStopped)
	k.untilState("slow", stream.StateStopped)
	if order := k.order(stream.KindStopped); slices.Index(order, "top") > slices.Index(order, "base") {
		t.Errorf("stopped %v", order)
	}
	k.StopAll(k.ctx(), service.CallOptions{Wait: service.WaitNone})
	k.untilState("other", stream.StateStopped)
	for _, e := range k.log.of("other") {
		if e.attrs["FFKEEPER_EVENT"] == string(stream.KindStarted) && e.attrs["FFKEEPER_PID"] != fmt.Sprint(other) {
			t.Error("the start that came in between was undone and begun anew")
		}
	}
}
