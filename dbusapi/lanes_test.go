package dbusapi

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// recorder notes what ran, in order.
type recorder struct {
	mu  sync.Mutex
	ran []string
}

func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran = append(r.ran, what)
}

func (r *recorder) is(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.ran, want) {
		t.Errorf("ran %v, not %v", r.ran, want)
	}
}

func TestCallsOfOneSenderRunInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		var got []int
		for i := range 200 {
			if !ls.submit("a", 0, false, func(context.Context, func()) {
				time.Sleep(time.Duration(i%4) * time.Millisecond)
				got = append(got, i) // the race detector sees if two run at once
			}) {
				t.Fatal("refused")
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(got) != 200 || !slices.IsSorted(got) {
			t.Error(got)
		}
		if len(ls.lanes) != 0 || ls.bytes != 0 {
			t.Errorf("%d lanes, %d bytes remain", len(ls.lanes), ls.bytes)
		}
	})
}

func TestSlowCallIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		var r recorder
		ls.submit("a", 0, false, func(_ context.Context, mayWait func()) {
			r.note("slow begins")
			mayWait()
			time.Sleep(time.Minute)
			r.note("slow ends")
		})
		ls.submit("a", 0, false, func(context.Context, func()) { r.note("next") })
		synctest.Wait()
		ls.submit("b", 0, false, func(context.Context, func()) { r.note("other") })
		synctest.Wait()
		r.is(t, "slow begins", "other") // the other sender does not wait at all
		time.Sleep(patience)
		synctest.Wait()
		r.is(t, "slow begins", "other", "next")
		time.Sleep(time.Minute)
		r.is(t, "slow begins", "other", "next", "slow ends")
		synctest.Wait()
		if len(ls.lanes) != 0 {
			t.Error("a lane remains")
		}
	})
}

func TestCallThatOnlyCostsTimeIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		var r recorder
		ls.submit("a", 0, false, func(context.Context, func()) {
			time.Sleep(time.Minute)
			r.note("first")
		})
		ls.submit("a", 0, false, func(context.Context, func()) { r.note("second") })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.is(t, "first", "second")
	})
}

func TestSenderCannotPileUpCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		release := make(chan struct{})
		stuck := func(_ context.Context, mayWait func()) {
			mayWait()
			<-release
		}
		var accepted int
		for range 10 * laneCalls {
			if ls.submit("a", 0, false, stuck) {
				accepted++
			}
		}
		for range laneSlow {
			time.Sleep(2 * patience)
		}
		for range 10 * laneCalls {
			if ls.submit("a", 0, false, stuck) {
				accepted++
			}
		}
		if most := 2*laneCalls + laneSlow + 1; accepted > most || accepted < laneCalls {
			t.Errorf("%d calls were accepted", accepted)
		}
		if l := ls.lanes["a"]; l.slow != laneSlow {
			t.Errorf("%d calls run at once", l.slow)
		}
		var ran bool
		if !ls.submit("b", 0, false, func(context.Context, func()) { ran = true }) {
			t.Error("another sender was refused")
		}
		synctest.Wait()
		if !ran {
			t.Error("another sender waits")
		}
		close(release)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(ls.lanes) != 0 || ls.bytes != 0 {
			t.Errorf("%d lanes, %d bytes remain", len(ls.lanes), ls.bytes)
		}
	})
}

func TestSenderCannotPileUpBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		release := make(chan struct{})
		accepted := 0
		for range 100 {
			if ls.submit("a", 1<<20, false, func(context.Context, func()) { <-release }) {
				accepted++
			}
		}
		if accepted < 4 || accepted > 8 {
			t.Errorf("%d MiB were accepted", accepted)
		}
		close(release)
		synctest.Wait()
		if !ls.submit("b", 100<<20, false, func(context.Context, func()) {}) {
			t.Error("a single call was refused")
		}
		synctest.Wait()
	})
}

func TestCallsOfAllSendersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		release := make(chan struct{})
		accepted := 0
		for i := range 200 {
			if ls.submit(string(rune('a'+i)), 1<<20, false, func(context.Context, func()) { <-release }) {
				accepted++
			}
		}
		if accepted < 60 || accepted > 64 {
			t.Errorf("%d MiB were accepted", accepted)
		}
		if len(ls.lanes) != accepted {
			t.Errorf("%d lanes for %d calls", len(ls.lanes), accepted)
		}
		close(release)
		synctest.Wait()
	})
}

// One person's many connections may fill what there is for all; who has nothing
// waiting is served nevertheless.
func TestFullLanesStillTakeASmallCallOfANewSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		release := make(chan struct{})
		stuck := func(context.Context, func()) { <-release }
		for i := range 200 {
			ls.submit(string(rune('a'+i)), 1<<20, false, stuck)
		}
		var ran bool
		if !ls.submit("quiet", 100, false, func(context.Context, func()) { ran = true }) {
			t.Error("it was refused")
		}
		synctest.Wait()
		if !ran {
			t.Error("it waits")
		}
		if ls.submit("greedy", 1<<20, false, stuck) {
			t.Error("a large call was taken beyond the limit")
		}
		if ls.submit("a", 1<<20, false, stuck) {
			t.Error("a sender that has its share was given more")
		}
		close(release)
		synctest.Wait()
	})
}

