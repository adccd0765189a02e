package dbusapi

import (
	"context"
	"sync"
	"time"
)

// Limits of what one sender, and all together, may have waiting. They are far
// above what a client needs and far below what would hurt.
const (
	laneCalls = 256     // of one sender, waiting
	laneBytes = 8 << 20 // of one sender, waiting or in work
	laneSlow  = 32      // of one sender, overtaken and still in work
	laneFiles = 16      // of one sender, waiting or in work: calls that hand out descriptors
	allBytes  = 64 << 20

	// alwaysFits is the size of a call that is taken of a sender who has nothing
	// else waiting, even where others have filled allBytes: they may be one
	// person with many connections. The bus bounds those.
	alwaysFits = maxArguments

	// patience is how long the next call of the same sender waits for one
	// that takes its time.
	patience = 5 * time.Millisecond

	// A lane that always has work would keep its processor, on which the runtime
	// looks for what the bus has brought only when it is idle, or every 10 ms. So
	// it rests after every turn.
	turn = 2 * time.Millisecond
	rest = 200 * time.Microsecond

	// A sender whose calls have cost more than burst without a pause is a flood,
	// and rests for restShare times as long as they take: it gets a tenth of a
	// processor. An ordinary burst is over before. A host that is slow for once
	// is not its fault: no rest is longer than longRest.
	burst     = 50 * time.Millisecond
	restShare = 9
	longRest  = 200 * time.Millisecond

	// dataSize is the size from which a call carries data, whose bytes are what
	// is bounded: feeding a stream is no flood.
	dataSize = 4 << 10

	// Refusals are sent refusePart at a time, refuseEvery apart: a sender that
	// calls again as soon as it is refused would keep the bus busy with nothing
	// else.
	refuseEvery  = 20 * time.Millisecond
	refusePart   = 16
	laneRefusals = 4096

	// callOverhead is about what a call costs beside its bytes.
	callOverhead = 512
)

// lanes runs calls: those of one sender in the order they were sent, those of
// different senders at once. A call that may have to wait (for a process, for
// a person's password) says so, and is overtaken when it takes longer than
// patience: it goes on beside its lane, and the next one begins. So a client
// that sends Start and then Stop gets them in that order, and one that waits
// for a slow start can still ask for anything else. Calls that only cost time
// are not overtaken: a sender has one processor at most.
type lanes struct {
	ctx context.Context // ends with the connection

	mu    sync.Mutex
	lanes map[string]*lane
	bytes int
}

// lane is one sender's. The mutex of lanes guards it.
type lane struct {
	all    *lanes
	sender string
	ctx    context.Context // ends with the sender's connection, too
	cancel context.CancelFunc

	waiting []job
	bytes   int
	files   int
	working bool // a goroutine takes from waiting
	slow    int  // overtaken calls in work

	refusals []func()      // not sent yet
	refusing bool          // a timer is set to send some
	used     time.Duration // on calls since it was idle
}

type job struct {
	size int
	file bool // it may hand out a descriptor
	run  work
}

// work is a call. The context ends when there is nobody left to answer. From
// when it first calls mayWait on it can be overtaken.
type work func(ctx context.Context, mayWait func())

func newLanes(ctx context.Context) *lanes {
	return &lanes{ctx: ctx, lanes: map[string]*lane{}}
}

// submit queues a call of so many bytes, that may hand out a descriptor (file);
// it reports false, and does nothing, when that would be too many. It never
// blocks.
func (ls *lanes) submit(sender string, size int, file bool, run work) bool {
	size += callOverhead
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.lane(sender)
	if !ls.fits(l, size, file) {
		l.dropIfIdle()
		return false
	}
	l.waiting = append(l.waiting, job{size, file, run})
	l.bytes += size
	if file {
		l.files++
	}
	ls.bytes += size
	l.begin()
	return true
}

// lane is the sender's, a new one if it has none.
func (ls *lanes) lane(sender string) *lane {
	l := ls.lanes[sender]
	if l == nil {
		l = &lane{all: ls, sender: sender}
		l.ctx, l.cancel = context.WithCancel(ls.ctx)
		ls.lanes[sender] = l
	}
	return l
}

