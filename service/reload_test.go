package service_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

func changes(c []service.Change) string {
	var out []string
	for _, c := range c {
		out = append(out, c.Kind+" "+c.Name)
	}
	return strings.Join(out, ", ")
}

func TestAReloadTouchesOnlyWhatChanged(t *testing.T) {
	k := newKeeper(t, map[string]string{"same": said, "edited": said, "gone": said, "broken": said})
	k.Autostart(k.ctx())
	pids := map[string]int{}
	for _, name := range k.Names() {
		pids[name] = k.untilState(name, stream.StateRunning).PID
	}
	k.file("edited", said+"Description=new")
	k.file("broken", said+"Nonsense=1")
	k.file("new", said)
	k.file("manual", said+"Autostart=no")
	os.Remove(filepath.Join(k.dir, "gone.stream"))
	got, err := k.Reload(k.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if want := "error broken, changed edited, removed gone, added manual, added new"; changes(got) != want {
		t.Errorf("changes %q, want %q", changes(got), want)
	}
	for _, c := range got {
		if c.Name == "broken" && !strings.Contains(c.Detail, "broken.stream:4: there is no option \"Nonsense\"") {
			t.Errorf("detail %q", c.Detail)
		}
	}
	k.untilState("new", stream.StateRunning)
	for name, pid := range pids {
		s, err := k.Snapshot(name)
		if name == "gone" {
			if kindOf(err) != service.NoSuchStream || alive(pid) {
				t.Errorf("gone: %v, alive %v", err, alive(pid))
			}
			continue
		}
		if s.PID != pid || s.NeedsRestart != (name == "edited") {
			t.Errorf("%s: pid %d (was %d), needs restart %v", name, s.PID, pid, s.NeedsRestart)
		}
	}
	if s := k.snap("manual"); s.State != stream.StateStopped {
		t.Errorf("manual is %s", s.State)
	}
	if again, _ := k.Reload(k.ctx()); changes(again) != "error broken" {
		t.Errorf("a second reload: %q", changes(again))
	}
	if _, err := k.Restart(k.ctx(), "broken", service.CallOptions{}); kindOf(err) != service.BadSetting {
		t.Errorf("restart of what runs on with a broken file: %v", err)
	}
	if _, err := k.Restart(k.ctx(), "edited", service.CallOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := k.snap("edited"); s.Description != "new" || s.NeedsRestart {
		t.Errorf("after the restart: %q, %v", s.Description, s.NeedsRestart)
	}
}

func TestABrokenStreamFailsAtLoadAndStartsWhenMended(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "ExecStrat=sleep 1", "ok": said})
	k.Autostart(k.ctx())
	k.untilState("ok", stream.StateRunning)
	s := k.snap("s")
	if s.State != stream.StateFailed || s.Reason != stream.ReasonBadSetting || !strings.Contains(s.Detail, "ExecStart") {
		t.Errorf("%s/%s %q", s.State, s.Reason, s.Detail)
	}
	if k.AllHealthy() {
		t.Error("all healthy with a broken stream")
	}
	k.file("s", said)
	if _, err := k.Reload(k.ctx()); err != nil {
		t.Fatal(err)
	}
	k.untilState("s", stream.StateRunning)
}

