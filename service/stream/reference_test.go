package stream

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// The reference says what a keeper must do with a stream, over any number of
// keepers, from nothing but the documentation: what is wanted, what may run,
// when the next start is due. It knows nothing of the machine and its phases.
//
// What a killed keeper had been doing may count or not, so the reference is
// the set of all that may be true (possible). What is seen narrows it down,
// and none left is a fault.

// ending is why a process is being ended.
type ending int

const (
	endNot   ending = iota
	endStop         // it is to be stopped
	endAgain        // a restart was asked for
	endStall        // it does not deliver: a failure once it is gone
	endRest         // its main process has ended for good; what is left goes
)

// possible is one thing that may be true of the stream.
type possible struct {
	wanted, failed bool
	rest           bool // nothing is to happen by itself: stopped or failed
	asked          bool // a process has been asked for
	main, group    bool
	end            ending
	lost           bool // the next start is for want of a shim, and waits for it

	failures, restarts int
	counts             bool      // the next process is a restart
	again              bool      // the one after what is being ended is
	due                time.Time // of the next start, where there is neither process nor rest
	started, left      time.Time // of the main process: its start and its end
	okFrom, okAt       time.Time // between which the run became ok; zero: it is not; okAt far: not certain
	codes              [keptExitCodes]int
	exits              int
}

type reference struct {
	def    *streamfile.Definition
	all    map[possible]bool
	bad    bool      // its file is broken
	block  time.Time // when the process last delivered; zero: never
	taken  time.Time // when the newest keeper took over
	byHand bool      // somebody is sending a signal by hand
	fault  string
}

var never = time.Unix(1<<40, 0)

func newReference(def *streamfile.Definition) *reference {
	return &reference{def: def, all: map[possible]bool{{rest: true}: true}}
}

// each replaces every possibility by those that f answers.
func (r *reference) each(what string, f func(p possible) []possible) {
	if r.fault != "" {
		return
	}
	next := map[possible]bool{}
	for p := range r.all {
		for _, q := range f(p) {
			next[q] = true
		}
	}
	if len(next) == 0 {
		r.fault = fmt.Sprintf("%s cannot be; possible was %s", what, r)
	}
	r.all = next
}

func (r *reference) String() string {
	out := ""
	for p := range r.all {
		out += "\n\t" + p.String()
	}
	return out
}

func (p possible) String() string {
	at := func(t time.Time) string {
		switch {
		case t.IsZero():
			return "-"
		case t == never:
			return "never"
		}
		return t.Format("15:04:05.000")
	}
	return fmt.Sprintf("wanted %v failed %v rest %v asked %v main %v group %v end %d lost %v failures %d restarts %d counts %v again %v due %s started %s ok %s..%s exits %d %v",
		p.wanted, p.failed, p.rest, p.asked, p.main, p.group, p.end, p.lost, p.failures, p.restarts, p.counts, p.again,
		at(p.due), at(p.started), at(p.okFrom), at(p.okAt), p.exits, p.codes)
}

func one(p possible) []possible { return []possible{p} }

// delay is the documented formula: min(RestartSec x Factor^(n-1), max).
func (r *reference) delay(n int) time.Duration {
	d := r.def.RestartSec.Seconds() * math.Pow(r.def.RestartFactor, float64(n-1))
	return time.Duration(min(d, r.def.RestartMaxDelay.Seconds()) * float64(time.Second))
}

// atRest ends all attempts.
func (p possible) atRest(failed bool) possible {
	p.rest, p.failed, p.counts, p.end, p.due, p.lost = true, failed, false, endNot, time.Time{}, false
	p.wanted = p.wanted && failed
	return p
}

// failure counts one, at a time from which the delay runs.
func (r *reference) failure(p possible, at time.Time) possible {
	p.end = endNot
	switch limit := r.def.RestartMaxAttempts; {
	case !p.wanted:
		return p.atRest(false)
	case r.def.Restart == streamfile.RestartNo:
		return p.atRest(true)
	case limit >= 0 && p.failures+1 > limit:
		p.failures++
		return p.atRest(true)
	}
	p.failures++
	p.due, p.counts = at.Add(r.delay(p.failures)), true
	return p
}