// fits says whether one more call of l's sender is within all limits. A single
// call always fits, whatever its size.
func (ls *lanes) fits(l *lane, size int, file bool) bool {
	switch {
	case len(l.waiting) >= laneCalls, file && l.files >= laneFiles:
		return false
	case l.bytes > 0 && l.bytes+size > laneBytes:
		return false
	case l.bytes == 0 && size <= alwaysFits:
		return true
	}
	return ls.bytes == 0 || ls.bytes+size <= allBytes
}

// refuse has send called soon, which tells the sender that its call was not
// taken; it reports false, and does nothing, where too many wait for that. It
// never blocks.
func (ls *lanes) refuse(sender string, send func()) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.lane(sender)
	if len(l.refusals) >= laneRefusals {
		return false
	}
	l.refusals = append(l.refusals, send)
	if !l.refusing {
		l.refusing = true
		time.AfterFunc(refuseEvery, l.sendRefusals)
	}
	return true
}

// sendRefusals sends some, and goes on later with the rest.
func (l *lane) sendRefusals() {
	l.all.mu.Lock()
	n := min(refusePart, len(l.refusals))
	some := l.refusals[:n:n]
	l.refusals = l.refusals[n:]
	l.all.mu.Unlock()
	for _, send := range some {
		send()
	}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if len(l.refusals) > 0 {
		time.AfterFunc(refuseEvery, l.sendRefusals)
		return
	}
	l.refusals, l.refusing = nil, false
	l.dropIfIdle()
}

// gone tells that a sender has left the bus: nobody waits for what it asked
// for. What it asked for is done nevertheless, for some clients send a call
// and leave.
func (ls *lanes) gone(sender string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.lanes[sender]; l != nil {
		l.cancel()
		l.refusals = nil
	}
}

// begin sets a goroutine to work where there is work and none may be at it.
func (l *lane) begin() {
	if !l.working && len(l.waiting) > 0 && l.slow < laneSlow {
		l.working = true
		go l.run()
	}
}

func (l *lane) dropIfIdle() {
	if !l.working && len(l.waiting) == 0 && l.slow == 0 && !l.refusing {
		l.cancel()
		delete(l.all.lanes, l.sender)
	}
}

// run runs what waits until nothing does, or until it is overtaken itself.
func (l *lane) run() {
	began := time.Now()
	for {
		l.all.mu.Lock()
		if len(l.waiting) == 0 {
			l.working, l.used = false, 0
			l.dropIfIdle()
			l.all.mu.Unlock()
			return
		}
		j := l.waiting[0]
		l.waiting[0] = job{}
		l.waiting = l.waiting[1:]
		flood := l.used > burst
		l.all.mu.Unlock()
		took, overtaken := l.runOne(j)
		if overtaken {
			return
		}
		switch {
		case flood && took > 0:
			l.rest(max(rest, min(restShare*took, longRest)))
		case time.Since(began) > turn:
			l.rest(rest)
		default:
			continue
		}
		began = time.Now()
	}
}

// rest waits, but not while nobody is there any more to be kept from calling.
func (l *lane) rest(d time.Duration) {
	if l.ctx.Err() != nil {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

// runOne runs a call and reports what it has cost, up to where it may have waited
// and nothing for data, and whether it was overtaken meanwhile, so that another
// goroutine has, or will get, the lane.
func (l *lane) runOne(j job) (took time.Duration, overtaken bool) {
	done := false
	var timer *time.Timer
	began := time.Now()
	j.run(l.ctx, func() {
		if timer != nil {
			return
		}
		took = time.Since(began)
		timer = time.AfterFunc(patience, func() {
			l.all.mu.Lock()
			defer l.all.mu.Unlock()
			if done {
				return
			}
			overtaken = true
			l.slow++
			l.working = false
			l.begin()
		})
	})
	if timer != nil {
		timer.Stop()
	} else {
		took = time.Since(began)
	}
	if j.size >= callOverhead+dataSize {
		took = 0
	}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	done = true
	l.used += took
	l.bytes -= j.size
	l.all.bytes -= j.size
	if j.file {
		l.files--
	}
	if overtaken {
		l.slow--
		l.begin()
		l.dropIfIdle()
	}
	return took, overtaken
}
