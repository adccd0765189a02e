package dbusapi

import (
	"context"
	"slices"
	"sync"
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
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		began := time.Now()
		var at []time.Duration // when each call was over
		for range 200 {
			ls.submit("a", 0, false, func(context.Context, func()) {
				time.Sleep(turn)
				at = append(at, time.Since(began))
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(at) != 200 {
			t.Fatalf("%d calls were carried out", len(at))
		}
		const free = int(burst / turn)
		if at[free-1] != burst {
			t.Errorf("a burst of %v took %v", burst, at[free-1])
		}
		used := time.Duration(200-free) * turn
		if took := at[199] - burst; took < 9*used || took > 11*used {
			t.Errorf("%v of work after the burst took %v", used, took)
		}
		if len(ls.lanes) != 0 {
			t.Error("a lane remains")
		}
	})
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
		if took := end.Sub(began); took != 200*(patience-1) {
			t.Errorf("200 starts took %v", took)
		}
	})
}

func TestRefusalsAreSentAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := newLanes(t.Context())
		var mu sync.Mutex
		sent := 0
		count := func() int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return sent
		}
		send := func() {
			mu.Lock()
			defer mu.Unlock()
			sent++
		}
		for range 2*refusePart + 1 {
			ls.refuse("a", send)
		}
		for _, want := range []int{0, refusePart, 2 * refusePart, 2*refusePart + 1} {
			if got := count(); got != want {
				t.Errorf("%d are sent, not %d", got, want)
			}
			time.Sleep(refuseEvery)
		}
		if synctest.Wait(); len(ls.lanes) != 0 {
			t.Error("a lane remains")
		}
		for range laneRefusals + 5 {
			ls.refuse("a", send)
		}
		if got := count() - (2*refusePart + 1); got != 5 {
			t.Errorf("%d of 5 too many are sent at once", got)
		}
		time.Sleep(time.Minute)
		if got := count() - (2*refusePart + 1); got != laneRefusals+5 {
			t.Errorf("%d are sent in the end", got)
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
