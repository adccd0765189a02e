package ffmpeg_test

import (
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

const minute = time.Minute

// run is a Liveness, a clock and the figures of the next block.
type run struct {
	t *testing.T
	l ffmpeg.Liveness
	b ffmpeg.Block
	s float64
}

// advance sends a block a second for n seconds; move changes the figures.
func (r *run) advance(n int, move func(*ffmpeg.Block)) {
	for range n {
		r.s++
		move(&r.b)
		r.l.Feed(r.b, at(r.s))
	}
}

func (r *run) want(v ffmpeg.Verdict) {
	r.t.Helper()
	if got := r.l.Judge(at(r.s), minute); got != v {
		r.t.Errorf("after %v s: %v, want %v", r.s, got, v)
	}
}

func frames(b *ffmpeg.Block)  { b.HasFrame = true; b.Frame += 25 }
func media(b *ffmpeg.Block)   { b.HasOutTime = true; b.OutTime += time.Second }
func size(b *ffmpeg.Block)    { b.HasTotalSize = true; b.TotalSize += 1000 }
func nothing(b *ffmpeg.Block) {}

func TestAnyFigureThatMovesIsLife(t *testing.T) {
	for name, move := range map[string]func(*ffmpeg.Block){"frame": frames, "out_time": media, "total_size": size} {
		r := &run{t: t}
		r.want(ffmpeg.Waiting)
		r.advance(300, move)
		if got := r.l.Judge(at(r.s), minute); got != ffmpeg.Delivering {
			t.Errorf("%s alone: %v", name, got)
		}
	}
}

func TestAHeaderIsNoDelivery(t *testing.T) {
	r := &run{t: t}
	r.b = ffmpeg.Block{HasFrame: true, HasOutTime: true, OutTime: -40 * time.Millisecond, HasTotalSize: true, TotalSize: 48}
	r.advance(1, nothing)
	r.want(ffmpeg.Waiting)
	r.advance(300, nothing)
	r.want(ffmpeg.Waiting)
	if !r.l.Moved().IsZero() || !r.l.FrameMoved().IsZero() {
		t.Error("something is said to have moved")
	}
	r.advance(1, frames)
	r.want(ffmpeg.Delivering)
	if !r.l.Moved().Equal(at(r.s)) || !r.l.FrameMoved().Equal(at(r.s)) {
		t.Errorf("moved at %v, frame at %v", r.l.Moved(), r.l.FrameMoved())
	}
}

func TestTheFirstFrameIsDelivery(t *testing.T) {
	r := &run{t: t}
	r.advance(1, frames)
	r.want(ffmpeg.Delivering)
}

func TestBlocksThatStopAreSilent(t *testing.T) {
	r := &run{t: t}
	r.advance(10, func(b *ffmpeg.Block) { frames(b); media(b); size(b) })
	r.s += 59.9
	r.want(ffmpeg.Delivering)
	r.s += 0.1
	r.want(ffmpeg.Silent)
	r.s += 1e6
	r.want(ffmpeg.Silent)
	r.advance(1, frames)
	r.want(ffmpeg.Delivering)
}

func TestBlocksThatRepeatAreFrozen(t *testing.T) {
	r := &run{t: t}
	r.advance(10, func(b *ffmpeg.Block) { frames(b); media(b); size(b) })
	r.advance(59, nothing)
	r.want(ffmpeg.Delivering)
	r.advance(1, nothing)
	r.want(ffmpeg.Frozen)
	// Even if they stop a little later.
	r.s += 100
	r.want(ffmpeg.Frozen)
}

func TestAveragesAreNoMovement(t *testing.T) {
	r := &run{t: t}
	r.advance(10, frames)
	r.advance(60, func(b *ffmpeg.Block) {
		b.FPS -= 0.1
		b.Speed, b.HasSpeed = b.Speed-0.01, true
		b.BitrateBPS, b.HasBitrate = b.BitrateBPS+1, true
		b.Dup, b.Drop = b.Dup+1, b.Drop+1
	})
	r.want(ffmpeg.Frozen)
}

func TestAPictureThatStandsStillBesideASoundIsPartial(t *testing.T) {
	r := &run{t: t}
	r.advance(10, func(b *ffmpeg.Block) { frames(b); media(b) })
	r.advance(59, media)
	r.want(ffmpeg.Delivering)
	r.advance(1, media)
	r.want(ffmpeg.FramesStalled)
	r.advance(600, media)
	r.want(ffmpeg.FramesStalled)
	r.advance(60, nothing)
	r.want(ffmpeg.Frozen)
	r.advance(1, frames)
	r.want(ffmpeg.Delivering)
}

func TestAPictureThatNeverMovedIsNotMissed(t *testing.T) {
	r := &run{t: t}
	r.b.HasFrame = true // a cover, say
	r.advance(600, media)
	r.want(ffmpeg.Delivering)
}

func TestASlideShowIsNoPartialStall(t *testing.T) {
	r := &run{t: t}
	for range 4 {
		r.advance(1, func(b *ffmpeg.Block) { frames(b); media(b) })
		r.advance(99, media)
	}
	r.want(ffmpeg.Delivering)
	r.advance(99, media)
	r.want(ffmpeg.Delivering)
	r.advance(2, media)
	r.want(ffmpeg.FramesStalled)
}

func TestOneFrameInFourSecondsIsLife(t *testing.T) {
	r := &run{t: t}
	for range 30 {
		r.advance(3, nothing)
		r.advance(1, func(b *ffmpeg.Block) { frames(b); media(b); size(b) })
		if got := r.l.Judge(at(r.s+3.9), 5*time.Second); got != ffmpeg.Delivering {
			t.Fatalf("after %v s: %v", r.s, got)
		}
	}
}

func TestFiguresThatComeAndGoAreNoMovement(t *testing.T) {
	r := &run{t: t}
	r.advance(10, media)
	for range 20 {
		r.advance(1, func(b *ffmpeg.Block) { b.HasOutTime, b.OutTime = false, 0 })
		r.advance(1, func(b *ffmpeg.Block) { b.HasOutTime, b.OutTime = true, 10*time.Second })
	}
	r.advance(20, nothing)
	r.want(ffmpeg.Frozen)
}

func TestMediaTimeThatGoesBackIsMovement(t *testing.T) {
	r := &run{t: t}
	r.advance(10, media)
	r.s += 50
	r.advance(1, func(b *ffmpeg.Block) { b.OutTime = 0 })
	r.s += 59
	r.want(ffmpeg.Delivering)
}

func TestATimeoutOfZeroIsOff(t *testing.T) {
	r := &run{t: t}
	r.advance(10, frames)
	r.s += 1e6
	if got := r.l.Judge(at(r.s), 0); got != ffmpeg.Delivering {
		t.Errorf("%v", got)
	}
}

func TestExcusedTimeDoesNotCount(t *testing.T) {
	r := &run{t: t}
	r.l.Excuse(time.Hour) // before anything: nothing to excuse
	r.want(ffmpeg.Waiting)
	r.advance(10, frames)
	r.s += 3600
	r.want(ffmpeg.Silent)
	r.l.Excuse(3590 * time.Second)
	r.want(ffmpeg.Delivering)
	r.s += 50
	r.want(ffmpeg.Silent)
}

func TestMovementNamesTheFigures(t *testing.T) {
	var l ffmpeg.Liveness
	b := ffmpeg.Block{HasFrame: true, HasOutTime: true, HasTotalSize: true}
	if m := l.Feed(b, at(0)); m.Any() {
		t.Errorf("a first block of zeros: %+v", m)
	}
	b.Frame = 1
	if m := l.Feed(b, at(1)); m != (ffmpeg.Movement{Frame: true}) {
		t.Errorf("%+v", m)
	}
	b.OutTime = 1
	if m := l.Feed(b, at(2)); m != (ffmpeg.Movement{OutTime: true}) {
		t.Errorf("%+v", m)
	}
	b.TotalSize = 1
	if m := l.Feed(b, at(3)); m != (ffmpeg.Movement{TotalSize: true}) {
		t.Errorf("%+v", m)
	}
}

func TestATimeWithoutAKeeperIsNoGapBetweenFrames(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var l ffmpeg.Liveness
	block := ffmpeg.Block{HasFrame: true, HasOutTime: true}
	feed := func(after time.Duration, frames uint64) {
		now = now.Add(after)
		block.Frame += frames
		block.OutTime += time.Second
		l.Feed(block, now)
	}
	feed(0, 1)
	feed(time.Second, 1)
	l.Unwatched()
	feed(time.Hour, 1)
	for range 11 {
		feed(time.Second, 0) // the sound goes on
	}
	if v := l.Judge(now, 10*time.Second); v != ffmpeg.FramesStalled {
		t.Errorf("the picture stands still for 11 s: %s", v)
	}
	// A gap that was watched is one.
	feed(time.Second, 1)
	for range 13 {
		feed(time.Second, 0)
	}
	if v := l.Judge(now, 10*time.Second); v != ffmpeg.Delivering {
		t.Errorf("13 s after a gap of 12 s: %s", v)
	}
}

func TestAResumedLivenessJudgesAsTheOneItCameFrom(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var a ffmpeg.Liveness
	for i := range 40 {
		b := ffmpeg.ResumeLiveness(a.State())
		if a != b {
			t.Fatalf("after %d blocks %+v, resumed %+v", i, a, b)
		}
		block := ffmpeg.Block{HasFrame: i > 3, Frame: uint64(i / 7), HasOutTime: i > 2, OutTime: time.Duration(i/2) * time.Second, HasTotalSize: true, TotalSize: uint64(i)}
		if m, n := a.Feed(block, now), b.Feed(block, now); m != n {
			t.Errorf("block %d: %+v, resumed %+v", i, m, n)
		}
		now = now.Add(time.Second)
	}
}
