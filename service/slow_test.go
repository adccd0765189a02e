package service_test

import (
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// TestAnFFmpegBelowMinSpeedIsDegraded: it reads its input at half the pace, as
// from a camera behind a line that is too slow. The other one is in time, and
// a third one as slow without MinSpeed=.
func TestAnFFmpegBelowMinSpeedIsDegraded(t *testing.T) {
	t.Parallel()
	half := "ExecStart=ffmpeg -readrate 0.5 -f lavfi -i sine -f null /dev/null\n"
	k := newKeeper(t, map[string]string{
		"slow": half + "MinSpeed=0.9", "anyhow": half,
		"intime": "MinSpeed=0.9\nExecStart=ffmpeg -re -f lavfi -i sine -f null /dev/null",
	})
	pids := map[string]int{}
	for _, name := range k.Names() {
		pids[name] = k.startOK(name)
	}
	// Nine tenths of the window, else a start would be judged; in two steps,
	// for it is as long as any one wait may be.
	seconds := ffmpeg.JudgeWindow.Seconds() * 9 / 10
	k.until("slow", "the first half of the window", func(s *stream.Snapshot) bool {
		if s.Health != stream.HealthOK {
			t.Fatalf("judged too soon, after %v: %s", s.Progress, s.Health)
		}
		return s.Progress != nil && s.Progress.OutTime.Seconds() > seconds/2/2
	})
	s := k.until("slow", "the verdict", func(s *stream.Snapshot) bool { return s.Health == stream.HealthDegraded })
	if out := s.Progress.OutTime.Seconds(); out < seconds/2*9/10 {
		t.Errorf("judged after %g s of media", out)
	}
	// This host may be the cause too while other tests keep it busy.
	host := s.Reason == stream.ReasonHostSlow && strings.Contains(s.Detail, "the host is too slow")
	if s.Reason != stream.ReasonTooSlow && !host || !strings.Contains(s.Detail, "speed below 0.9") {
		t.Errorf("%s: %s", s.Reason, s.Detail)
	}
	if s.State != stream.StateRunning || s.Progress.Speed > 0.8 || !k.log.has("slow", stream.KindDegraded) {
		t.Errorf("%s, speed %g, events %v", s.State, s.Progress.Speed, k.log.events("slow"))
	}
	for name, pid := range pids {
		if s := k.snap(name); s.PID != pid || s.RestartCount != 0 || (s.Health != stream.HealthOK) != (name == "slow") {
			t.Errorf("%s: %s, pid %d, was %d", name, s.Health, s.PID, pid)
		}
	}
}
