package procmon

import "time"

// look is one process as a sample found it.
type look struct {
	pid, ppid int
	start     uint64        // ticks since boot
	age       time.Duration // only of one that is new to us
	self      time.Duration // CPU time of its threads
	reaped    time.Duration // CPU time of the children it has waited for
	owed      time.Duration // of reaped still to come, counted already
	threads   threads
}

// account adds up the CPU time of a tree of processes whose members come and
// go. Between two samples a process
//   - goes on: it adds what it has used since;
//   - comes: it adds all that it has used;
//   - ends: its parent, having waited for it, has its whole time among
//     "reaped", of which the part that was counted already must not count
//     twice. What nobody of the tree has waited for is lost, less than an
//     interval of it.
type account struct {
	total time.Duration
	known map[int]look // by the sample before
	spare map[int]look
}

// update takes a sample made elapsed after the one before and answers how
// much of what it adds to total was used in that time.
func (a *account) update(looks []look, elapsed time.Duration) (recent time.Duration) {
	now := a.spare
	if now == nil {
		now = make(map[int]look, 1)
	}
	clear(now)
	for _, l := range looks {
		now[l.pid] = l
	}
	counted := a.countedOfEnded(now)
	for pid, l := range now {
		old, known := a.known[pid]
		if known && old.start == l.start {
			reaped := max(0, l.reaped-old.reaped)
			used := max(0, l.self-old.self) + max(0, reaped-old.owed-counted[pid])
			a.total += used
			recent += used
			// A parent is read before its children are missed: one that it
			// waited for in between is in what it reaped only the next time.
			// And user and system time are rounded down, so that a tick of
			// each may show at any time later.
			left := max(0, old.owed+counted[pid]-reaped)
			l.owed = min(left, max(counted[pid], 2*tick))
			now[pid] = l
			continue
		}
		used := l.self + l.reaped
		a.total += used
		if l.age > elapsed && elapsed > 0 {
			// Older than the interval, yet not seen before: spread over its
			// life, or one late find would look like a thousand percent.
			used = time.Duration(float64(used) * float64(elapsed) / float64(l.age))
		}
		recent += used
	}
	a.known, a.spare = now, a.known
	return recent
}

// countedOfEnded answers, by the nearest ancestor that is still there, how
// much time of ended processes is in total already.
func (a *account) countedOfEnded(now map[int]look) map[int]time.Duration {
	var counted map[int]time.Duration
	for _, old := range a.known {
		if alive(now, old) {
			continue
		}
		up, known := a.known[old.ppid]
		// Bounded, for pids used again might form a ring.
		for n := len(a.known); known && n > 0 && !alive(now, up); n-- {
			up, known = a.known[up.ppid]
		}
		if known && alive(now, up) {
			if counted == nil {
				counted = make(map[int]time.Duration)
			}
			counted[up.pid] += old.self + old.reaped
		}
	}
	return counted
}

func alive(now map[int]look, l look) bool {
	n, ok := now[l.pid]
	return ok && n.start == l.start
}