func TestAnUnreadableDirectoryTakesNoStreamOffAir(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": said})
	pid := k.startOK("s")
	aside := k.dir + ".aside"
	if err := os.Rename(k.dir, aside); err != nil {
		t.Fatal(err)
	}
	// A file in place of the directory: even root cannot read that.
	if err := os.WriteFile(k.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := k.Reload(k.ctx())
	if err != nil || len(got) != 1 || got[0].Kind != service.ChangeError || !strings.Contains(got[0].Detail, k.dir) {
		t.Errorf("%v, %v", got, err)
	}
	if s := k.snap("s"); s.PID != pid {
		t.Errorf("pid %d, was %d", s.PID, pid)
	}
	os.Remove(k.dir)
	os.Rename(aside, k.dir)
}

// Nor does one that others may write to: what runs, runs on, and nothing new
// comes from there until its mode is right again.
func TestADirectoryOthersMayWriteToTakesNoStreamOffAir(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": said})
	pid := k.startOK("s")
	if err := os.Chmod(k.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	k.file("planted", said)
	got, err := k.Reload(k.ctx())
	if err != nil || len(got) != 1 || got[0].Kind != service.ChangeError || !strings.Contains(got[0].Detail, "mode 0777") {
		t.Errorf("%v, %v", got, err)
	}
	if s := k.snap("s"); s.PID != pid {
		t.Errorf("pid %d, was %d", s.PID, pid)
	}
	if err := os.Chmod(k.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Reload(k.ctx()); err != nil || changes(got) != "added planted" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestManyStreamsAreReloadedAtOnce(t *testing.T) {
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("s%02d", i)] = said + "Autostart=no"
	}
	k := newKeeper(t, files)
	for name := range files {
		k.file(name, said+"Autostart=no\nDescription=x")
	}
	got, err := k.Reload(k.ctx())
	if err != nil || len(got) != 100 {
		t.Errorf("%d changes, %v", len(got), err)
	}
}

// TestAReloadIsCarriedOutThoughItsCallerLeaves: what has been read is known
// as read, so nobody would ever do the rest.
func TestAReloadIsCarriedOutThoughItsCallerLeaves(t *testing.T) {
	k := newKeeper(t, map[string]string{"edited": said, "gone": said})
	k.startOK("edited")
	k.startOK("gone")
	k.file("edited", said+"Description=new")
	k.file("new", said)
	os.Remove(filepath.Join(k.dir, "gone.stream"))
	for {
		ctx, cancel := context.WithCancel(k.ctx())
		cancel()
		if c, _ := k.Reload(ctx); len(c) > 0 { // else refused at the door
			break
		}
	}
	k.until("edited", "its new definition", func(s *stream.Snapshot) bool { return s.NeedsRestart })
	k.untilState("new", stream.StateRunning)
	if _, err := k.Reload(k.ctx()); err != nil {
		t.Error(err)
	}
	for {
		changed := k.Changed()
		if _, err := k.Snapshot("gone"); kindOf(err) == service.NoSuchStream {
			break
		}
		<-changed
	}
}

func TestRemovedStreamsEndInOrder(t *testing.T) {
	k := newKeeper(t, map[string]string{"a": said, "b": said + "Requires=a", "c": said + "After=b"})
	k.StartAll(k.ctx(), service.CallOptions{Wait: service.WaitOK})
	for _, name := range k.Names() {
		os.Remove(filepath.Join(k.dir, name+".stream"))
	}
	if _, err := k.Reload(k.ctx()); err != nil {
		t.Fatal(err)
	}
	if got := k.order(stream.KindStopped); strings.Join(got, " ") != "c b a" || len(k.Names()) != 0 {
		t.Errorf("stopped %v, left %v", got, k.Names())
	}
}

// TestAStreamWhoseFileIsGoneIsNotHeldByAStart: it would never be forgotten.
func TestAStreamWhoseFileIsGoneIsNotHeldByAStart(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nTimeoutStopSec=1s\nExecStart=sh -c \"trap '' TERM; echo up; while :; do sleep 1000; done\""})
	k.startOK("s")
	k.until("s", "its word", func(s *stream.Snapshot) bool { return len(s.Lines) > 0 })
	os.Remove(filepath.Join(k.dir, "s.stream"))
	done := make(chan error, 1)
	go func() { _, err := k.Reload(k.ctx()); done <- err }()
	k.untilState("s", stream.StateStopping)
	if _, err := k.Start(k.ctx(), "s", service.CallOptions{}); kindOf(err) != service.NoSuchStream {
		t.Errorf("start: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
