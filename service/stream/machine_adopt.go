package stream

import (
	"fmt"
	"time"
)

// onAdopted: the machine is as an earlier keeper left it, and this is what the
// shim holds of the stream. What that keeper had begun and not seen the end of
// is done again where that does no harm, and never where it would: no second
// process, no second TERM.
func (m *machine) onAdopted(now time.Time, ev evAdopted) {
	switch {
	case !ev.held:
		m.adoptNothing(now)
	case m.phase == phaseSpawn && !m.group && m.child != ev.child:
		m.adoptStarted(now, ev)
	case m.group && m.child == ev.child:
		m.adoptKnown(now, ev)
	default:
		m.adoptStray(now, ev)
	}
}

// adoptStarted: the earlier keeper had asked for the process and did not live
// to hear the answer, or to write it down.
func (m *machine) adoptStarted(now time.Time, ev evAdopted) {
	m.say(KindAdopted, fmt.Sprintf("taken over while it was being started, pid %d", ev.pid))
	m.onSpawned(now, evSpawned{
		pid: ev.pid, child: ev.child, canAsk: ev.canAsk, waits: ev.waits, started: ev.started, termed: ev.termed,
	})
	if m.state == StateRunning {
		m.okSince = ev.started
	}
	if ev.unknown {
		m.since = now // whether it has delivered long since nobody knows
	}
	m.onGrace(now)
}

// adoptKnown: the process is the one that the earlier keeper left word of. What
// has been sent to it the shim knows best.
func (m *machine) adoptKnown(now time.Time, ev evAdopted) {
	m.say(KindAdopted, adoptedText(m, now))
	m.canAsk = ev.canAsk
	sent := m.termSent
	m.termSent = ev.termed || m.interrupted
	lost := sent && !m.termSent
	switch m.state {
	case StateStopping:
		m.resumeStop(now, lost, ev.killing)
	case StateRestarting:
		m.resumeCleanup(now, lost, ev.killing)
	case StateStopped, StateFailed, StateZombie:
		if !ev.killing {
			m.do(actKill{})
		}
	}
	if m.delivered && m.moved.IsZero() {
		m.moved = now // what moved has not been written down; it is judged from now on
	}
	m.onGrace(now)
}

// resumeStop goes on with a stage of stopping; lost: its TERM was never sent.
func (m *machine) resumeStop(now time.Time, lost, killing bool) {
	switch m.phase {
	case phaseAsk:
		m.anew(now)
		if m.main && m.asked {
			m.do(actAsk{}) // perhaps for the second time: that does no harm
		}
	case phaseTerm:
		if lost {
			m.enterTerm(now, m.stageWait)
		}
		m.anew(now)
	case phaseKill:
		if !killing {
			m.do(actKill{})
			m.due = now.Add(killWait)
		}
	}
}

// anew begins a stage of stopping anew: nobody has watched meanwhile whether
// the output grew.
func (m *machine) anew(now time.Time) {
	m.grew = false
	m.due = now.Add(m.stageWait)
}

// resumeCleanup goes on with ending what an unasked exit left behind.
func (m *machine) resumeCleanup(now time.Time, lost, killing bool) {
	switch {
	case m.cleanup == 1 && lost:
		m.termSent = true
		m.do(actTerm{})
	case m.cleanup >= 2 && !killing:
		m.do(actKill{})
	default:
		return
	}
	m.cleanupDue = now.Add(cleanupWait)
}

func adoptedText(m *machine, now time.Time) string {
	if m.pid == 0 {
		return "taken over while what the last process left behind was being ended"
	}
	return fmt.Sprintf("taken over from an earlier keeper, pid %d, running for %s", m.pid, seconds(now.Sub(m.started)))
}

// adoptNothing: no process of the stream is there.
func (m *machine) adoptNothing(now time.Time) {
	switch {
	case m.group:
		// The shim hands over every exit that was not acknowledged, so this
		// is another shim: the process has gone with the old one.
		m.onShimLost(now)
		m.onShimBack(now)
	case m.state == StateStarting:
		m.begin(now) // what was under way begins anew
	case m.state == StateStopping, m.state == StateZombie:
		m.conclude(now)
	case m.state == StateRunning:
		m.awaitShim(now)
		m.onShimBack(now)
	default:
		m.onShimBack(now) // it may have waited for one
	}
}

// adoptStray: something of the stream runs that the earlier keeper did not
// speak of. It is ended before anything else, for no stream runs twice, and is
// no run of the stream: it counts for nothing.
func (m *machine) adoptStray(now time.Time, ev evAdopted) {
	m.say(KindForced, fmt.Sprintf("killing process %d, of which the earlier keeper left no word", ev.pid))
	m.pid, m.child, m.main, m.group, m.started = 0, ev.child, false, true, ev.started
	m.termSent, m.asked, m.interrupted = ev.termed, true, false
	m.do(actKill{})
	switch m.state {
	case StateStopped, StateFailed:
		// A start waits for its end: see startOver.
	case StateRestarting:
		m.cleanup, m.cleanupDue = 2, now.Add(cleanupWait)
	case StateStarting, StateRunning:
		m.then = thenStop
		if m.wanted {
			m.then, m.fresh = thenStart, true
		}
		m.awaitKilled(now, ReasonRequested, "")
	case StateStopping, StateZombie:
		m.awaitKilled(now, m.reason, m.detail)
	}
}

// awaitKilled: what is there has been killed; when it is gone m.then follows.
func (m *machine) awaitKilled(now time.Time, why Reason, text string) {
	m.cleanupDue = time.Time{}
	m.transition(now, StateStopping, why, text)
	m.phase = phaseKill
	m.due = now.Add(killWait)
}
