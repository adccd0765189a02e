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
	if !ev.held {
		m.adoptNothing(now)
		return
	}
	switch {
	case m.phase == phaseSpawn && !m.group:
		// The keeper had asked for it and did not live to hear the answer.
		m.say(KindAdopted, fmt.Sprintf("taken over while it was being started, pid %d", ev.pid))
		m.onSpawned(ev.started, evSpawned{pid: ev.pid, child: ev.child, canAsk: ev.canAsk, waits: ev.waits})
	case m.group && m.child == ev.child:
		m.canAsk = ev.canAsk
		m.say(KindAdopted, adoptedText(m, now))
	default:
		m.adoptStray(now, ev)
		return
	}
	// The shim knows best what has been sent.
	sent := m.termSent
	m.termSent = ev.termed
	switch {
	case m.state == StateStopping && m.phase == phaseAsk:
		m.anew(now)
		if m.main && m.asked {
			m.do(actAsk{}) // perhaps for the second time: that does no harm
		}
	case m.state == StateStopping && m.phase == phaseTerm:
		if sent && !ev.termed {
			m.enterTerm(now, m.stageWait)
		}
		m.anew(now)
	case m.state == StateStopping && m.phase == phaseKill && !ev.killing:
		m.do(actKill{})
		m.due = now.Add(killWait)
	}
	m.onGrace(now)
}

// anew begins a stage of stopping anew: nobody has watched meanwhile whether
// the output grew.
func (m *machine) anew(now time.Time) {
	m.grew = false
	m.due = now.Add(m.stageWait)
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
// speak of. It is ended before anything else, for no stream runs twice.
func (m *machine) adoptStray(now time.Time, ev evAdopted) {
	m.say(KindForced, fmt.Sprintf("killing process %d, of which the earlier keeper left no word", ev.pid))
	m.pid, m.child, m.main, m.group, m.started = ev.pid, ev.child, true, true, ev.started
	m.termSent, m.asked = ev.termed, true
	m.then = thenStop
	if m.wanted {
		m.then, m.fresh = thenStart, true
	}
	m.cleanupDue = time.Time{}
	m.transition(now, StateStopping, ReasonRequested, "")
	m.phase = phaseKill
	m.due = now.Add(killWait)
	m.do(actKill{})
}
