package ffmpeg

import "time"

// Movement says which figures of a block differ from the block before.
type Movement struct{ Frame, OutTime, TotalSize bool }

// Any reports whether anything moved.
func (m Movement) Any() bool { return m.Frame || m.OutTime || m.TotalSize }

// Verdict is what a Liveness says of a running ffmpeg.
type Verdict uint8

const (
	// Waiting: nothing has been delivered yet in this run. A start timeout
	// is to judge it.
	Waiting Verdict = iota
	// Delivering: something moved within the timeout.
	Delivering
	// FramesStalled: it delivers, but the picture stands still: frame had
	// been moving, has stood still for the timeout, and out_time or
	// total_size go on (a dead video input beside a live audio input). The
	// stream is degraded, reason partial-stall; a restart might cost what
	// still works.
	FramesStalled
	// Frozen: blocks keep coming, but nothing in them has moved for the
	// timeout (one of two inputs has stalled). A stall, reason partial-stall.
	Frozen
	// Silent: blocks have stopped, and nothing has moved for the timeout (the
	// only input or an output has stalled, or the process is stopped). A
	// stall, reason stalled.
	Silent
)

// String is the verdict's name, for logs and tests.
func (v Verdict) String() string {
	return [...]string{"waiting", "delivering", "frames-stalled", "frozen", "silent"}[v]
}

// frameGapFactor: frames are missed only after this many times the longest gap
// between two of them so far, or a slide show of one picture in two minutes
// beside a live sound would be a stall between any two.
const frameGapFactor = 2

// Liveness tells delivery from a stall by the figures of successive blocks.
//
// The rule: a running ffmpeg is alive if any of frame, out_time or total_size
// moved within the activity timeout. None of the three alone will do: audio
// has no frames; an encoder with a look-ahead holds out_time and total_size
// for seconds while frame moves; fps=1/4 holds frame; total_size is N/A for
// null, hls and tee; speed, fps and bitrate are lifetime averages and move
// even when everything has stopped. Moved means differs: an out_time that goes
// back (a source that starts again) is delivery too.
//
// From ffmpeg 7.0 on the blocks come from a thread of their own, and every
// stall but a stopped process is Frozen; before that, a main loop that waits
// for its only input, or for an output, sends no block and is Silent. Both
// are stalls.
//
// In the first block of a run, a frame or an out_time above zero is movement,
// a total_size is not: the header of a file is written before any media.
//
// Use a new Liveness for each run; the zero value is ready. Times must be of
// one clock and not go back.
type Liveness struct {
	// The newest figures. One that is N/A for a while keeps its place.
	frame   uint64
	outTime time.Duration
	size    uint64

	blocks  bool // there has been a block
	moved   bool // something has moved
	frames  bool // frame has moved
	lastAt  time.Time
	movedAt time.Time
	frameAt time.Time
	gap     time.Duration // the longest between two movements of frame

	unwatched bool // since the last movement of frame, for a time
}

// Feed takes a block in, which arrived at now, and says what moved in it.
func (l *Liveness) Feed(b Block, now time.Time) Movement {
	m := Movement{
		Frame:     b.HasFrame && b.Frame != l.frame,
		OutTime:   b.HasOutTime && b.OutTime != l.outTime,
		TotalSize: b.HasTotalSize && b.TotalSize != l.size,
	}
	if b.HasFrame {
		l.frame = b.Frame
	}
	if b.HasOutTime {
		l.outTime = b.OutTime
	}
	if b.HasTotalSize {
		l.size = b.TotalSize
	}
	if !l.blocks {
		m.TotalSize = false
		m.OutTime = m.OutTime && b.OutTime > 0
	}
	l.blocks, l.lastAt = true, now
	if m.Any() {
		l.moved, l.movedAt = true, now
	}
	if m.Frame {
		if l.frames && !l.unwatched {
			l.gap = max(l.gap, now.Sub(l.frameAt))
		}
		l.frames, l.frameAt, l.unwatched = true, now, false
	}
	return m
}

// Judge says how it looks at now, with the given activity timeout; 0 or less
// switches the stall verdicts off.
func (l *Liveness) Judge(now time.Time, timeout time.Duration) Verdict {
	switch {
	case !l.moved:
		return Waiting
	case timeout <= 0:
		return Delivering
	case now.Sub(l.movedAt) < timeout:
		if l.frames && now.Sub(l.frameAt) >= max(timeout, frameGapFactor*l.gap) {
			return FramesStalled
		}
		return Delivering
	case l.lastAt.Sub(l.movedAt) >= timeout/2:
		// Blocks went on for long after the last movement.
		return Frozen
	}
	return Silent
}

// Moved is when something last moved; the zero time while Waiting.
func (l *Liveness) Moved() time.Time { return l.movedAt }

// FrameMoved is when frame last moved; the zero time if it never did.
func (l *Liveness) FrameMoved() time.Time { return l.frameAt }

// Excuse takes d out of the time that all figures have stood still: the
// machine was suspended, or whoever feeds this was held up, and could not have
// seen a block. The caller bounds how often.
func (l *Liveness) Excuse(d time.Duration) {
	if l.blocks {
		l.lastAt = l.lastAt.Add(d)
	}
	if l.moved {
		l.movedAt = l.movedAt.Add(d)
	}
	if l.frames {
		l.frameAt = l.frameAt.Add(d)
	}
}

// Unwatched tells that nobody has looked for a time. What has passed until frame
// is seen to move again is no gap between two frames, by which others would be
// measured.
func (l *Liveness) Unwatched() { l.unwatched = true }

// LivenessState is all that a Liveness knows, for one that goes on judging the
// same run in another process. A zero time stands for what has not happened.
type LivenessState struct {
	Frame   uint64
	OutTime time.Duration
	Size    uint64

	LastAt  time.Time     // of the newest block
	MovedAt time.Time     // when something last moved
	FrameAt time.Time     // when frame last moved
	Gap     time.Duration // the longest between two movements of frame
}

// State answers what l knows.
func (l *Liveness) State() LivenessState {
	s := LivenessState{Frame: l.frame, OutTime: l.outTime, Size: l.size, Gap: l.gap}
	if l.blocks {
		s.LastAt = l.lastAt
	}
	if l.moved {
		s.MovedAt = l.movedAt
	}
	if l.frames {
		s.FrameAt = l.frameAt
	}
	return s
}

// ResumeLiveness answers a Liveness that goes on from s.
func ResumeLiveness(s LivenessState) Liveness {
	return Liveness{
		frame: s.Frame, outTime: s.OutTime, size: s.Size, gap: s.Gap,
		blocks: !s.LastAt.IsZero(), moved: !s.MovedAt.IsZero(), frames: !s.FrameAt.IsZero(),
		lastAt: s.LastAt, movedAt: s.MovedAt, frameAt: s.FrameAt,
	}
}
