package service_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// delays starts a stream that fails again and again, and is the first n delays
// that the keeper announced.
func (k *keeper) delays(name string, n int) (delays []time.Duration) {
	k.t.Helper()
	feed := k.Subscribe(1000)
	defer feed.Close()
	k.Start(k.ctx(), name, service.CallOptions{Wait: service.WaitNone})
	late := time.After(patience)
	for len(delays) < n {
		select {
		case e := <-feed.C:
			if e.Name == name && e.Snapshot != nil && e.Snapshot.State == stream.StateRestarting && e.Old.State != stream.StateRestarting {
				delays = append(delays, e.Snapshot.NextRestart.Sub(e.Snapshot.StateSince))
			}
		case <-late:
			k.t.Fatalf("%s: only %d delays: %v", name, len(delays), delays)
		}
	}
	return delays
}

// times is those that streams have written to a file in the work directory,
// in nanoseconds.
func (k *keeper) times(file string) (times []time.Time) {
	k.t.Helper()
	b, err := os.ReadFile(k.path(file))
	if err != nil {
		k.t.Fatal(err)
	}
	for f := range strings.FieldsSeq(string(b)) {
		ns, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			k.t.Fatal(err)
		}
		times = append(times, time.Unix(0, ns))
	}
	return times
}

// TestDelaysGrowToTheLongestAndAreWaitedOut asks the keeper what it means to
// wait, and the processes how long it did: a busy host may make that longer,
// nothing may make it shorter.
func TestDelaysGrowToTheLongestAndAreWaitedOut(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	want := []time.Duration{200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms}
	const dies = "Type=simple\nExecStart=sh -c \"date +%s%N >> @WORK@/began; exit 1\"\n"
	k := newKeeper(t, map[string]string{"s": dies + "RestartSec=200ms\nRestartMaxDelaySec=1s\nRestartJitter=0"})
	got := k.delays("s", len(want)+1) // the process after the last of them has ended too
	k.stop("s")
	began := k.times("began")
	if len(began) <= len(want) {
		t.Fatalf("only %d processes", len(began))
	}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("delay %d is %s, want %s", i+1, got[i], w)
		}
		if gap := began[i+1].Sub(began[i]); gap < w {
			t.Errorf("process %d began %s after the one before, within the delay of %s", i+2, gap, w)
		}
	}
}

// TestJitterMakesDelaysLongerByItsShareAtMost looks at the longest delay, to
// which jitter is added too; else it would part nobody after the first minute.
func TestJitterMakesDelaysLongerByItsShareAtMost(t *testing.T) {
	t.Parallel()
	const delay = 20 * time.Millisecond
	fails := "Type=simple\nExecStart=false\nRestartSec=20ms\nRestartMaxDelaySec=20ms\n"
	k := newKeeper(t, map[string]string{"default": fails, "half": fails + "RestartJitter=50%"})
	for name, most := range map[string]time.Duration{"default": delay * 11 / 10, "half": delay * 3 / 2} {
		seen := map[time.Duration]bool{}
		var longest time.Duration
		for i, d := range k.delays(name, 20) {
			if d < delay || d > most {
				t.Errorf("%s: delay %d is %s, not from %s to %s", name, i+1, d, delay, most)
			}
			seen[d] = true
			longest = max(longest, d)
		}
		k.stop(name)
		// By chance none of twenty is in the upper half once in a million runs.
		if len(seen) < 10 || longest < (delay+most)/2 {
			t.Errorf("%s: the longest of twenty delays is %s, and only %d differ", name, longest, len(seen))
		}
	}
}

// TestOnlyALongHealthyRunForgetsTheFailures: a short one does not, nor a long
// one that stalls.
func TestOnlyALongHealthyRunForgetsTheFailures(t *testing.T) {
	t.Parallel()
	const reset = 2 * time.Second
	options := "RestartSec=20ms\nRestartJitter=0\nRestartResetSec=2s\n"
	k := newKeeper(t, map[string]string{"s": said + options, "stalls": said + options + "ActivityTimeoutSec=500ms"})
	kill := func(name string) *stream.Snapshot {
		t.Helper()
		old := k.untilState(name, stream.StateRunning)
		syscall.Kill(old.PID, syscall.SIGKILL)
		return k.until(name, "a new process", func(s *stream.Snapshot) bool {
			return s.State == stream.StateRunning && s.PID != old.PID
		})
	}
	k.startOK("s")
	k.startOK("stalls")
	kill("stalls")
	for i := 1; i <= 3; i++ {
		if s := kill("s"); s.ConsecutiveFailures != i {
			t.Fatalf("after %d short runs: %d failures", i, s.ConsecutiveFailures)
		}
	}
	s := k.until("s", "forgiveness", func(s *stream.Snapshot) bool { return s.ConsecutiveFailures == 0 })
	if run := time.Since(s.Started); run < reset {
		t.Errorf("forgiven after %s", run)
	}
	if !k.log.has("s", stream.KindReset) || s.RestartCount != 3 {
		t.Errorf("%d restarts, events %v", s.RestartCount, k.log.events("s"))
	}
	if again := kill("s"); again.ConsecutiveFailures != 1 {
		t.Errorf("the next failure is number %d", again.ConsecutiveFailures)
	}
	newest := ""
	for _, e := range k.log.of("s") {
		if e.attrs["FFKEEPER_EVENT"] == string(stream.KindRestarting) {
			newest = e.text
		}
	}
	if !strings.Contains(newest, "restarting in 20ms (failure 1)") {
		t.Errorf("the delay after it: %q", newest)
	}

	s = k.until("stalls", "a long run", func(s *stream.Snapshot) bool { return time.Since(s.Started) > reset*3/2 })
	if s.Health != stream.HealthStalled || s.ConsecutiveFailures != 1 || k.log.has("stalls", stream.KindReset) {
		t.Errorf("stalled: %s, %d failures, events %v", s.Health, s.ConsecutiveFailures, k.log.events("stalls"))
	}
}

// TestAStopWhileADelayIsWaitedOutCancelsTheRestart: one as soon as the process
// has ended, when the shim may not yet have told that nothing of it is left;
// the other after that.
func TestAStopWhileADelayIsWaitedOutCancelsTheRestart(t *testing.T) {
	t.Parallel()
	dies := "Type=simple\nExecStart=sh -c \"echo >> @WORK@/NAME; exit 1\"\nRestartSec=1s\nRestartJitter=0"
	files := map[string]string{}
	for _, name := range []string{"soon", "later"} {
		files[name] = strings.ReplaceAll(dies, "NAME", name)
	}
	k := newKeeper(t, files)
	var due time.Time
	for name := range files {
		k.Start(k.ctx(), name, service.CallOptions{Wait: service.WaitNone})
		due = k.until(name, "the delay", func(s *stream.Snapshot) bool {
			return s.State == stream.StateRestarting && (name == "soon" || s.Child == 0)
		}).NextRestart
		if s := k.stop(name); s.State != stream.StateStopped || s.Wanted || !s.NextRestart.IsZero() {
			t.Fatalf("%s: %s, wanted %v, next restart %v", name, s.State, s.Wanted, s.NextRestart)
		}
	}
	k.until("soon", "the time the later restart was due at", func(*stream.Snapshot) bool {
		return time.Since(due) > 500*time.Millisecond
	})
	for name := range files {
		runs, _ := os.ReadFile(k.path(name))
		if s := k.snap(name); len(runs) != 1 || s.State != stream.StateStopped || s.RestartCount != 0 {
			t.Errorf("%s: %d processes, %s, %d restarts", name, len(runs), s.State, s.RestartCount)
		}
	}
}
