package procmon

import (
	"time"

	"golang.org/x/sys/unix"
)

// shortestSuspend is the least time that counts as suspended. The two clocks
// cannot be read in one instant, and no machine is asleep for less.
const shortestSuspend = 100 * time.Millisecond

// Clock tells, looked at in regular rounds, how much time the rounds have
// missed: while the machine slept, and while this process got no CPU (or was
// stopped, or its virtual machine was). In either case silence of a stream
// says nothing about the stream. It is not safe for concurrent use.
type Clock struct {
	interval time.Duration
	read     func(clockid int32) time.Duration // a seam for tests
	looked   bool
	last     time.Duration // CLOCK_MONOTONIC
	asleep   time.Duration // since boot
}

// NewClock makes a Clock that will be looked at once every interval.
func NewClock(interval time.Duration) *Clock {
	return &Clock{interval: interval, read: readClock}
}

func readClock(clockid int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clockid, &t); err != nil {
		return 0 // only for a clock that the kernel has not: Linux < 2.6.39
	}
	return time.Duration(t.Nano())
}

// Look answers, of the time since the last Look, how long the machine was
// suspended and by how much, apart from that, this Look comes later than one
// interval after it. The first answers 0, 0.
//
// CLOCK_MONOTONIC, by which Go's timers run, stands still in a suspend;
// CLOCK_BOOTTIME goes on (clock_gettime(2)).
func (c *Clock) Look() (suspended, late time.Duration) {
	now, asleep := c.readBoth()
	if c.looked {
		suspended = asleep - c.asleep
		late = max(0, now-c.last-c.interval)
	}
	if suspended < shortestSuspend {
		suspended = 0
	}
	c.looked, c.last = true, now
	// What is below the threshold may be a reading that was interrupted:
	// never go back, or the next would count it.
	c.asleep = max(c.asleep, asleep)
	return suspended, late
}

// readBoth answers CLOCK_MONOTONIC and how long the machine has been
// suspended since boot, never more than it has.
func (c *Clock) readBoth() (now, asleep time.Duration) {
	for i := range 5 {
		boot := c.read(unix.CLOCK_BOOTTIME)
		now = c.read(unix.CLOCK_MONOTONIC)
		// Preempted in between, it is too little by that time; the greatest
		// of a few readings is right.
		if a := boot - now; i == 0 || a > asleep {
			asleep = a
		}
	}
	return now, asleep
}
