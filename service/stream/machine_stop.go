package stream

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func (m *machine) onStop(now time.Time, timeout time.Duration) {
	m.wanted = false
	m.counts = false
	switch m.state {
	case StateStopped, StateFailed:
		// As with systemd, a failed stream stays failed until it is reset.
	case StateRestarting:
		// The delay is cancelled for good.
		if m.group {
			m.then = thenStop
			m.transition(now, StateStopping, ReasonRequested, "")
			m.say(KindStopping, "stopping what the last process left behind")
			if timeout <= 0 {
				timeout = m.def.TimeoutStop
			}
			m.enterTerm(now, timeout)
			return
		}
		m.finish(now, StateStopped, ReasonRequested, "")
	case StateStarting:
		switch m.phase {
		case phaseDeps:
			m.do(actCancelDeps{})
			m.finish(now, StateStopped, ReasonRequested, "")
		case phaseBuild:
			m.do(actCancelBuild{})
			m.finish(now, StateStopped, ReasonRequested, "")
		default:
			m.beginStop(now, thenStop, ReasonRequested, "", timeout, false)
		}
	case StateRunning:
		m.beginStop(now, thenStop, ReasonRequested, "", timeout, false)
	case StateStopping:
		m.then = thenStop
		m.reason = ReasonRequested
		m.shorten(now, timeout)
	case StateZombie:
		m.then = thenStop
	}
}

// beginStop enters the cascade: ask, TERM, kill. stalled quarters the waits:
// what does not deliver has little to finish.
func (m *machine) beginStop(now time.Time, t then, why Reason, text string, timeout time.Duration, stalled bool) {
	if timeout <= 0 {
		timeout = m.def.TimeoutStop
	}
	if stalled {
		timeout /= 4
	}
	m.then, m.thenWhy, m.thenText = t, why, text
	spawning := m.phase == phaseSpawn
	m.stageWait, m.extended = timeout, 0
	m.transition(now, StateStopping, why, text)
	m.say(KindStopping, "stopping: "+orReason(text, why))
	if spawning {
		// The process exists as soon as the shim answers; then it is stopped.
		m.phase = phaseSpawn
		return
	}
	m.firstStage(now)
}

// firstStage: where stdin can end the process, it is asked for half of the
// time and has the other half after TERM; else TERM has all of it.
func (m *machine) firstStage(now time.Time) {
	if !m.canAsk || m.asked {
		m.enterTerm(now, m.stageWait)
		return
	}
	m.stageWait /= 2
	m.asked = true
	m.phase = phaseAsk
	m.grew = false
	m.due = now.Add(m.stageWait)
	m.do(actAsk{})
}

func (m *machine) enterTerm(now time.Time, wait time.Duration) {
	m.phase = phaseTerm
	m.stageWait, m.extended, m.grew = wait, 0, false
	m.due = now.Add(wait)
	if !m.termSent {
		m.termSent = true
		m.do(actTerm{})
	}
}

// nextStage is called when a stage's time is over. While output still grows
// (a +faststart file is being rewritten, say) the stage moves on instead, a
// bounded number of times.
func (m *machine) nextStage(now time.Time) {
	if m.grew && m.extended < maxExtensions && m.phase != phaseKill {
		m.extended++
		m.grew = false
		m.due = now.Add(m.stageWait)
		return
	}
	switch m.phase {
	case phaseAsk:
		m.enterTerm(now, m.stageWait)
	case phaseTerm:
		m.phase = phaseKill
		m.due = now.Add(killWait)
		m.say(KindForced, "did not end in time, killing it")
		m.do(actKill{})
	case phaseKill:
		m.transition(now, StateZombie, ReasonStuck, "killed, but in uninterruptible sleep; followed until it is gone")
		m.due = now.Add(zombieRetry)
		m.say(KindZombie, m.detail)
	}
}

// shorten gives a stop that is under way less time, never more.
func (m *machine) shorten(now time.Time, timeout time.Duration) {
	if timeout <= 0 || m.phase == phaseSpawn || m.phase == phaseKill {
		return
	}
	if d := now.Add(timeout / 2); d.Before(m.due) {
		m.due, m.stageWait = d, timeout/2
	}
	m.extended = maxExtensions
}

// onExited: the main process has ended.
func (m *machine) onExited(now time.Time, x exit) {
	if !m.main {
		return
	}
	m.main, m.pid = false, 0
	if m.state == StateRunning {
		m.forgive(now) // nobody may have been there to do it in time
	}
	m.exitCodes = append(m.exitCodes, x.number())
	if n := len(m.exitCodes) - keptExitCodes; n > 0 {
		m.exitCodes = append([]int(nil), m.exitCodes[n:]...)
	}
	why, text := x.meaning()
	switch m.state {
	case StateStopping, StateZombie:
		// Asked for. The rest of the stream has until the cascade's end.
		m.exit = x
		return
	}
	if m.shimEnds && m.wanted {
		// No failure of the stream: it is started anew by the next shim.
		m.say(KindShimLost, "ended with the shim, which is being stopped: "+text)
		m.counts = true
		m.awaitShim(now)
		return
	}
	m.say(KindExited, "ended unasked: "+text)
	m.exitedUnasked(now, why, text)
}

