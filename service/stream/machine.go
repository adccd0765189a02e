package stream

import (
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// The life of a stream:
//
//	           Start                     spawned, delivers
//	stopped ----------> starting -----------------------------> running
//	   ^                 ^  |  |                                 |   |
//	   |      delay over |  |  | start time-out, Stop            |   | Stop, stall,
//	   |                 |  |  +------------------> stopping <---+---+ RuntimeMax, Restart
//	   |                 |  | spawn failed          |  |  |  |
//	   |                 |  v                       |  |  |  | killed, yet not gone
//	   |              restarting <------------------+  |  |  +------------> zombie
//	   |                 |  stalled; or exited unasked |  |                  |
//	   +-----------------+-----------------------------+  | Restart      gone|
//	     Stop            | final reason, limit            v                  v
//	                     +-------> failed            starting       as from stopping
//
// machine is this diagram as a pure function: no clock, no process, no
// goroutine. Step takes an event and the time, changes the machine and
// returns what is to be done; Deadline says when the next evTick is due.
type machine struct {
	name    string
	builder bool                   // a Go function builds the command
	def     *streamfile.Definition // in force; nil: there never was a valid one
	next    *streamfile.Definition // to be taken at the next start
	bad     string                 // why the files cannot be used now; "" if they can
	random  func() float64

	lasting
	exitCodes []int // last keptExitCodes, oldest first
	shimEnds  bool  // the shim is ending every process, and then itself
	gone      bool  // the file is gone, the stream goes on until it is stopped

	// What moves all the time.
	live         ffmpeg.Liveness
	moved        time.Time // the last sign of delivery; simple: any output
	lastActivity time.Time
	slowBy       hindrance // why it is too slow, as it was first seen
	hindered     hindrance // by the last sample

	out []action
}

// phase is the step within a state.
type phase int

const (
	phaseNone     phase = iota
	phaseDeps           // starting: After= and Requires= are awaited
	phaseBuild          // starting: the command builder runs
	phaseSpawn          // starting or stopping: the shim has been asked
	phaseLaunched       // starting: a pid, nothing delivered yet
	phaseAsk            // stopping: q sent or stdin shut down
	phaseTerm           // stopping: the one TERM sent
	phaseKill           // stopping: killed
)

// then is what follows once the process is gone.
type then int

const (
	thenStop  then = iota // stopped
	thenStart             // at once: asked for, or planned
	thenRetry             // a failure: the back-off decides
	thenFinal             // stopped or failed, as policy said
)

// Times that no option sets.
const (
	// cleanupWait is what the rest of a stream gets when its main process
	// ended unasked, before TERM and again before the kill.
	cleanupWait = 2 * time.Second
	// killWait is how long the kernel may take to let go of a killed process
	// before the stream is called a zombie.
	killWait = 3 * time.Second
	// zombieRetry is the distance of further kills: what a thread in
	// uninterruptible sleep ignored may have been delivered to a new one.
	zombieRetry = 30 * time.Second
	// maxExtensions is how often a stop stage is prolonged by one wait while
	// the output still grows.
	maxExtensions = 6
	// maxGrace bounds how long a verdict waits for a starved or suspended host.
	maxGrace = 60 * time.Second
	// keptExitCodes of a stream.
	keptExitCodes = 10
)

func newMachine(name string, def *streamfile.Definition, bad string, now time.Time, random func() float64) *machine {
	m := &machine{name: name, def: def, bad: bad, random: random}
	m.state, m.stateSince, m.health = StateStopped, now, HealthNone
	if def == nil {
		// Whether it should run nobody can read; the default is yes.
		m.state, m.reason, m.detail, m.wanted = StateFailed, ReasonBadSetting, bad, true
	}
	m.judge(now)
	return m
}

// step feeds one event and returns the actions, in order.
func (m *machine) step(now time.Time, ev event) []action {
	m.out = nil
	switch ev := ev.(type) {
	case evStart:
		m.onStart(now)
	case evStop:
		m.onStop(now, ev.timeout)
	case evRestart:
		m.onRestart(now, ev.timeout)
	case evResetFailed:
		m.onResetFailed(now)
	case evReload:
		m.onReload(now, ev)
	case evRemove:
		m.onRemove(now)
	case evGone:
		m.onGone()
	case evDeps:
		m.onDeps(now, ev)
	case evBuilt:
		m.onBuilt(now, ev)
	case evSpawned:
		m.onSpawned(now, ev)
	case evSpawnFailed:
		m.onSpawnFailed(now, ev)
	case evExited:
		m.onExited(now, ev.exit)
	case evEmpty:
		m.onEmpty(now)
	case evBlock:
		m.onBlock(now, ev)
	case evOutput:
		m.onOutput(now)
	case evFed:
		m.onFed(now)
	case evSample:
		m.onSample(now, ev)
	case evGrew:
		m.grew = true
	case evKilled:
		m.interrupted = m.interrupted || ev.interrupt && !m.simple()
		m.termSent = m.termSent || ev.term || m.interrupted
	case evGrace:
		m.onGrace(now)
	case evAdopted:
		m.onAdopted(now, ev)
	case evShimStopping:
		m.shimEnds = true
	case evShimLost:
		m.onShimLost(now)
	case evShimBack:
		m.onShimBack(now)
	case evTick:
		m.onTick(now)
	}
	m.judge(now)
	return m.out
}

func (m *machine) do(a ...action) { m.out = append(m.out, a...) }

func (m *machine) say(k Kind, text string) { m.do(actLog{kind: k, text: text}) }

// transition is the only place where state changes.
func (m *machine) transition(now time.Time, to State, why Reason, detail string) {
	m.reason, m.detail = why, detail
	if m.state != to {
		m.state, m.stateSince = to, now
	}
	if to != StateStarting && to != StateStopping {
		m.phase = phaseNone
	}
}

// deadline is when the next evTick is due; zero: none. A partial stall needs
// none: it shows in blocks that keep coming.
func (m *machine) deadline() time.Time {
	var d time.Time
	add := func(t time.Time) {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	switch m.state {
	case StateStarting:
		if m.phase == phaseLaunched {
			add(m.startDue())
		}
	case StateRunning:
		add(m.stallDue())
		add(m.resetDue())
		add(m.runtimeDue())
	case StateStopping:
		if m.phase != phaseSpawn {
			add(m.due)
		}
	case StateRestarting:
		if !m.group {
			add(m.due)
		}
		add(m.cleanupDue)
	case StateZombie:
		add(m.due)
	}
	return d
}

func (m *machine) onTick(now time.Time) {
	reached := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch m.state {
	case StateStarting:
		if m.phase == phaseLaunched && reached(m.startDue()) {
			m.onStartTimeout(now)
		}
	case StateRunning:
		switch {
		case reached(m.runtimeDue()):
			m.beginStop(now, thenStart, ReasonRuntimeMax, "RuntimeMaxSec= reached", 0, false)
			return
		case reached(m.stallDue()):
			m.forgive(now) // it was ok until now
			m.onStall(now)
			return
		}
		m.forgive(now)
	case StateStopping:
		if m.phase != phaseSpawn && reached(m.due) {
			m.nextStage(now)
		}
	case StateRestarting:
		if reached(m.cleanupDue) {
			m.nextCleanup(now)
		}
		if !m.group && reached(m.due) {
			m.begin(now)
		}
	case StateZombie:
		if reached(m.due) {
			m.do(actKill{})
			m.due = now.Add(zombieRetry)
		}
	}
}
