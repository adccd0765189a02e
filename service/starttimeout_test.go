package service_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// TestAStartThatDeliversNothingEndsAtItsTimeout: the far end takes the
// connection and never says a word, as a camera or a CDN behind a broken
// firewall does. ffmpeg would wait for ever.
func TestAStartThatDeliversNothingEndsAtItsTimeout(t *testing.T) {
	t.Parallel()
	deaf := listen(t, func(net.Conn) {})
	options := "TimeoutStartSec=2\nTimeoutStopSec=2\nRestartSec=100ms\nExecStart="
	k := newKeeper(t, map[string]string{
		"input":  fmt.Sprintf("%sffmpeg -i tcp://127.0.0.1:%d -c copy -f null /dev/null", options, deaf),
		"output": fmt.Sprintf("%sffmpeg -re %s -c:v flv -c:a aac -f flv rtmp://127.0.0.1:%d/live/key", options, testPicture, deaf),
	})
	feed := k.Subscribe(1000)
	defer feed.Close()
	first := map[string]*stream.Snapshot{}
	k.StartAll(k.ctx(), service.CallOptions{Wait: service.WaitNone})
	for _, name := range k.Names() {
		first[name] = k.until(name, "a process", func(s *stream.Snapshot) bool { return s.PID != 0 })
	}
	for name, old := range first {
		s := k.until(name, "a new process", func(s *stream.Snapshot) bool { return s.PID != 0 && s.PID != old.PID })
		if s.ConsecutiveFailures < 1 || s.RestartCount != s.ConsecutiveFailures || alive(old.PID) {
			t.Errorf("%s: %d failures, %d restarts, old alive %v", name, s.ConsecutiveFailures, s.RestartCount, alive(old.PID))
		}
		if !k.log.has(name, stream.KindStalled) {
			t.Errorf("%s: the journal is not told why: %v", name, k.log.events(name))
		}
	}
	verdict, delay := map[string]*stream.Snapshot{}, map[string]*stream.Snapshot{}
	for len(feed.C) > 0 {
		e := <-feed.C
		switch s := e.Snapshot; {
		case s.State == stream.StateRunning:
			t.Errorf("%s was taken for one that delivers", e.Name)
		case s.State == stream.StateStopping && verdict[e.Name] == nil:
			verdict[e.Name] = s
		case s.State == stream.StateRestarting && delay[e.Name] == nil:
			delay[e.Name] = s
		}
	}
	for name, old := range first {
		v, d := verdict[name], delay[name]
		if v == nil || d == nil {
			t.Fatalf("%s: events %v", name, k.log.events(name))
		}
		if v.Reason != stream.ReasonStartTimeout || v.Health != stream.HealthStalled || d.Reason != stream.ReasonStartTimeout {
			t.Errorf("%s: stopped as %s, %s (%s), restarting as %s", name, v.Health, v.Reason, v.Detail, d.Reason)
		}
		if waited := v.StateSince.Sub(old.Started); waited < 2*time.Second {
			t.Errorf("%s: given up after %s", name, waited)
		}
	}
}

// TestAStartThatDeliversNothingIsOnlyReportedWhereThatIsAskedFor: OnStall=log
// leaves the process alone, and what comes late is welcome.
func TestAStartThatDeliversNothingIsOnlyReportedWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	ts := source(t)
	late := make(chan struct{})
	port := listen(t, func(c net.Conn) {
		<-late
		for {
			if _, err := c.Write(ts); err != nil {
				return
			}
		}
	})
	k := newKeeper(t, map[string]string{"s": "TimeoutStartSec=1\nTimeoutStopSec=2\nOnStall=log\n" +
		fmt.Sprintf("ExecStart=ffmpeg -re -i tcp://127.0.0.1:%d -c copy -f null /dev/null", port)})
	k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	s := k.until("s", "the verdict", func(s *stream.Snapshot) bool { return s.Health == stream.HealthStalled })
	if s.State != stream.StateStarting || s.Reason != stream.ReasonStartTimeout || s.PID == 0 {
		t.Errorf("%s, %s, pid %d", s.State, s.Reason, s.PID)
	}
	close(late)
	if again := k.untilState("s", stream.StateRunning); again.PID != s.PID || again.Health != stream.HealthOK || again.RestartCount != 0 {
		t.Errorf("pid %d, was %d, %s, %d restarts", again.PID, s.PID, again.Health, again.RestartCount)
	}
}
