package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// tray is a sink that takes what it is told to and notes when.
type tray struct {
	began   time.Time
	take    func(record string) (done, lost bool)
	batches []string // "100ms: a b"
	got     []string
	closed  bool
}

func (s *tray) send(b *batch, from int) (done, lost int) {
	var taken []string
	defer func() {
		if len(taken) > 0 {
			s.batches = append(s.batches, fmt.Sprintf("%v: %s", time.Since(s.began), strings.Join(taken, " ")))
			s.got = append(s.got, taken...)
		}
	}()
	for i := from; i < len(b.records); i++ {
		record := string(b.record(i))
		if s.take != nil {
			ok, bad := s.take(record)
			if !ok {
				return done, lost
			}
			if bad {
				lost++
				done++
				continue
			}
		}
		taken = append(taken, record)
		done++
	}
	return done, lost
}

func (s *tray) close() { s.closed = true }

func newTray(b bounds) (*tray, *queue) {
	s := &tray{began: time.Now()}
	return s, newQueue(s, b, func(b []byte, d drops) []byte { return append(b, "["+d.record(KindJSON).Message+"]"...) })
}

var small = bounds{records: 8, bytes: 80, gather: 100 * time.Millisecond}

func TestRecordsGatherButTheFirstAndUrgentOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := newTray(small)
		synctest.Wait()
		put := func(name string, urgent bool) { q.put([]byte(name), mark{urgent: urgent}) }
		put("first", false)
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		put("a", false)
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		put("b", false)
		time.Sleep(100 * time.Millisecond) // the rest of the 100 ms, and 20 more
		put("c", false)
		time.Sleep(10 * time.Millisecond)
		put("urgent", true)
		synctest.Wait()
		for range 4 {
			put("half", false)
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		put("late", false)
		synctest.Wait()
		want := []string{"0s: first", "100ms: a b", "130ms: c urgent", "130ms: half half half half", "1m0.13s: late"}
		if got := fmt.Sprintf("%q", s.batches); got != fmt.Sprintf("%q", want) {
			t.Errorf("got %s\nwant %q", got, want)
		}
		if err := q.close(t.Context()); err != nil || !s.closed {
			t.Errorf("close: %v, %v", err, s.closed)
		}
	})
}

func TestFullQueueDropsAndTellsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := newTray(small)
		var running atomic.Bool
		s.take = func(string) (bool, bool) { return running.Load(), false }
		q.put([]byte("under way"), mark{})
		synctest.Wait()
		for i := range 20 {
			q.put(fmt.Append(nil, i), mark{stream: fmt.Sprint("cam", i%2)})
		}
		q.put([]byte("u1"), mark{urgent: true})
		q.put([]byte("u2"), mark{urgent: true})
		q.put([]byte("u3"), mark{stream: "cam1", urgent: true})
		if n, a, b := q.droppedTotal(), q.droppedOf("cam0"), q.droppedOf("cam1"); n != 15 || a != 7 || b != 8 {
			t.Errorf("dropped %d, %d and %d", n, a, b)
		}
		time.Sleep(time.Hour)
		running.Store(true)
		if err := q.flush(t.Context()); err != nil {
			t.Error(err)
		}
		// The one under way was a batch of its own, after which the drops are told of.
		want := "under way [15 records were dropped while the output did not take them: cam1 8, cam0 7] 0 1 2 3 4 5 u1 u2"
		if got := strings.Join(s.got, " "); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		q.put([]byte("next"), mark{})
		if err := q.close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := s.got[len(s.got)-1]; got != "next" {
			t.Errorf("the last is %s: told of twice", got)
		}
	})
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := newTray(small)
		s.take = func(string) (bool, bool) { return false, false }
		q.put([]byte("under way"), mark{})
		synctest.Wait()
		q.put(make([]byte, 81), mark{urgent: true})
		q.put(make([]byte, 61), mark{})
		if n := q.droppedTotal(); n != 2 {
			t.Errorf("%d dropped", n)
		}
		q.put(make([]byte, 60), mark{})
		q.put(make([]byte, 1), mark{})
		q.put(make([]byte, 20), mark{urgent: true})
		q.put(make([]byte, 1), mark{urgent: true})
		if n := q.droppedTotal(); n != 4 {
			t.Errorf("%d dropped", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		<-q.done
		if n := q.droppedTotal(); n != 7 {
			t.Errorf("%d dropped in the end", n)
		}
	})
}

func TestRefusedRecordsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := newTray(small)
		s.take = func(record string) (bool, bool) { return true, strings.HasPrefix(record, "bad") }
		for _, r := range []string{"bad", "good", "bad2", "good2"} {
			q.put([]byte(r), mark{})
		}
		if err := q.close(t.Context()); err != nil {
			t.Error(err)
		}
		got := strings.Join(s.got, " ")
		if n := q.droppedTotal(); n != 2 || !strings.Contains(got, "good2") || !strings.Contains(got, "dropped") {
			t.Errorf("%d dropped, %s", n, got)
		}
	})
}

func TestFlushOfAnEmptyQueueReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, q := newTray(small)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.flush(ctx); err != nil {
			t.Error(err)
		}
		if err := q.close(ctx); err != nil {
			t.Error(err)
		}
		<-q.done
	})
}

func TestNamesOfManyStreamsAreSummedUp(t *testing.T) {
	var d drops
	d.add("", 5)
	for i := range 12 {
		d.add(fmt.Sprintf("cam%02d", i), uint64(100-i))
	}
	want := "cam00 100, cam01 99, cam02 98, cam03 97, cam04 96, cam05 95, cam06 94, cam07 93, cam08 92, cam09 91, 2 others 179"
	if got := d.names(); got != want {
		t.Errorf("names = %s", got)
	}
	for i := range 2 * maxNames {
		d.add(fmt.Sprint(i), 1)
	}
	if len(d.byStream) != maxNames {
		t.Errorf("%d names are kept", len(d.byStream))
	}
}