// exitedUnasked decides at the moment of the exit; a new process waits for
// the rest of the old one all the same.
func (m *machine) exitedUnasked(now time.Time, why Reason, text string) {
	m.adoptNext()
	m.cleanup, m.cleanupDue = 0, now.Add(cleanupWait)
	clean := why == ReasonCleanExit && m.def.Restart != streamfile.RestartAlways
	final := !m.wanted || clean || why.Final() || m.def.Restart == streamfile.RestartNo
	if !final && m.exhausted() {
		final = true
		why, text = m.giveUp(why, text)
	}
	if !final {
		m.retry(now, why, text)
		return
	}
	to := StateFailed
	if clean || !m.wanted {
		to = StateStopped
	}
	m.then, m.thenWhy, m.thenText = thenFinal, why, text
	m.transition(now, StateStopping, why, text)
	if to == StateStopped {
		m.wanted = false
	}
	m.phase = phaseAsk
	m.asked = true
	m.stageWait, m.extended = cleanupWait, maxExtensions
	m.due = now.Add(cleanupWait)
}

// nextCleanup ends what an unasked exit left behind while the delay runs.
func (m *machine) nextCleanup(now time.Time) {
	m.cleanup++
	m.cleanupDue = now.Add(cleanupWait)
	switch m.cleanup {
	case 1:
		if !m.termSent {
			m.termSent = true
			m.do(actTerm{})
		}
	case 2:
		m.say(KindForced, "killing what the last process left behind")
		m.do(actKill{})
	default:
		m.then, m.thenWhy, m.thenText = thenStart, m.reason, m.detail
		m.cleanupDue, m.delay = time.Time{}, m.due
		m.transition(now, StateZombie, ReasonStuck, "what the last process left behind is in uninterruptible sleep; followed until it is gone")
		m.due = now.Add(zombieRetry)
		m.say(KindZombie, m.detail)
	}
}

// onEmpty: nothing of the stream is left.
func (m *machine) onEmpty(now time.Time) {
	if !m.group {
		return
	}
	m.group, m.main, m.pid = false, false, 0
	m.cleanupDue = time.Time{}
	m.do(actForget{})
	switch m.state {
	case StateZombie:
		m.say(KindZombieGone, "the stuck process is gone")
		m.conclude(now)
	case StateStopping:
		m.conclude(now)
	case StateRestarting:
		if !m.due.IsZero() && !now.Before(m.due) { // zero: a shim is waited for
			m.begin(now)
		}
	case StateStopped:
		m.forgetGone()
	}
}

// conclude: the process is gone; what was it stopped for?
func (m *machine) conclude(now time.Time) {
	if !m.wanted && m.then != thenFinal {
		m.then = thenStop
	}
	switch m.then {
	case thenStop:
		m.finish(now, StateStopped, ReasonRequested, m.unclean())
	case thenStart:
		m.counts = !m.fresh
		if now.Before(m.delay) {
			m.due, m.delay = m.delay, time.Time{}
			m.transition(now, StateRestarting, m.thenWhy, m.thenText)
			return
		}
		m.begin(now)
	case thenRetry:
		m.failure(now, m.thenWhy, m.thenText)
	case thenFinal:
		to := StateFailed
		if !m.wanted {
			to = StateStopped
		}
		m.finish(now, to, m.thenWhy, m.thenText)
	}
}

// unclean says what a listener should know of a stop that did not go well.
func (m *machine) unclean() string {
	x := m.exit
	switch {
	case x.killed:
		return "the shim was lost while stopping; its files may be unfinished"
	case x == exit{}, x.signal == int(unix.SIGTERM) && (m.simple() || !m.delivered):
		return ""
	case m.simple() && x.signal == 0:
		return ""
	case !x.unknown && x.signal == 0 && (x.code == 0 || x.code == 255) && (x.ended || !m.delivered):
		return ""
	}
	_, text := x.meaning()
	return text + " while stopping; its files may be unfinished"
}

// onShimLost: the shim and with it every process is gone. The room that
// speaks to the shim has seen to it that nothing is left.
func (m *machine) onShimLost(now time.Time) {
	had, main := m.group || m.phase == phaseSpawn, m.main
	m.shimEnds = false
	m.group, m.main, m.pid, m.cleanupDue = false, false, 0, time.Time{}
	m.child = 0 // the next shim counts from the beginning
	if !had {
		if m.phase == phaseBuild {
			m.do(actCancelBuild{})
			m.awaitShim(now)
		}
		return
	}
	m.say(KindShimLost, "the shim is gone, and the process with it")
	m.do(actForget{})
	switch m.state {
	case StateStopping, StateZombie:
		if m.then == thenStart && m.wanted && !now.Before(m.delay) {
			m.counts = !m.fresh
			m.awaitShim(now)
			return
		}
		if main {
			m.exit = exit{killed: true}
		}
		m.conclude(now)
	case StateStarting, StateRunning:
		m.counts = m.counts || main
		m.awaitShim(now)
	}
}

// awaitShim: as soon as there is a shim again the stream is started. That is
// no failure of the stream, so the back-off is left alone.
func (m *machine) awaitShim(now time.Time) {
	if !m.wanted {
		m.finish(now, StateStopped, ReasonRequested, "")
		return
	}
	m.transition(now, StateRestarting, ReasonShimLost, "waiting for the shim")
	m.due = time.Time{}
}

func (m *machine) onShimBack(now time.Time) {
	if m.state == StateRestarting && m.reason == ReasonShimLost && m.due.IsZero() {
		m.begin(now)
	}
}
