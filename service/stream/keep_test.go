package stream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// seenNotes is how often the keeper has written down what was seen.
func (r *rig) seenNotes() (n int) {
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	for _, s := range r.link.sent {
		if s == "note "+r.cfg.Name+noteSeen {
			n++
		}
	}
	return n
}

// see has the owner see something that is worth no hurry.
func (r *rig) see() {
	o := r.in.owner
	r.post(func() { o.sawSomething(false) })
}

// startAndSettle starts the stream, and what is to be written of that is written.
func (r *rig) startAndSettle() {
	r.Start(background(), WaitNone)
	r.is(StateRunning)
	time.Sleep(seenSoon)
	synctest.Wait()
}

func TestWhatWasSeenIsWrittenSoonAfterAChangeOfState(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.startAndSettle()
		if n := r.seenNotes(); n != 1 {
			t.Errorf("written %d times", n)
		}
	})
}

// TestWhatWasSeenIsWrittenWhenTheOwnerIsAwakeAnyway, once its time has come, and
// soon after that in any case.
func TestWhatWasSeenIsWrittenWhenTheOwnerIsAwakeAnyway(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.startAndSettle()
		written := r.seenNotes()
		wait := seenSpread(r.cfg.Name)

		r.see()
		time.Sleep(wait - time.Millisecond)
		r.see()
		synctest.Wait()
		if n := r.seenNotes(); n != written {
			t.Fatalf("written after %s already", wait-time.Millisecond)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := r.seenNotes(); n != written {
			t.Fatal("it woke to write")
		}
		time.Sleep(time.Millisecond)
		r.see()
		synctest.Wait()
		if n := r.seenNotes(); n != written+1 {
			t.Fatalf("awake after %s, and it has not written", wait+time.Millisecond)
		}

		r.see()
		time.Sleep(wait + seenSlack)
		synctest.Wait()
		if n := r.seenNotes(); n != written+2 {
			t.Errorf("not written after %s", wait+seenSlack)
		}
	})
}

// TestStreamsThatAreStartedTogetherDoNotWriteTogether: no twentieth of the time
// has more than twice its share of them.
func TestStreamsThatAreStartedTogetherDoNotWriteTogether(t *testing.T) {
	const streams, parts = 1000, 20
	var in [parts]int
	for i := range streams {
		d := seenSpread(fmt.Sprintf("cam%03d", i))
		if d <= seenEvery/2 || d > seenEvery {
			t.Fatalf("%s", d)
		}
		in[int((d-seenEvery/2-1)*parts/(seenEvery/2))]++
	}
	for i, n := range in {
		if n > 2*streams/parts {
			t.Errorf("%d of %d in part %d of %d", n, streams, i, parts)
		}
	}
}
