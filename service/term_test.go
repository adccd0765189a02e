package service_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// saidTimes counts the lines of a stream that hold text.
func saidTimes(s *stream.Snapshot, text string) (n int) {
	for _, l := range s.Lines {
		if strings.Contains(l.Text, text) {
			n++
		}
	}
	return n
}

// TestAStopOfAnFFmpegWithoutStdinLeavesItsFilePlayable: with -nostdin there is
// no q, TERM is all it gets, and a second one would cost the trailer.
func TestAStopOfAnFFmpegWithoutStdinLeavesItsFilePlayable(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, map[string]string{"s": "ExecStart=ffmpeg -nostdin -re " + testPicture +
		" -c:v libx264 -preset ultrafast -c:a aac -y @WORK@/out.mp4"})
	k.start("s")
	k.until("s", "two seconds of output", func(s *stream.Snapshot) bool {
		return s.Progress != nil && s.Progress.OutTime.Seconds() > 2
	})
	s := k.stop("s")
	if n := saidTimes(s, "received signal 15"); n != 1 {
		t.Errorf("it tells %d times of a TERM: %v", n, s.Lines)
	}
	if s.State != stream.StateStopped || s.Detail != "" || len(s.ExitCodes) != 1 || s.ExitCodes[0] != 255 || k.log.has("s", stream.KindForced) {
		t.Errorf("%s, %q, codes %v, events %v", s.State, s.Detail, s.ExitCodes, k.log.events("s"))
	}
	playable(t, k.path("out.mp4"), 1.5)
}

// TestAStopSendsExactlyOneTERM counts those that reach processes which end of
// none: a second one makes ffmpeg abandon the file that it is finishing.
func TestAStopSendsExactlyOneTERM(t *testing.T) {
	t.Parallel()
	const counts = `trap 'echo TERM came' TERM; echo up; while :; do sleep 0.05; done`
	const options = "Type=simple\nTimeoutStopSec=1\nExecStart="
	k := newKeeper(t, map[string]string{
		"main": options + `sh -c "` + counts + `"`,
		// The main process heeds it; what it leaves has had it too.
		"rest": options + `sh -c "(` + counts + `) & wait"`,
		// Who has sent a TERM by hand has asked ffmpeg to end.
		"hand": options + `sh -c "` + counts + `"`,
	})
	for _, name := range k.Names() {
		k.start(name)
		k.until(name, "its trap", func(s *stream.Snapshot) bool { return saidTimes(s, "up") == 1 })
	}
	if err := k.Kill(k.ctx(), "hand", int(unix.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	k.until("hand", "the TERM", func(s *stream.Snapshot) bool { return saidTimes(s, "TERM came") == 1 })
	if failures := k.StopAll(k.ctx(), service.CallOptions{}); failures != nil {
		t.Fatal(failures)
	}
	for name, code := range map[string]int{"main": -9, "rest": -15, "hand": -9} {
		s := k.snap(name)
		if n := saidTimes(s, "TERM came"); n != 1 {
			t.Errorf("%s: %d TERMs came", name, n)
		}
		// It was there to count them to the end.
		if len(s.ExitCodes) != 1 || s.ExitCodes[0] != code || !k.log.has(name, stream.KindForced) {
			t.Errorf("%s: codes %v, events %v", name, s.ExitCodes, k.log.events(name))
		}
	}
}
