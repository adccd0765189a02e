package stream

import (
	"fmt"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func (m *machine) onStart(now time.Time) {
	if m.bad != "" || m.removed {
		return // what runs with an older definition goes on
	}
	m.wanted = true
	switch m.state {
	case StateStopped, StateFailed:
		m.startOver(now)
	case StateRestarting:
		m.hasten(now)
	case StateStopping, StateZombie:
		m.startThen()
	case StateStarting, StateRunning:
		// It runs: nothing to do.
	}
}

func (m *machine) onRestart(now time.Time, timeout time.Duration) {
	if m.bad != "" || m.removed {
		return
	}
	m.wanted = true
	switch m.state {
	case StateStopped, StateFailed:
		m.startOver(now)
	case StateRestarting:
		m.hasten(now)
	case StateStopping, StateZombie:
		m.startThen()
		m.shorten(now, timeout)
	case StateStarting:
		if m.phase == phaseSpawn || m.phase == phaseLaunched {
			m.beginStop(now, thenStart, ReasonRequested, "restart requested", timeout, false)
		}
	case StateRunning:
		m.beginStop(now, thenStart, ReasonRequested, "restart requested", timeout, false)
	}
}

// startOver starts a stream that was at rest. Where a stray is being ended that
// comes first.
func (m *machine) startOver(now time.Time) {
	m.failures = 0
	m.fresh, m.counts = true, false
	if m.group {
		m.then = thenStart
		m.awaitKilled(now, ReasonRequested, "")
		return
	}
	m.begin(now)
}

// startThen has the stream started once the old process is gone. After a stop
// or a final failure that is a start, not a restart.
func (m *machine) startThen() {
	switch m.then {
	case thenStop:
		m.fresh = true
	case thenFinal:
		m.fresh, m.failures = true, 0
	}
	m.then, m.delay = thenStart, time.Time{}
}

// hasten ends the wait for a restart, but never the wait for an old process.
func (m *machine) hasten(now time.Time) {
	m.due = now
	if !m.group {
		m.begin(now)
	}
}

// begin starts the stream. Nothing of an earlier process is left.
func (m *machine) begin(now time.Time) {
	m.adoptNext()
	if m.def == nil {
		m.transition(now, StateFailed, ReasonBadSetting, m.bad)
		return
	}
	m.attempts++
	why := m.reason
	if m.fresh {
		why = ReasonRequested
	}
	m.transition(now, StateStarting, why, "")
	m.due, m.cleanupDue, m.delay = time.Time{}, time.Time{}, time.Time{}
	m.noReader, m.tooSlow, m.diskFull, m.stallLogged = false, ReasonNone, "", false
	m.delivered, m.okSince, m.graceUntil = false, time.Time{}, time.Time{}
	m.exit = exit{}
	m.say(KindStarting, "starting")
	if m.fresh && len(m.def.After)+len(m.def.Requires) > 0 {
		m.phase = phaseDeps
		m.do(actDeps{})
		return
	}
	m.build()
}

func (m *machine) build() {
	m.fresh = false
	if m.builder || len(m.def.CommandBuilder.Words) > 0 {
		m.phase = phaseBuild
		m.do(actBuild{})
		return
	}
	m.phase = phaseSpawn
	m.do(actSpawn{})
}

// adoptNext puts the newest definition in force: at any start, automatic too.
func (m *machine) adoptNext() {
	if m.next != nil {
		m.def, m.next = m.next, nil
	}
}

func (m *machine) onDeps(now time.Time, ev evDeps) {
	if m.state != StateStarting || m.phase != phaseDeps {
		return
	}
	if ev.failed != "" {
		m.failure(now, ReasonRequiresFailed, ev.detail)
		m.fresh = true // the next attempt asks again
		return
	}
	m.build()
}

func (m *machine) onBuilt(now time.Time, ev evBuilt) {
	if m.state != StateStarting || m.phase != phaseBuild {
		return
	}
	switch ev.reason {
	case ReasonNone:
	case ReasonShimLost:
		m.awaitShim(now)
		return
	default:
		m.failure(now, ev.reason, ev.detail)
		return
	}
	m.phase = phaseSpawn
	m.do(actSpawn{})
}

func (m *machine) onSpawned(now time.Time, ev evSpawned) {
	if m.phase != phaseSpawn {
		return
	}
	m.pid, m.child, m.main, m.group = ev.pid, ev.child, true, true
	started := ev.started
	if started.IsZero() {
		started = now
	}
	m.started, m.lastActivity = started, started
	m.termSent, m.asked, m.canAsk, m.interrupted = ev.termed, false, ev.canAsk, false
	m.fed = !ev.waits
	m.live, m.since, m.moved = ffmpeg.Liveness{}, started, time.Time{}
	m.say(KindStarted, fmt.Sprintf("started, pid %d", ev.pid))
	if m.counts {
		m.restarts++
		m.lastRestart = started
		m.do(actRestarted{})
	}
	m.counts = false
	if m.state == StateStopping {
		m.firstStage(now)
		return
	}
	m.phase = phaseLaunched
	if !m.fed && !m.simple() {
		m.detail = awaitsData
	}
	if m.simple() {
		m.transition(now, StateRunning, ReasonNone, "")
	}
}

func (m *machine) onSpawnFailed(now time.Time, ev evSpawnFailed) {
	if m.phase != phaseSpawn {
		return
	}
	if m.state == StateStopping {
		m.conclude(now)
		return
	}
	if ev.reason == ReasonShimLost || m.shimEnds {
		m.awaitShim(now)
		return
	}
	m.failure(now, ev.reason, ev.detail)
}

// failure is an attempt or a run that ended otherwise than asked for, and
// nothing of it is left: what now?
func (m *machine) failure(now time.Time, why Reason, text string) {
	m.adoptNext()
	switch {
	case !m.wanted:
		m.finish(now, StateStopped, ReasonRequested, "")
	case why.Final():
		m.finish(now, StateFailed, why, text)
	case m.def.Restart == streamfile.RestartNo:
		m.finish(now, StateFailed, why, text)
	case m.exhausted():
		why, text = m.giveUp(why, text)
		m.finish(now, StateFailed, why, text)
	default:
		m.retry(now, why, text)
	}
}

// exhausted: one more failure is final.
func (m *machine) exhausted() bool {
	limit := m.def.RestartMaxAttempts
	return limit >= 0 && m.failures+1 > limit
}

// giveUp counts that failure and says what it means.
func (m *machine) giveUp(why Reason, text string) (Reason, string) {
	m.failures++
	return ReasonRestartLimit, fmt.Sprintf("gave up after %d restarts without a healthy run; last: %s",
		m.def.RestartMaxAttempts, orReason(text, why))
}

// retry waits out the back-off.
func (m *machine) retry(now time.Time, why Reason, text string) {
	m.lastFailure = orReason(text, why)
	m.failures++
	delay := backoff(m.def, m.failures, m.random())
	m.transition(now, StateRestarting, why, text)
	m.due = now.Add(delay)
	m.counts = true
	m.say(KindRestarting, fmt.Sprintf("restarting in %s (failure %d): %s", seconds(delay), m.failures, orReason(text, why)))
}

// finish is the end of all attempts: stopped or failed.
func (m *machine) finish(now time.Time, to State, why Reason, text string) {
	m.due, m.cleanupDue, m.delay = time.Time{}, time.Time{}, time.Time{}
	m.counts = false
	m.transition(now, to, why, text)
	switch to {
	case StateFailed:
		m.say(KindFailed, "failed: "+orReason(text, why))
		m.do(actFailed{})
	default:
		m.wanted = false
		m.say(KindStopped, "stopped: "+orReason(text, why))
	}
	if m.gone && to == StateStopped {
		m.removed = true
	}
	if m.removed {
		m.do(actRemoved{})
	}
}

func (m *machine) onResetFailed(now time.Time) {
	m.failures = 0
	if m.state == StateFailed && m.def != nil && m.bad == "" {
		m.wanted = false
		m.transition(now, StateStopped, ReasonRequested, "")
		m.forgetGone()
	}
}

// onGone: there is no file any more, as nobody has said by a reload.
func (m *machine) onGone() {
	m.gone = true
	m.say(KindChanged, "its file is gone; it goes on until it is stopped, or the next reload")
	m.forgetGone()
}

// forgetGone ends a stream that has stopped and has no file to come back from.
func (m *machine) forgetGone() {
	if m.gone && m.state == StateStopped && !m.group {
		m.removed = true
		m.do(actRemoved{})
	}
}

// onReload takes a new definition, or the news that the files are broken.
// What runs is left alone.
func (m *machine) onReload(now time.Time, ev evReload) {
	if ev.def == nil {
		m.bad = ev.bad
		if m.def == nil && m.state == StateFailed {
			m.detail = ev.bad
		}
		m.say(KindBadSetting, ev.bad)
		return
	}
	m.bad, m.gone = "", false
	wasBroken := m.def == nil
	m.next = ev.def
	switch m.state {
	case StateStopped, StateFailed, StateRestarting:
		m.adoptNext()
	case StateStarting, StateRunning, StateStopping, StateZombie:
		m.say(KindChanged, "definition changed; in force from the next start on")
	}
	if m.state == StateFailed && m.reason == ReasonBadSetting {
		m.transition(now, StateStopped, ReasonNone, "")
		// As long as nobody could read it, it was taken for Autostart=yes.
		m.wanted = m.wanted && (!wasBroken || m.def.Autostart)
		if m.wanted {
			m.onStart(now)
		}
	}
}

// onRemove: the file is gone, so the stream is stopped and then forgotten.
func (m *machine) onRemove(now time.Time) {
	m.removed = true
	m.say(KindRemoved, "file is gone")
	m.onStop(now, 0)
	if m.state == StateStopped || m.state == StateFailed {
		m.do(actRemoved{})
	}
}
