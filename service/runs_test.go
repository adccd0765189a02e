package service_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// TestRuntimeMaxEndsTheRunProperlyAndStartsTheNext: it is planned, so no
// failure, no delay, and the file is finished.
func TestRuntimeMaxEndsTheRunProperlyAndStartsTheNext(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, map[string]string{"s": "RuntimeMaxSec=2s\nRestartSec=1h\nRestartMaxDelaySec=1h\n" +
		"ExecStart=ffmpeg -re " + testPicture + " -c:v libx264 -preset ultrafast -c:a aac @WORK@/${START}.mp4"})
	feed := k.Subscribe(1000)
	defer feed.Close()
	pid := k.startOK("s")
	begun := k.snap("s").Started
	s := k.until("s", "the next run", func(s *stream.Snapshot) bool {
		return s.State == stream.StateRunning && s.PID != pid
	})
	if run := s.Started.Sub(begun); run < 2*time.Second {
		t.Errorf("the next run began after %s", run)
	}
	if s.RestartCount != 1 || s.ConsecutiveFailures != 0 || !slices.Equal(s.ExitCodes, []int{0}) || alive(pid) {
		t.Errorf("%d restarts, %d failures, codes %v, old alive %v", s.RestartCount, s.ConsecutiveFailures, s.ExitCodes, alive(pid))
	}
	why := stream.ReasonNone
	for len(feed.C) > 0 {
		if e := <-feed.C; e.Snapshot.State == stream.StateStopping && e.Old.State == stream.StateRunning && why == stream.ReasonNone {
			why = e.Snapshot.Reason
		}
	}
	if why != stream.ReasonRuntimeMax {
		t.Errorf("stopped for the reason %q", why)
	}
	k.stop("s")
	files, _ := filepath.Glob(k.path("*.mp4"))
	slices.Sort(files)
	if len(files) < 2 {
		t.Fatalf("files %v", files)
	}
	playable(t, files[0], 0.5)
}

// TestOnFailureStartsAnewAfterAFailureOnly: the first run fails, the second
// ends as it should; with Restart=always that would not be the end.
func TestOnFailureStartsAnewAfterAFailureOnly(t *testing.T) {
	t.Parallel()
	fails := "RestartSec=10ms\nType=simple\nExecStart=sh -c \"[ -e @WORK@/failed ] && exit 0; touch @WORK@/failed; exit 3\"\n"
	k := newKeeper(t, map[string]string{
		"s": fails + "Restart=on-failure", "always": "RestartSec=10ms\nType=simple\nExecStart=true",
		"ffmpeg": "Restart=on-failure\nRestartSec=10ms\nExecStart=ffmpeg -re -f lavfi -i sine -t 1 -f null /dev/null",
	})
	for name, codes := range map[string][]int{"s": {3, 0}, "ffmpeg": {0}} {
		k.Start(k.ctx(), name, service.CallOptions{Wait: service.WaitNone})
		s := k.untilState(name, stream.StateStopped)
		if s.Reason != stream.ReasonCleanExit || !slices.Equal(s.ExitCodes, codes) || s.Wanted || !s.NextRestart.IsZero() {
			t.Errorf("%s: %s, codes %v, wanted %v, next restart %v", name, s.Reason, s.ExitCodes, s.Wanted, s.NextRestart)
		}
		if s.RestartCount != len(codes)-1 {
			t.Errorf("%s: %d restarts", name, s.RestartCount)
		}
	}
	k.Start(k.ctx(), "always", service.CallOptions{Wait: service.WaitNone})
	k.until("always", "a restart after exit 0", func(s *stream.Snapshot) bool { return s.RestartCount > 0 })
}