// start, stop, restart and reset are what people ask for.
func (r *reference) start(p possible, now time.Time) possible {
	if r.bad {
		return p
	}
	p.wanted = true
	switch {
	case p.rest:
		p.failures, p.counts, p.rest, p.failed, p.due = 0, false, false, false, now
	case p.end == endStop:
		p.end, p.again = endAgain, false
	case p.end == endRest:
		p.end, p.again, p.failures = endAgain, false, 0
	case p.end == endStall:
		p.end, p.again = endAgain, true
	case p.end == endNot && !p.asked && !p.main:
		p.due, p.lost = now, false
	}
	return p
}

func (r *reference) restart(p possible, now time.Time) possible {
	if !r.bad && p.end == endNot && (p.asked || p.main) {
		p.wanted, p.end, p.again = true, endAgain, true
		return p
	}
	return r.start(p, now)
}

func (r *reference) stop(p possible, _ time.Time) possible {
	p.wanted, p.counts = false, false
	switch {
	case p.rest:
	case p.asked || p.group:
		p.end, p.due = endStop, time.Time{}
	default:
		return p.atRest(false)
	}
	return p
}

func (r *reference) reset(p possible, _ time.Time) possible {
	p.failures = 0
	if p.failed && p.rest && !r.bad {
		p.failed, p.wanted = false, false
	}
	return p
}

// forgive: a run that was ok for RestartResetSec= has no failures; between
// okFrom and okAt nobody knows since when it was.
func (r *reference) forgive(p possible, now time.Time) []possible {
	forgiven := p
	forgiven.failures = 0
	switch {
	case !p.main || p.end != endNot || p.okFrom.IsZero() || now.Sub(p.okFrom) < r.def.RestartReset:
		return one(p)
	case now.Sub(p.okAt) >= r.def.RestartReset:
		return one(forgiven)
	}
	return []possible{p, forgiven}
}

// What happens to the processes, as the shim sees it.

func (r *reference) spawnAsked(now time.Time, lost bool) {
	r.each("a start", func(p possible) []possible {
		if lost && p.lost {
			return one(p) // it may ask once too often
		}
		if p.rest || !p.wanted || p.asked || p.group || p.lost || p.end != endNot || now.Before(p.due) {
			return nil
		}
		p.asked, p.lost = !lost, lost
		return one(p)
	})
}

func (r *reference) spawned(now time.Time) {
	r.block = time.Time{}
	r.each("a process", func(p possible) []possible {
		if !p.asked {
			return nil
		}
		p.asked, p.main, p.group, p.due, p.started = false, true, true, time.Time{}, now
		p.okFrom, p.okAt = time.Time{}, time.Time{}
		if r.def.Type == streamfile.TypeSimple {
			p.okFrom, p.okAt = now, now
		}
		if p.counts {
			p.restarts++
		}
		p.counts = false
		return one(p)
	})
}

// refused: the shim could not start it; sure says that the keeper heard of it.
func (r *reference) refused(now time.Time, sure bool) {
	r.each("a refusal", func(p possible) []possible {
		if !p.asked {
			return nil
		}
		p.asked = false
		again := p // by the next keeper
		again.due = now
		switch p.end {
		case endNot:
			p = r.failure(p, now)
		case endAgain:
			p.end, p.due, p.counts = endNot, now, p.again
			again = p
		default:
			p = p.atRest(false)
			again = p
		}
		if sure {
			return one(p)
		}
		return []possible{p, again}
	})
}

