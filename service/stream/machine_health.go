package stream

import (
	"fmt"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func (m *machine) simple() bool { return m.def != nil && m.def.Type == streamfile.TypeSimple }

func (m *machine) onBlock(now time.Time, ev evBlock) {
	switch {
	case !ev.slow:
		m.tooSlow = ReasonNone
	case m.tooSlow == ReasonNone:
		m.slowBy = m.hindered
		m.tooSlow = m.slowBy.reason()
	}
	if !m.live.Feed(ev.block, now).Any() {
		return
	}
	m.moved, m.lastActivity = now, now
	m.stallLogged = false
	if !m.delivered && m.main {
		m.delivered = true
		m.say(KindDelivering, "delivers")
		if m.state == StateStarting && m.phase == phaseLaunched {
			m.transition(now, StateRunning, ReasonNone, "")
		}
	}
}

func (m *machine) onOutput(now time.Time) {
	m.lastActivity = now
	if m.simple() {
		m.moved, m.delivered, m.stallLogged = now, true, false
	}
}

// awaitsData is the detail of a start that cannot go on without a client.
const awaitsData = "waits for a client to bring data for its stdin"

// onFed: a stream that reads its data from a client cannot deliver before
// one has come, so its start time-out runs from then.
func (m *machine) onFed(now time.Time) {
	if !m.fed {
		m.fed = true
		m.since = now
		if m.state == StateStarting && m.detail == awaitsData {
			m.detail = ""
		}
	}
}

// outputStuck is how long nothing may move before a full stdout is taken for
// one without a reader: three progress blocks.
const outputStuck = 3 * time.Second

func (m *machine) onSample(now time.Time, ev evSample) {
	// A reader that sets the pace leaves the pipe full as well; but then the
	// stream delivers.
	stuck := outputStuck
	if t := m.def.ActivityTimeout; t > 0 {
		stuck = min(stuck, t) // or a stall would be called first
	}
	if !m.moved.IsZero() && now.Sub(m.moved) < stuck {
		ev.noReader = false
	}
	switch {
	case !m.noReader && ev.noReader:
		m.noReaderAt = now
	case m.noReader && !ev.noReader:
		// What waited for a reader gets its full time again.
		m.live.Excuse(now.Sub(m.noReaderAt))
		m.since = now
		if !m.moved.IsZero() {
			m.moved = now
		}
	}
	m.noReader, m.diskFull = ev.noReader, ev.full
	m.hindered = ev.hindered
	// Another figure for the same cause is not worth a signal.
	if m.tooSlow != ReasonNone && (m.slowBy.by != ev.hindered.by || m.tooSlow != ev.hindered.reason()) {
		m.slowBy = ev.hindered
		m.tooSlow = m.slowBy.reason()
	}
}

// onGrace: the host slept, or the keeper did not get the processor. What did
// not arrive meanwhile proves nothing, so verdicts wait for one more time-out,
// bounded for the case that this goes on for ever.
func (m *machine) onGrace(now time.Time) {
	until := now.Add(min(m.patience(), maxGrace))
	last := m.moved
	if last.IsZero() {
		last = m.since
	}
	if limit := last.Add(m.patience() + maxGrace); until.After(limit) {
		until = limit
	}
	if until.After(m.graceUntil) {
		m.graceUntil = until
	}
}

// patience is the time-out now in force.
func (m *machine) patience() time.Duration {
	if m.def == nil {
		return 0
	}
	if m.state == StateStarting {
		return m.def.TimeoutStart
	}
	return m.def.ActivityTimeout
}

// after is t+d, or never where d is infinite or zero.
func after(t time.Time, d time.Duration) time.Time {
	if d <= 0 || d == streamfile.Infinity || t.IsZero() {
		return time.Time{}
	}
	return t.Add(d)
}

func later(a, b time.Time) time.Time {
	if !a.IsZero() && b.After(a) {
		return b
	}
	return a
}

func (m *machine) startDue() time.Time {
	if m.noReader || !m.fed || m.stallLogged {
		return time.Time{}
	}
	return later(after(m.since, m.def.TimeoutStart), m.graceUntil)
}

func (m *machine) stallDue() time.Time {
	if m.noReader || m.stallLogged || m.moved.IsZero() {
		return time.Time{} // simple and silent so far: nothing to judge by
	}
	return later(after(m.moved, m.def.ActivityTimeout), m.graceUntil)
}

// resetDue: a run this long and ok forgets the failures.
func (m *machine) resetDue() time.Time {
	if m.failures == 0 || m.okSince.IsZero() {
		return time.Time{}
	}
	due := m.okSince
	if m.def.RestartReset > 0 {
		due = after(due, m.def.RestartReset)
	}
	// Without a sign of delivery it is no longer ok, though nobody may have
	// been there to say so.
	if quiet := after(m.moved, m.def.ActivityTimeout); !quiet.IsZero() && quiet.Before(due) {
		return time.Time{}
	}
	return due
}

// forgive forgets the failures when that is due.
func (m *machine) forgive(now time.Time) {
	if due := m.resetDue(); !due.IsZero() && !now.Before(due) {
		m.failures = 0
		m.say(KindReset, "healthy for "+seconds(m.def.RestartReset)+", failures forgotten")
	}
}

func (m *machine) runtimeDue() time.Time { return after(m.started, m.def.RuntimeMax) }

func (m *machine) onStartTimeout(now time.Time) {
	text := "no sign of delivery within " + seconds(m.def.TimeoutStart)
	if m.live == (ffmpeg.Liveness{}) {
		text += " (no progress block on fd 3)"
	}
	if m.hindered.by != causeNone {
		text += "; " + m.hindered.text
	}
	m.verdict(now, ReasonStartTimeout, text)
}

func (m *machine) onStall(now time.Time) {
	why, what, guess := ReasonStalled, "nothing came out", "an input may have stopped sending, or an output taking"
	if m.live.Judge(now, m.def.ActivityTimeout) == ffmpeg.Frozen {
		// Blocks go on with frozen values: ffmpeg's loop turns, one of its
		// inputs does not bring anything.
		why, what, guess = ReasonPartialStall, "progress blocks go on, but nothing moved in them", "one input may have stopped sending"
	}
	text := fmt.Sprintf("%s for %s", what, seconds(m.def.ActivityTimeout))
	switch {
	case m.hindered.by != causeNone:
		text += "; " + m.hindered.text
	case !m.simple():
		text += "; " + guess
	}
	m.verdict(now, why, text)
}

func (m *machine) verdict(now time.Time, why Reason, text string) {
	m.say(KindStalled, text)
	if m.def.OnStall == streamfile.OnStallRestart {
		m.beginStop(now, thenRetry, why, text, 0, true)
		return
	}
	m.stallLogged = true
	m.reason, m.detail = why, text
}

// judge derives health, and the reason of a health that is not a state's.
func (m *machine) judge(now time.Time) {
	was := m.health
	m.health = m.healthNow(now)
	if m.state != StateStarting && m.state != StateRunning {
		m.hindered = hindrance{} // the next process has not been looked at
	}
	if m.state == StateStarting {
		switch {
		case m.noReader && !m.stallLogged:
			m.reason, m.detail = m.degraded(now)
		case m.reason == ReasonNoReader:
			m.reason, m.detail = ReasonNone, ""
		}
	}
	if m.state == StateRunning {
		switch m.health {
		case HealthOK, HealthUnknown:
			if m.okSince.IsZero() {
				m.okSince = now
			}
			m.reason, m.detail = ReasonNone, ""
			if was == HealthDegraded || was == HealthStalled {
				m.say(KindRecovered, "delivers again as it should")
			}
		case HealthDegraded:
			m.okSince = time.Time{}
			m.reason, m.detail = m.degraded(now)
			if was != HealthDegraded {
				m.say(KindDegraded, "degraded: "+orReason(m.detail, m.reason))
			}
		default:
			m.okSince = time.Time{}
		}
	}
}

func (m *machine) healthNow(now time.Time) Health {
	down := HealthNone
	if m.wanted {
		down = HealthDown
	}
	switch m.state {
	case StateStarting:
		if m.stallLogged {
			return HealthStalled
		}
		if m.noReader {
			return HealthDegraded
		}
		return HealthStarting
	case StateRunning:
		if m.stallLogged {
			return HealthStalled
		}
		if why, _ := m.degraded(now); why != ReasonNone {
			return HealthDegraded
		}
		if m.simple() && m.moved.IsZero() {
			return HealthUnknown
		}
		return HealthOK
	case StateStopping:
		if m.wanted && m.then == thenRetry {
			return HealthStalled
		}
		return down
	default:
		return down
	}
}

func (m *machine) degraded(now time.Time) (Reason, string) {
	switch {
	case m.noReader:
		return ReasonNoReader, "standard output is full and nobody reads it"
	case m.diskFull != "":
		return ReasonDiskFull, "the disk is full: nothing more can be written to " + m.diskFull
	case m.live.Judge(now, m.def.ActivityTimeout) == ffmpeg.FramesStalled:
		return ReasonPartialStall, "the picture stands still while the rest goes on"
	case m.tooSlow != ReasonNone:
		text := fmt.Sprintf("speed below %g", m.def.MinSpeed)
		if m.slowBy.by != causeNone {
			text += "; " + m.slowBy.text
		}
		return m.tooSlow, text
	}
	return ReasonNone, ""
}
