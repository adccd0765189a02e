package stream

import (
	"math"
	"time"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// backoff is the delay before restart n (from 1) of a definition:
// min(RestartSec x Factor^(n-1), max), plus up to RestartJitter of it after
// the cap, so that a hundred cameras do not return in one instant. random is
// in [0, 1).
func backoff(d *streamfile.Definition, n int, random float64) time.Duration {
	if n < 1 {
		n = 1
	}
	// The power overflows to +Inf long before a stream gives up; the cap
	// must win then, so it is applied before the conversion.
	delay := float64(d.RestartSec)
	if delay > 0 { // no delay times infinity is no number
		delay = min(delay*math.Pow(d.RestartFactor, float64(n-1)), float64(d.RestartMaxDelay))
	}
	delay *= 1 + d.RestartJitter*random
	if delay >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(delay)
}