// ended: TERM or KILL was sent to a process of which the main one lives.
func (r *reference) ended(now time.Time) {
	r.each("an end of what was not to end", func(p possible) []possible {
		if p.main && p.end == endNot && !r.byHand {
			if !r.stalled(p, now) {
				return nil
			}
			// It was ok for a while, how long an absent keeper cannot say.
			was := r.forgive(p, now)
			if r.taken.After(r.block) {
				was = append(was, p)
			}
			for i := range was {
				was[i].end = endStall
			}
			return was
		}
		return one(p)
	})
}

// stalled: nothing has come out of it for so long that it may be ended.
func (r *reference) stalled(p possible, now time.Time) bool {
	if r.def.Type == streamfile.TypeSimple {
		return false
	}
	since, patience := p.started, r.def.TimeoutStart
	if !r.block.IsZero() {
		since = r.block
		if p.okAt.Before(never) {
			patience = r.def.ActivityTimeout
		}
	}
	return now.Sub(since) >= patience
}

func (r *reference) exited(now time.Time, code int, sure bool) {
	r.each("an exit", func(p possible) []possible {
		if !p.main {
			return nil
		}
		var out []possible
		was := r.forgive(p, now)
		if !sure {
			was = append(was, p)
		}
		for _, p := range was {
			p.main, p.left = false, now
			copy(p.codes[:], p.codes[1:])
			p.codes[keptExitCodes-1] = code
			p.exits++
			if p.end == endNot {
				p = r.unasked(p, now, code)
			}
			out = append(out, p)
		}
		return out
	})
}

// unasked: the delay begins at the exit, whatever is left of the process.
func (r *reference) unasked(p possible, now time.Time, code int) possible {
	clean := code == 0 && r.def.Restart != streamfile.RestartAlways
	if clean {
		p.wanted = false
	} else if p = r.failure(p, now); !p.rest {
		return p
	}
	p.rest, p.end = false, endRest
	return p
}

// empty: nothing is left. A keeper that was not there knows of the end of the
// main process only.
func (r *reference) empty(now time.Time, sure bool) {
	r.each("the end of everything", func(p possible) []possible {
		if !p.group {
			return nil
		}
		p.group, p.main = false, false
		switch p.end {
		case endStop:
			p = p.atRest(false)
		case endRest:
			p = p.atRest(p.wanted)
		case endAgain:
			p.end, p.due, p.counts = endNot, now, p.again
		case endStall:
			early := r.failure(p, p.left)
			p = r.failure(p, now)
			if !sure {
				return []possible{p, early}
			}
		}
		return one(p)
	})
}

// shimLost: every process is gone, without an exit.
func (r *reference) shimLost(now time.Time) {
	r.each("a lost shim", func(p possible) []possible {
		had, main, asked := p.group || p.asked, p.main, p.asked
		p.group, p.main, p.asked = false, false, false
		switch {
		case !had:
		case p.end == endStop:
			p = p.atRest(false)
		case p.end == endRest:
			p = p.atRest(p.wanted)
		case p.end == endAgain:
			p.end, p.lost, p.counts = endNot, true, p.again
		case p.end == endStall:
			p = r.failure(p, now)
		case main || asked:
			p.lost, p.counts = true, p.counts || main
		case !now.Before(p.due):
			waits := p // for what is left to go, or for the shim by now
			waits.lost = true
			return []possible{p, waits}
		}
		return one(p)
	})
}

func (r *reference) shimBack(now time.Time) {
	r.each("a new shim", func(p possible) []possible {
		if p.lost {
			p.lost, p.due = false, now
		}
		return one(p)
	})
}

// delivered: something came out of the process. sure: a keeper has seen it and
// written it down.
func (r *reference) delivered(now time.Time, sure bool) {
	r.block = now
	r.each("a block", func(p possible) []possible {
		if !p.main || p.end != endNot {
			return one(p)
		}
		if p.okFrom.IsZero() {
			p.okFrom, p.okAt = now, never
		}
		if sure && p.okAt == never {
			p.okAt = now
		}
		return one(p)
	})
}

