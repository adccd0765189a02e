package ffmpeg

import "time"

const (
	// DisplayWindow is the span over which fps and speed are shown: short
	// enough to be "now", long enough not to flicker with a look-ahead.
	DisplayWindow = 5 * time.Second
	// JudgeWindow is the span over which MinSpeed= is judged, and the longest
	// that a Rate remembers.
	JudgeWindow = 30 * time.Second

	rateSamples = 40
	// rateGrid is the least distance of two samples kept, so that
	// rateSamples reach back further than JudgeWindow however often blocks
	// come.
	rateGrid = 800 * time.Millisecond
	// rateBurst: blocks that arrive within it arrived together, whenever they
	// were written (a reader that was held up, a ring handed over); there is
	// no telling how much time lay between them.
	rateBurst = 50 * time.Millisecond
	// rateSilence is how many block intervals may pass without a block before
	// their time counts as time in which nothing was delivered.
	rateSilence = 2
)

// Pace is how fast a stream was over a span of time.
type Pace struct {
	FPS    float64 // frames per second of real time
	HasFPS bool    // false: no video, or not two blocks yet

	Speed    float64 // media time over real time: 1 is real time
	HasSpeed bool    // false: no out_time, or not two blocks yet

	// Over is the real time it was measured over; 0 if it was not. It is up
	// to a block interval longer than the window asked for, and shorter
	// while the run is younger than that.
	Over time.Duration
}

// Rate tells the pace of now from successive blocks: ffmpeg's own fps and
// speed are averages over its lifetime, in which a stream that has run well
// for a day goes on looking well for minutes after it has stopped. Use a new
// Rate for each run. The zero value is ready; it takes 1.6 kB.
type Rate struct {
	samples [rateSamples]sample // a ring
	first   int                 // of the oldest
	n       int
}

// sample is the newest of one or more blocks.
type sample struct {
	at    time.Time // arrival of the newest block
	start time.Time // arrival of the first block of a burst
	frame uint64
	out   time.Duration

	hasFrame, hasOut bool
}

// Add takes a block in, which arrived at the time at. Times must not go back.
func (r *Rate) Add(b Block, at time.Time) {
	s := sample{at: at, start: at, frame: b.Frame, out: b.OutTime, hasFrame: b.HasFrame, hasOut: b.HasOutTime}
	if r.n > 0 {
		last := r.at(r.n - 1)
		burst := at.Sub(last.start) < rateBurst
		crowded := r.n > 1 && last.at.Sub(r.at(r.n-2).at) < rateGrid
		if burst {
			s.start = last.start
		}
		if burst || crowded {
			*last = s
			return
		}
	}
	if r.n == rateSamples {
		r.first = (r.first + 1) % rateSamples
		r.n--
	}
	r.n++
	*r.at(r.n - 1) = s
}

// Over is the pace over the last window before now. Where no block has come
// for longer than the blocks' own interval explains, that time counts as time
// in which nothing was delivered, and the pace falls to 0.
func (r *Rate) Over(window time.Duration, now time.Time) Pace {
	if r.n < 2 {
		return Pace{}
	}
	newest := r.at(r.n - 1)
	end := newest.at
	interval := max(newest.at.Sub(r.at(r.n-2).at), time.Second)
	if now.Sub(newest.at) > rateSilence*interval {
		end = now
	}
	// The newest sample that lies a whole window back, or else the oldest.
	base := r.n - 1
	for base > 0 && end.Sub(r.at(base).at) < window {
		base--
	}
	from := r.at(base)
	span := end.Sub(from.at)
	if span <= 0 {
		return Pace{}
	}
	p := Pace{Over: span}
	if from.hasFrame && newest.hasFrame {
		p.HasFPS = true
		if newest.frame > from.frame {
			p.FPS = float64(newest.frame-from.frame) / span.Seconds()
		}
	}
	if from.hasOut && newest.hasOut {
		p.HasSpeed = true
		// Media time that went back is a new start of the source, not speed.
		p.Speed = max((newest.out-from.out).Seconds(), 0) / span.Seconds()
	}
	return p
}

// at is the sample i, counted from the oldest.
func (r *Rate) at(i int) *sample { return &r.samples[(r.first+i)%rateSamples] }
