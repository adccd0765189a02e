package service_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// TestAfterWaitsUntilTheOtherHasFailedAndStartsThen: After= is an order, no
// condition; of Requires= the failure is one too.
func TestAfterWaitsUntilTheOtherHasFailedAndStartsThen(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, map[string]string{
		// Decided by the test: whoever did not wait would be up long before.
		"a":     `Type=simple` + "\nRestart=no\n" + `CommandBuilder=sh -c "until [ -e @WORK@/fail ]; do sleep 0.05; done; exit 1"`,
		"after": said + "After=a", "requires": said + "Requires=a\nRestartSec=1h\nRestartMaxDelaySec=1h", "free": said,
	})
	k.StartAll(k.ctx(), service.CallOptions{Wait: service.WaitNone})
	k.untilState("free", stream.StateRunning)
	for _, name := range []string{"after", "requires"} {
		if s := k.snap(name); s.State != stream.StateStarting || s.PID != 0 {
			t.Errorf("%s does not wait: %s, pid %d", name, s.State, s.PID)
		}
	}
	if err := os.WriteFile(k.path("fail"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k.untilState("after", stream.StateRunning)
	s := k.until("requires", "its failure", func(s *stream.Snapshot) bool { return s.State == stream.StateRestarting })
	if s.Reason != stream.ReasonRequiresFailed || !strings.Contains(s.Detail, "requires a, which has failed") {
		t.Errorf("requires: %s, %q", s.Reason, s.Detail)
	}
	if s := k.snap("a"); s.State != stream.StateFailed {
		t.Errorf("a: %s", s.State)
	}
}

// TestAfterWaitsNoLongerThanTheStartTimeoutOfTheOther: a real ffmpeg at an
// input that says nothing keeps nobody off air for ever.
func TestAfterWaitsNoLongerThanTheStartTimeoutOfTheOther(t *testing.T) {
	t.Parallel()
	deaf := listen(t, func(net.Conn) {})
	k := newKeeper(t, map[string]string{
		"a":     fmt.Sprintf("TimeoutStartSec=2\nTimeoutStopSec=1\nRestartSec=100ms\nExecStart=ffmpeg -i tcp://127.0.0.1:%d -c copy -f null /dev/null", deaf),
		"after": said + "After=a", "requires": said + "Requires=a\nRestartSec=1h\nRestartMaxDelaySec=1h",
	})
	begun := time.Now()
	k.StartAll(k.ctx(), service.CallOptions{Wait: service.WaitNone})
	s := k.untilState("after", stream.StateRunning)
	if waited := s.Started.Sub(begun); waited < 2*time.Second {
		t.Errorf("started after %s", waited)
	}
	s = k.until("requires", "its failure", func(s *stream.Snapshot) bool { return s.State == stream.StateRestarting })
	if s.Reason != stream.ReasonRequiresFailed || !strings.Contains(s.Detail, "requires a, which has not come up within its start time-out") {
		t.Errorf("requires: %s, %q", s.Reason, s.Detail)
	}
	if s := k.snap("a"); !s.Wanted || s.State == stream.StateRunning || s.State == stream.StateFailed {
		t.Errorf("a: %s, wanted %v", s.State, s.Wanted)
	}
}

// TestStreamsThatWaitForNobodyStartTogether has each builder wait for the
// other, and each input for the other's connection: one by one none of the
// two would ever be up. No clock can be so sure.
func TestStreamsThatWaitForNobodyStartTogether(t *testing.T) {
	t.Parallel()
	ts := source(t)
	both := make(chan struct{})
	var mu sync.Mutex
	connected := 0
	port := listen(t, func(c net.Conn) {
		mu.Lock()
		if connected++; connected == 2 {
			close(both)
		}
		mu.Unlock()
		select {
		case <-both:
			for {
				if _, err := c.Write(ts); err != nil {
					return
				}
			}
		case <-time.After(patience): // it has failed by then
		}
	})
	// Restart=no: a second attempt would find what the first has left.
	const options = "Restart=no\nTimeoutStopSec=2\nTimeoutStartSec=20s\n"
	builder := `CommandBuilder=sh -c "date +%s%N > @WORK@/ME; until [ -s @WORK@/OTHER ]; do sleep 0.05; done; ` +
		`date +%s%N >> @WORK@/ME; ` + fmt.Sprintf(`echo '[\"ffmpeg\",\"-re\",\"-i\",\"tcp://127.0.0.1:%d\",\"-c\",\"copy\",\"-f\",\"null\",\"/dev/null\"]'"`, port)
	k := newKeeper(t, map[string]string{
		"a": options + strings.NewReplacer("ME", "a", "OTHER", "b").Replace(builder),
		"b": options + strings.NewReplacer("ME", "b", "OTHER", "a").Replace(builder),
	})
	if failures := k.StartAll(k.ctx(), service.CallOptions{Wait: service.WaitOK}); failures != nil {
		t.Fatalf("%v", failures)
	}
	a, b := k.times("a"), k.times("b")
	if len(a) != 2 || len(b) != 2 {
		t.Fatalf("the builders ran at %v and %v", a, b)
	}
	if !a[0].Before(b[1]) || !b[0].Before(a[1]) {
		t.Errorf("the builders ran at %v and %v", a, b)
	}
	if !k.AllHealthy() {
		t.Error("not all healthy")
	}
}
