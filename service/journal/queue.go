package journal

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// bounds limit a queue. Beside what waits, one batch of that size at most is
// being written.
type bounds struct {
	records int
	bytes   int
	gather  time.Duration // how long ordinary records gather before they are written
}

// limits are enough for several seconds of what 300 streams say, and for
// 100 ms of a flood. A wake-up costs more than writing a record does (about
// 100 µs against 1 µs in a virtual machine), so ten a second it is.
var limits = bounds{records: 4096, bytes: 2 << 20, gather: 100 * time.Millisecond}

// reserve is the part of a queue, one in so many, that is kept for urgent
// records: events and what is a warning or worse must not be lost because a
// stream chatters.
const reserve = 4

// keepBuffer is up to which size in bytes a buffer is kept after a flood.
const keepBuffer = 256 << 10

// mark is what the queue needs to know of a record.
type mark struct {
	at     time.Time
	stream string
	urgent bool // write at once
}

// batch is a number of records, one behind the other.
type batch struct {
	buf     []byte
	records []entry
}

// entry is one record: where it ends in the buffer, and when it was logged.
type entry struct {
	end int
	at  time.Time
}

func (b *batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.records[i-1].end
}

func (b *batch) record(i int) []byte { return b.buf[b.start(i):b.records[i].end] }

func (b *batch) add(record []byte, at time.Time) {
	b.buf = append(b.buf, record...)
	b.records = append(b.records, entry{len(b.buf), at})
}

func (b *batch) reset() {
	if cap(b.buf) > keepBuffer {
		*b = batch{}
	}
	b.buf, b.records = b.buf[:0], b.records[:0]
}

// sink is where records end up. Its methods are called by one goroutine.
type sink interface {
	// send writes the records of b from the given one on. It returns how many
	// it is done with, written or, so many of them, lost. If those are not
	// all, the rest is sent again later.
	send(b *batch, from int) (done, lost int)
	close()
}

// queue holds records between those who log and the one goroutine that writes.
type queue struct {
	sink   sink
	bounds bounds
	report func(b []byte, d drops) []byte // encodes the record about drops

	wake chan struct{} // capacity 1: there is something to do
	quit chan struct{} // closed: end
	done chan struct{} // closed: ended

	mu      sync.Mutex
	pending batch
	spare   []batch // the other buffer, while it is not being written
	eager   bool    // the goroutine sleeps until woken: also ordinary records do
	closed  bool
	in      uint64 // records taken in
	out     uint64 // records done with
	flushes []flush
	total   drops // since the beginning
	news    drops // not yet told of
}

// flush is somebody who waits for all records up to a number.
type flush struct {
	upTo uint64
	done chan struct{}
}

func newQueue(s sink, b bounds, report func([]byte, drops) []byte) *queue {
	q := &queue{sink: s, bounds: b, report: report, eager: true, spare: []batch{{}},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

// put takes a copy of a record, or drops it.
func (q *queue) put(record []byte, m mark) {
	n, size := q.bounds.records, q.bounds.bytes
	if !m.urgent {
		n, size = n-n/reserve, size-size/reserve
	}
	q.mu.Lock()
	if q.closed || len(q.pending.records) >= n || len(q.pending.buf)+len(record) > size {
		q.drop(m.stream, 1)
		q.mu.Unlock()
		return
	}
	q.pending.add(record, m.at)
	q.in++
	wake := q.eager || m.urgent || len(q.pending.records) == q.bounds.records/2
	q.eager = false
	q.mu.Unlock()
	if wake {
		q.nudge()
	}
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes until it is told to end.
func (q *queue) run() {
	defer close(q.done)
	defer q.abandon()
	defer q.sink.close()
	timer := time.NewTimer(q.bounds.gather)
	for {
		b, ok := q.take()
		if ok {
			left, lost := q.write(&b)
			q.lose(left + lost)
			if left > 0 || !q.tell() {
				return
			}
			q.finished(&b)
			timer.Reset(q.bounds.gather)
		}
		// Without records the timer has run out, and only a wake-up counts.
		select {
		case <-q.wake:
		case <-timer.C:
		case <-q.quit:
			return
		}
	}
}

// abandon counts what is still waiting when the goroutine ends.
func (q *queue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.drop("", uint64(len(q.pending.records)))
	q.pending = batch{}
}

// take returns what is waiting. If nothing is, the next record will wake.
func (q *queue) take() (b batch, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending.records) == 0 {
		q.eager = true
		return batch{}, false
	}
	b, q.pending = q.pending, q.spare[0]
	q.spare = q.spare[:0]
	q.eager = false
	return b, true
}

// write has the sink write b, however long that takes. It returns how many
// records were left when it was told to end, and how many the sink gave up.
func (q *queue) write(b *batch) (left, lost int) {
	pause := firstPause
	for from := 0; ; {
		done, gone := q.sink.send(b, from)
		from, lost = from+done, lost+gone
		if from == len(b.records) {
			return 0, lost
		}
		if done > 0 {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		case <-q.quit:
			return len(b.records) - from, lost
		}
	}
}

// lose counts records that were taken in and yet not written.
func (q *queue) lose(n int) {
	if n == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop("", uint64(n))
}

// How long to wait for a journald that takes nothing: it can take hundreds of
// records a millisecond, and when it has been away nobody misses 50 ms.
const (
	firstPause   = time.Millisecond
	longestPause = 50 * time.Millisecond
)

// tell writes a record about what has been dropped since the last one. It
// reports false if it was told to end meanwhile.
func (q *queue) tell() bool {
	q.mu.Lock()
	news := q.news
	q.news = drops{}
	q.mu.Unlock()
	if news.n == 0 {
		return true
	}
	var b batch
	b.add(q.report(nil, news), time.Now())
	left, lost := q.write(&b)
	if left+lost > 0 { // another time
		q.mu.Lock()
		q.news.merge(news)
		q.mu.Unlock()
	}
	return left == 0
}

// finished takes the buffer back and wakes those who have waited for it.
func (q *queue) finished(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out += uint64(len(b.records))
	b.reset()
	q.spare = append(q.spare[:0], *b)
	waiting := q.flushes[:0]
	for _, f := range q.flushes {
		if f.upTo <= q.out {
			close(f.done)
		} else {
			waiting = append(waiting, f)
		}
	}
	q.flushes = waiting
}

func (q *queue) flush(ctx context.Context) error {
	q.mu.Lock()
	if q.out == q.in {
		q.mu.Unlock()
		return nil
	}
	f := flush{q.in, make(chan struct{})}
	q.flushes = append(q.flushes, f)
	q.mu.Unlock()
	q.nudge()
	select {
	case <-f.done:
		return nil
	case <-q.done:
		return nil
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		return fmt.Errorf("cannot write %d records of the log: %w", q.in-q.out, ctx.Err())
	}
}

func (q *queue) close(ctx context.Context) error {
	q.mu.Lock()
	was := q.closed
	q.closed = true
	q.mu.Unlock()
	if was {
		return nil
	}
	err := q.flush(ctx)
	close(q.quit)
	if err == nil {
		select {
		case <-q.done:
		case <-ctx.Done():
		}
	}
	return err
}
