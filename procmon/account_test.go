package procmon

import (
	"testing"
	"time"
)

const interval = 5 * time.Second

// sample is what update answered and what the total is then.
func sample(t *testing.T, a *account, looks []look, recent, total time.Duration) {
	t.Helper()
	if got := a.update(looks, interval); got != recent || a.total != total {
		t.Errorf("recent %v, total %v; want %v, %v", got, a.total, recent, total)
	}
}

func TestWhatAReapedChildUsedCountsOnce(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1, self: 1}, {pid: 2, ppid: 1, self: 10}}, 11, 11)
	sample(t, &a, []look{{pid: 1, self: 2}, {pid: 2, ppid: 1, self: 40}}, 31, 42)
	// The child used 5 more, ended, and its parent waited for it.
	sample(t, &a, []look{{pid: 1, self: 2, reaped: 45}}, 5, 47)
}

func TestWhatAnEndedChildUsedStaysCounted(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1}, {pid: 2, ppid: 1, self: 40}}, 40, 40)
	sample(t, &a, []look{{pid: 1}}, 0, 40) // nobody waited for it
}

// A sample reads the parent, then the child ends and its parent waits for it,
// then the sample finds it missing.
func TestChildReapedWhileSampledCountsOnce(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1}, {pid: 2, ppid: 1, self: 40}}, 40, 40)
	sample(t, &a, []look{{pid: 1}}, 0, 40)
	sample(t, &a, []look{{pid: 1, reaped: 45}}, 5, 45)
	sample(t, &a, []look{{pid: 1, reaped: 55}}, 10, 55)
}

// Where nobody waits for children what they used must not be taken from
// others for ever.
func TestChildNobodyWaitsForIsForgottenAfterASample(t *testing.T) {
	const s = time.Second
	var a account
	sample(t, &a, []look{{pid: 1}, {pid: 2, ppid: 1, self: 40 * s}}, 40*s, 40*s)
	sample(t, &a, []look{{pid: 1}}, 0, 40*s)
	sample(t, &a, []look{{pid: 1}}, 0, 40*s)
	sample(t, &a, []look{{pid: 1, reaped: 30 * s}}, 30*s-2*tick, 70*s-2*tick)
	sample(t, &a, []look{{pid: 1, reaped: 60 * s}}, 30*s, 100*s-2*tick)
}

// Many short children, each below the tick in which the parent's sum is told.
func TestChildrenBelowATickCountOnce(t *testing.T) {
	const ms = time.Millisecond
	var a account
	a.update([]look{{pid: 1}}, interval)
	for n := range time.Duration(1000) {
		reaped := (n * 3 * ms).Truncate(tick)
		pid := 2 + int(n)
		a.update([]look{{pid: 1, reaped: reaped}, {pid: pid, ppid: 1, self: 3 * ms}}, interval)
		a.update([]look{{pid: 1, reaped: reaped}}, interval) // not in the sum yet
	}
	if a.total < 2980*ms || a.total > 3000*ms {
		t.Errorf("1000 children of 3 ms: %v", a.total)
	}
}

func TestChildrenThatLiveBetweenTwoSamplesCount(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1, reaped: 100}}, 100, 100)
	sample(t, &a, []look{{pid: 1, reaped: 170}}, 70, 170)
}

func TestGrandchildIsCountedAtTheNearestAncestorLeft(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1}, {pid: 2, ppid: 1, self: 10}, {pid: 3, ppid: 2, self: 20}, {pid: 4, ppid: 3, self: 30}}, 60, 60)
	sample(t, &a, []look{{pid: 1, reaped: 64}}, 4, 64)
}

func TestPidOfAnEndedChildUsedAgainIsAnotherProcess(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1}, {pid: 2, ppid: 1, start: 7, self: 40}}, 40, 40)
	sample(t, &a, []look{{pid: 1}, {pid: 2, ppid: 1, start: 8, self: 3}}, 3, 43)
}

// A total in ticks may be less than the nanoseconds it was added up from.
func TestTicksBehindNanosecondsTakeNothingAway(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1}, {pid: 2, ppid: 1, self: 19 * time.Millisecond}}, 19*time.Millisecond, 19*time.Millisecond)
	sample(t, &a, []look{{pid: 1, reaped: 10 * time.Millisecond}}, 0, 19*time.Millisecond)
}

func TestLateFindIsSpreadOverItsLife(t *testing.T) {
	var a account
	sample(t, &a, []look{{pid: 1}}, 0, 0)
	old := look{pid: 2, ppid: 1, self: 40 * time.Second, age: 10 * interval}
	sample(t, &a, []look{{pid: 1}, old}, 4*time.Second, 40*time.Second)
	young := look{pid: 3, ppid: 1, self: time.Second, age: interval / 2}
	sample(t, &a, []look{{pid: 1}, old, young}, time.Second, 41*time.Second)
}

func TestRingOfUsedAgainPidsEnds(t *testing.T) {
	var a account
	a.update([]look{{pid: 1}, {pid: 2, ppid: 3, self: 1}, {pid: 3, ppid: 2, self: 1}}, interval)
	sample(t, &a, []look{{pid: 1}}, 0, 2)
}

// Whatever comes and goes, the total never falls and the share of an interval
// is never negative.
func FuzzTotalNeverFalls(f *testing.F) {
	f.Add([]byte{1, 0, 1, 5, 2, 1, 1, 9, 0, 1, 0, 1, 6, 12})
	f.Add([]byte{2, 3, 1, 200, 3, 2, 1, 100, 0, 3, 3, 1, 0, 0, 2, 2, 9, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var a account
		var looks []look
		before := time.Duration(0)
		update := func() {
			if recent := a.update(looks, interval); recent < 0 || a.total < before {
				t.Fatalf("recent %v, total %v after %v", recent, a.total, before)
			}
			before, looks = a.total, looks[:0]
		}
		for ; len(data) >= 4; data = data[4:] {
			if data[0] == 0 {
				update()
			}
			looks = append(looks, look{
				pid: int(data[0] % 8), ppid: int(data[1] % 8), start: uint64(data[1] >> 7),
				self: time.Duration(data[2]), reaped: time.Duration(data[3]), age: time.Duration(data[1]) * time.Second,
			})
		}
		update()
	})
}
