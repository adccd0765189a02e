package procmon

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clocks are two clocks that a test sets.
type clocks struct{ boot, mono time.Duration }

func (c *clocks) clock(interval time.Duration) *Clock {
	k := NewClock(interval)
	k.read = func(id int32) time.Duration {
		if id == unix.CLOCK_BOOTTIME {
			return c.boot
		}
		return c.mono
	}
	return k
}

func (c *clocks) pass(awake, asleep time.Duration) {
	c.mono += awake
	c.boot += awake + asleep
}

func look2(t *testing.T, c *Clock, suspended, late time.Duration) {
	t.Helper()
	if s, l := c.Look(); s != suspended || l != late {
		t.Errorf("suspended %v, late %v; want %v, %v", s, l, suspended, late)
	}
}

func TestClockTellsSuspendFromStarvation(t *testing.T) {
	at := clocks{boot: 100 * time.Hour, mono: 90 * time.Hour} // has slept before
	c := at.clock(time.Second)
	look2(t, c, 0, 0)
	at.pass(time.Second, 0)
	look2(t, c, 0, 0)
	at.pass(time.Second, 8*time.Hour)
	look2(t, c, 8*time.Hour, 0)
	at.pass(4*time.Second, 0)
	look2(t, c, 0, 3*time.Second)
	at.pass(3*time.Second, time.Minute)
	look2(t, c, time.Minute, 2*time.Second)
	at.pass(time.Second/2, 0) // an early look is not late
	look2(t, c, 0, 0)
}

// Between the readings of the two clocks the process may lose the CPU.
func TestClockIsNotFooledByAnInterruptedReading(t *testing.T) {
	at := clocks{boot: time.Hour, mono: time.Hour}
	c := at.clock(time.Second)
	read, n, lost := c.read, 0, 3
	c.read = func(id int32) time.Duration {
		d := read(id)
		if n++; n%2 == 1 && n/2 < lost {
			at.pass(time.Second, 0) // after BOOTTIME, before MONOTONIC
		}
		return d
	}
	look2(t, c, 0, 0)
	at.pass(time.Second, 0)
	look2(t, c, 0, 0)
	// Even if every reading was interrupted the next right one is no suspend.
	at.pass(time.Second, 0)
	n, lost = 0, 10
	c.Look()
	at.pass(time.Second, 0)
	lost = 0
	if s, _ := c.Look(); s != 0 {
		t.Errorf("suspended %v", s)
	}
}

func TestClockOfThisMachineIsNeitherAsleepNorLate(t *testing.T) {
	c := NewClock(time.Hour)
	c.Look()
	for range 1000 {
		look2(t, c, 0, 0)
	}
}
