package service_test

import (
	"testing"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// TestDroppedAndDuplicatedFramesAreInTheHealth has a real ffmpeg make another
// frame rate: twice as many, so that each is there twice, and a fifth, so that
// four of five are dropped.
func TestDroppedAndDuplicatedFramesAreInTheHealth(t *testing.T) {
	t.Parallel()
	const exec = "ExecStart=ffmpeg -re -f lavfi -i testsrc=size=64x64:rate=50 -vsync cfr -r "
	k := newKeeper(t, map[string]string{
		"same":  exec + "50 -c:v mpeg4 -f mpegts -y /dev/null",
		"twice": exec + "100 -c:v rawvideo -f nut -y /dev/null",
		"fifth": exec + "10 -c:v mpeg4 -f mpegts -y /dev/null",
	})
	for _, name := range k.Names() {
		k.start(name)
	}
	for name, want := range map[string]struct{ dropped, duplicated float64 }{ // for each frame
		"same": {0, 0}, "twice": {0, 0.5}, "fifth": {4, 0},
	} {
		s := k.until(name, "a second of frames", func(s *stream.Snapshot) bool {
			return s.Progress != nil && s.Progress.OutTime.Seconds() > 1 && s.Progress.Frame > 10
		})
		p := s.Progress
		// Some at the start and the newest may not have been counted yet.
		frames := float64(p.Frame)
		near := func(got uint64, each float64) bool {
			return float64(got) >= frames*each*0.6 && float64(got) <= frames*each*1.4+2
		}
		if !near(p.Dropped, want.dropped) || !near(p.Duplicated, want.duplicated) {
			t.Errorf("%s: of %d frames %d dropped and %d duplicated", name, p.Frame, p.Dropped, p.Duplicated)
		}
	}
}