// died: what the keeper was doing when it was killed may have been written
// down or not. since is when that became possible.
func (r *reference) died(now, since time.Time) {
	r.each("a death", func(p possible) []possible {
		if !p.okFrom.IsZero() && !p.okFrom.Before(since) && r.def.Type != streamfile.TypeSimple {
			p.okAt = never
		}
		out := append(r.forgive(p, now), p)
		if p.main && p.end == endNot && r.stalled(p, now) {
			for _, q := range slices.Clone(out) {
				q.end = endStall
				out = append(out, q)
			}
		}
		return out
	})
}

// forgotten: nothing is known any more, as where there is a new shim and a new
// keeper.
func (r *reference) forgotten() {
	r.all = map[possible]bool{{rest: true}: true}
}

// seen narrows down what is possible to what a keeper shows at a moment of
// peace. shim says that there is one.
func (r *reference) seen(now time.Time, s *Snapshot, shim bool) {
	var whys []string
	r.each("this", func(p possible) []possible {
		var out []possible
		may := r.forgive(p, now)
		if p.main && p.end == endNot && r.stalled(p, now) {
			// It is being ended by a TERM that somebody has sent by hand.
			for _, q := range slices.Clone(may) {
				q.end = endStall
				may = append(may, q)
			}
		}
		for _, p := range may {
			if why := r.unlike(p, now, s, shim); why != "" {
				whys = append(whys, why)
				continue
			}
			out = append(out, p)
		}
		return out
	})
	if r.fault != "" {
		r.fault += fmt.Sprintf("\n%q\n%s", whys, s.looks())
	}
}

// unlike says how s contradicts p; "": not.
func (r *reference) unlike(p possible, now time.Time, s *Snapshot, shim bool) string {
	n := min(p.exits, keptExitCodes)
	codes := p.codes[keptExitCodes-n:]
	late := latest(latest(p.started, r.block), r.taken)
	var states []State
	switch {
	case p.rest && p.failed:
		states = []State{StateFailed}
	case p.rest:
		states = []State{StateStopped}
	case p.end != endNot:
		states = []State{StateStopping, StateZombie}
	case p.asked:
		states = []State{StateStarting}
	case p.main:
		states = []State{StateStarting, StateRunning}
		if r.def.Type == streamfile.TypeSimple {
			states = states[1:]
		} else if now.Sub(late) > r.def.ActivityTimeout+maxGrace {
			return "a stall that nobody has seen"
		}
	case p.group:
		states = []State{StateRestarting, StateZombie}
	default:
		states = []State{StateRestarting}
		if shim && (p.lost || !now.Before(p.due)) {
			return "a start that is due, and nobody has asked for it"
		}
	}
	switch {
	case !slices.Contains(states, s.State):
		return fmt.Sprintf("state %s, want %s", s.State, states)
	case s.Wanted != p.wanted:
		return fmt.Sprintf("wanted %v", s.Wanted)
	case s.RestartCount != p.restarts:
		return fmt.Sprintf("%d restarts, want %d", s.RestartCount, p.restarts)
	case s.ConsecutiveFailures != p.failures:
		return fmt.Sprintf("%d failures, want %d", s.ConsecutiveFailures, p.failures)
	case !slices.Equal(s.ExitCodes, codes):
		return fmt.Sprintf("exit codes %d, want %d", s.ExitCodes, codes)
	case (s.PID != 0) != p.main:
		return fmt.Sprintf("pid %d", s.PID)
	case s.State == StateRestarting && !p.lost && !s.NextRestart.Equal(p.due):
		return fmt.Sprintf("next start at %s, want %s", s.NextRestart, p.due)
	}
	return ""
}

// fork is what may be true if something may have been done or not.
func (r *reference) fork(f func(possible, time.Time) possible, now time.Time, sure bool) {
	before := maps.Clone(r.all)
	r.each("a call", func(p possible) []possible { return one(f(p, now)) })
	if !sure {
		maps.Copy(r.all, before)
	}
}