// In synctest's time, in which nothing but the calls and the rests takes any.
func TestEndlessCallsGetATenthOfTheTime(t *testing.T) {
	for name, c := range map[string]struct {
		size    int
		mayWait bool
		tenth   bool
	}{
		"reading":             {tenth: true},
		"asking polkit after": {mayWait: true, tenth: true},
		"data":                {size: dataSize},
	} {
		synctest.Test(t, func(t *testing.T) {
			ls := newLanes(t.Context())
			began := time.Now()
			var at []time.Duration // when each call was over
			for range 200 {
				ls.submit("a", c.size, false, func(_ context.Context, mayWait func()) {
					time.Sleep(turn)
					if c.mayWait {
						mayWait()
					}
					at = append(at, time.Since(began))
				})
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(at) != 200 {
				t.Fatalf("%s: %d calls were carried out", name, len(at))
			}
			const free = int(burst / turn)
			if got := at[free-1]; got < burst || got > burst+burst/turn*rest {
				t.Errorf("%s: a burst of %v took %v", name, burst, got)
			}
			used := time.Duration(200-free) * turn
			took := at[199] - at[free-1]
			if c.tenth && (took < 9*used || took > 11*used) || !c.tenth && took > used+used/turn*rest {
				t.Errorf("%s: %v of work after the burst took %v", name, used, took)
			}
			if len(ls.lanes) != 0 {
				t.Errorf("%s: a lane remains", name)
			}
		})
	}
}

// Who waits for a process or a person is no flood.
func TestCallsThatWaitAreNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		began := time.Now()
		var end time.Time
		for range 200 {
			ls.submit("a", 0, false, func(_ context.Context, mayWait func()) {
				mayWait()
				time.Sleep(patience - 1)
				end = time.Now()
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if took := end.Sub(began); took > 200*(patience+rest) {
			t.Errorf("200 starts took %v", took)
		}
	})
}

// What a flood has asked for is done, also when it has left, and then without
// delay.
func TestNobodyRestsForOneThatHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		ran := 0
		var last time.Time
		for range laneCalls {
			ls.submit("a", 0, false, func(context.Context, func()) {
				time.Sleep(turn)
				ran++
				last = time.Now()
			})
		}
		var refused atomic.Int64
		for range 100 {
			ls.refuse("a", func() { refused.Add(1) })
		}
		time.Sleep(burst + longRest)
		began := time.Now()
		ls.gone("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if took := last.Sub(began); ran != laneCalls || took > laneCalls*turn {
			t.Errorf("%d calls were carried out, in %v", ran, took)
		}
		if len(ls.lanes) != 0 {
			t.Error("a lane remains")
		}
		if most := refusePart * int64((burst+longRest)/refuseEvery); refused.Load() > most {
			t.Errorf("%d refusals were sent, at most %d in time", refused.Load(), most)
		}
	})
}

func TestRefusalsAreSentAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		var sent atomic.Int64
		send := func() { sent.Add(1) }
		for range 2*refusePart + 1 {
			ls.refuse("a", send)
		}
		for _, want := range []int64{0, refusePart, 2 * refusePart, 2*refusePart + 1} {
			if synctest.Wait(); sent.Load() != want {
				t.Errorf("%d are sent, not %d", sent.Load(), want)
			}
			time.Sleep(refuseEvery)
		}
		if synctest.Wait(); len(ls.lanes) != 0 {
			t.Error("a lane remains")
		}
		for range laneRefusals {
			if !ls.refuse("a", send) {
				t.Fatal("not taken")
			}
		}
		if ls.refuse("a", send) {
			t.Error("there is no limit")
		}
		time.Sleep(time.Minute)
		if synctest.Wait(); sent.Load() != 2*refusePart+1+laneRefusals {
			t.Errorf("%d are sent in the end", sent.Load())
		}
	})
}

func TestSenderCannotPileUpDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		release := make(chan struct{})
		stuck := func(context.Context, func()) { <-release }
		accepted := 0
		for range 2 * laneFiles {
			if ls.submit("a", 0, true, stuck) {
				accepted++
			}
		}
		if accepted != laneFiles {
			t.Errorf("%d calls for descriptors were accepted, not %d", accepted, laneFiles)
		}
		if !ls.submit("a", 0, false, stuck) || !ls.submit("b", 0, true, stuck) {
			t.Error("another call, or another sender, was refused")
		}
		close(release)
		synctest.Wait()
		if !ls.submit("a", 0, true, stuck) {
			t.Error("what has been answered still counts")
		}
		synctest.Wait()
	})
}

func TestContextEndsWithTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		var r recorder
		ls.submit("a", 0, false, func(ctx context.Context, mayWait func()) {
			mayWait()
			<-ctx.Done()
			r.note("first")
		})
		ls.submit("a", 0, false, func(context.Context, func()) { r.note("second, of one that sends and leaves") })
		ls.submit("b", 0, false, func(ctx context.Context, _ func()) {
			select {
			case <-ctx.Done():
				r.note("wrong one")
			case <-time.After(time.Second):
			}
		})
		synctest.Wait()
		ls.gone("a")
		ls.gone("never heard of")
		time.Sleep(time.Minute)
		r.is(t, "first", "second, of one that sends and leaves")
	})
}
