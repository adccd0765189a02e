package ffmpeg_test

import (
	"math"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

var start = time.Date(2026, 11, 23, 2, 15, 0, 0, time.UTC)

// at is a time of the test.
func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

func video(frame uint64, out float64) ffmpeg.Block {
	return ffmpeg.Block{Frame: frame, HasFrame: true, OutTime: time.Duration(out * float64(time.Second)), HasOutTime: true}
}

func wantPace(t *testing.T, what string, p ffmpeg.Pace, fps, speed float64) {
	t.Helper()
	if !p.HasFPS || !p.HasSpeed || math.Abs(p.FPS-fps) > 0.05*fps+1e-9 || math.Abs(p.Speed-speed) > 0.05*speed+1e-9 {
		t.Errorf("%s: %+v, want fps %v, speed %v", what, p, fps, speed)
	}
}

func TestRateNeedsTwoBlocks(t *testing.T) {
	var r ffmpeg.Rate
	if p := r.Over(ffmpeg.DisplayWindow, at(0)); p != (ffmpeg.Pace{}) {
		t.Errorf("without a block: %+v", p)
	}
	r.Add(video(1, 0), at(0))
	if p := r.Over(ffmpeg.DisplayWindow, at(1)); p != (ffmpeg.Pace{}) {
		t.Errorf("after one block: %+v", p)
	}
	r.Add(video(26, 1), at(1))
	wantPace(t, "after two", r.Over(ffmpeg.DisplayWindow, at(1)), 25, 1)
}

func TestRateIsOfNowAndNotOfTheLifetime(t *testing.T) {
	var r ffmpeg.Rate
	s := 0
	for ; s <= 3600; s++ {
		r.Add(video(uint64(25*s), float64(s)), at(float64(s)))
	}
	// From here on at half the speed.
	for i := 1; i <= 10; i++ {
		r.Add(video(uint64(25*3600+12*i), 3600+0.5*float64(i)), at(float64(3600+i)))
	}
	wantPace(t, "five seconds", r.Over(ffmpeg.DisplayWindow, at(3610)), 12, 0.5)
	p := r.Over(ffmpeg.JudgeWindow, at(3610))
	wantPace(t, "thirty seconds", p, (20*25+10*12)/30.0, (20+5)/30.0)
	if p.Over != ffmpeg.JudgeWindow {
		t.Errorf("measured over %v", p.Over)
	}
}

func TestRateMeasuresTheWholeWindowAtAnyPeriod(t *testing.T) {
	for _, period := range []float64{0.04, 0.1, 0.5, 0.8, 1, 2, 7} {
		var r ffmpeg.Rate
		for s := 0.0; s < 200; s += period {
			r.Add(video(uint64(25*s), s), at(s))
		}
		last := at(200)
		for window, most := range map[time.Duration]time.Duration{
			ffmpeg.DisplayWindow: ffmpeg.DisplayWindow + 2*time.Second,
			ffmpeg.JudgeWindow:   ffmpeg.JudgeWindow + 2*time.Second,
		} {
			p := r.Over(window, last)
			wantPace(t, "steady", p, 25, 1)
			if p.Over < window || p.Over > max(most, window+time.Duration(period*2e9)) {
				t.Errorf("period %v: %v measured over %v", period, window, p.Over)
			}
		}
	}
}

func TestRateFallsToZeroWhenBlocksStop(t *testing.T) {
	var r ffmpeg.Rate
	for s := 0; s <= 60; s++ {
		r.Add(video(uint64(25*s), float64(s)), at(float64(s)))
	}
	wantPace(t, "between two blocks", r.Over(ffmpeg.DisplayWindow, at(60.9)), 25, 1)
	wantPace(t, "three seconds later", r.Over(ffmpeg.DisplayWindow, at(63)), 10, 0.4)
	wantPace(t, "ten seconds later", r.Over(ffmpeg.DisplayWindow, at(70)), 0, 0)
}

func TestRateFallsToZeroWhenFiguresFreeze(t *testing.T) {
	var r ffmpeg.Rate
	for s := 0; s <= 60; s++ {
		r.Add(video(uint64(25*min(s, 50)), float64(min(s, 50))), at(float64(s)))
	}
	wantPace(t, "frozen for ten seconds", r.Over(ffmpeg.DisplayWindow, at(60)), 0, 0)
}

func TestRateIsNotFooledByBlocksThatArriveTogether(t *testing.T) {
	// A minute of blocks handed over at once, then one a second.
	var r ffmpeg.Rate
	for s := 0; s <= 60; s++ {
		r.Add(video(uint64(25*s), float64(s)), at(100+float64(s)/1e4))
	}
	if p := r.Over(ffmpeg.DisplayWindow, at(100.1)); p.HasSpeed {
		t.Errorf("out of one instant: %+v", p)
	}
	for s := 1; s <= 3; s++ {
		r.Add(video(uint64(25*(60+s)), float64(60+s)), at(100+float64(s)))
		wantPace(t, "after", r.Over(ffmpeg.DisplayWindow, at(100+float64(s))), 25, 1)
	}
	// A reader held up for four seconds.
	for s := 4; s <= 7; s++ {
		r.Add(video(uint64(25*(60+s)), float64(60+s)), at(107))
	}
	wantPace(t, "held up", r.Over(ffmpeg.DisplayWindow, at(107)), 25, 1)
}

func TestRateOfAudioHasNoFrames(t *testing.T) {
	var r ffmpeg.Rate
	for s := range 10 {
		r.Add(ffmpeg.Block{OutTime: time.Duration(s) * time.Second, HasOutTime: true}, at(float64(s)))
	}
	if p := r.Over(ffmpeg.DisplayWindow, at(9)); p.HasFPS || !p.HasSpeed || p.Speed != 1 {
		t.Errorf("%+v", p)
	}
}

func TestRateWithoutOutTimeHasNoSpeed(t *testing.T) {
	var r ffmpeg.Rate
	for s := range 10 {
		r.Add(ffmpeg.Block{Frame: uint64(s), HasFrame: true}, at(float64(s)))
	}
	if p := r.Over(ffmpeg.DisplayWindow, at(9)); !p.HasFPS || p.HasSpeed || p.FPS != 1 {
		t.Errorf("%+v", p)
	}
}

func TestRateOfFiguresThatGoBackIsZero(t *testing.T) {
	var r ffmpeg.Rate
	r.Add(video(1000, 40), at(0))
	r.Add(video(1, 0), at(1))
	wantPace(t, "started again", r.Over(ffmpeg.DisplayWindow, at(1)), 0, 0)
}
