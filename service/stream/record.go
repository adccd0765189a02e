package stream

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// recordVersion is the version of what one keeper leaves for the next. A
// keeper reads its own version and those before; fields are only added within
// one version, with zero values that mean what their absence meant.
const recordVersion = 1

// clock relates this process's times to CLOCK_BOOTTIME, which every process of
// this boot shares, which no administrator sets, and which goes on in a
// suspend.
type clock struct {
	now  time.Time
	boot time.Duration
}

// clock reads both.
func (cfg *Config) clock() clock {
	if cfg.Clock != nil {
		return clock{time.Now(), cfg.Clock()}
	}
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail: the clock is as old as Linux 2.6.39
	return clock{time.Now(), time.Duration(ts.Nano())}
}

// stamp is a time as nanoseconds of CLOCK_BOOTTIME; 0 is none.
type stamp int64

func (c clock) stamp(t time.Time) stamp {
	if t.IsZero() {
		return 0
	}
	if s := stamp(c.boot + t.Sub(c.now)); s != 0 {
		return s
	}
	return 1
}

func (c clock) time(s stamp) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return c.now.Add(time.Duration(s) - c.boot)
}

// record is lasting, and what else a machine's next step depends on, as it is
// written down.
type record struct {
	V int `json:"v"`

	Digest     string `json:"digest,omitempty"` // of the definition in force
	State      State  `json:"state"`
	StateSince stamp  `json:"state_since,omitempty"`
	Health     Health `json:"health"`
	Reason     Reason `json:"reason,omitempty"`
	Detail     string `json:"detail,omitempty"`
	Wanted     bool   `json:"wanted,omitempty"`
	Removed    bool   `json:"removed,omitempty"`

	Phase string `json:"phase,omitempty"`
	Due   stamp  `json:"due,omitempty"`
	Delay stamp  `json:"delay,omitempty"`

	PID         int    `json:"pid,omitempty"`
	Child       uint64 `json:"child,omitempty"`
	Group       bool   `json:"group,omitempty"`
	Main        bool   `json:"main,omitempty"`
	Started     stamp  `json:"started,omitempty"`
	TermSent    bool   `json:"term_sent,omitempty"`
	Interrupted bool   `json:"interrupted,omitempty"`
	Asked       bool   `json:"asked,omitempty"`
	CanAsk      bool   `json:"can_ask,omitempty"`
	Delivered   bool   `json:"delivered,omitempty"`
	Fed         bool   `json:"fed,omitempty"`
	Cleanup     int    `json:"cleanup,omitempty"`
	CleanupDue  stamp  `json:"cleanup_due,omitempty"`
	LastRestart stamp  `json:"last_restart,omitempty"`

	Then      string        `json:"then,omitempty"`
	ThenWhy   Reason        `json:"then_why,omitempty"`
	ThenText  string        `json:"then_text,omitempty"`
	StageWait time.Duration `json:"stage_wait_ns,omitempty"`
	Extended  int           `json:"extended,omitempty"`
	Grew      bool          `json:"grew,omitempty"`
	Exit      *exitRecord   `json:"exit,omitempty"`

	Attempts    uint64 `json:"attempts,omitempty"`
	LastFailure string `json:"last_failure,omitempty"`
	Failures    int    `json:"failures,omitempty"`
	Restarts    int    `json:"restarts,omitempty"`
	Fresh       bool   `json:"fresh,omitempty"`
	Counts      bool   `json:"counts,omitempty"`
	ExitCodes   []int  `json:"exit_codes,omitempty"`
	OKSince     stamp  `json:"ok_since,omitempty"`
	Since       stamp  `json:"since,omitempty"`
	TooSlow     Reason `json:"too_slow,omitempty"`
	NoReader    bool   `json:"no_reader,omitempty"`
	NoReaderAt  stamp  `json:"no_reader_at,omitempty"`
	DiskFull    string `json:"disk_full,omitempty"`
	GraceUntil  stamp  `json:"grace_until,omitempty"`
	StallLogged bool   `json:"stall_logged,omitempty"`
}

type exitRecord struct {
	Code    int    `json:"code,omitempty"`
	Signal  int    `json:"signal,omitempty"`
	Core    bool   `json:"core,omitempty"`
	OOM     bool   `json:"oom,omitempty"`
	Tasks   bool   `json:"tasks,omitempty"`
	Unknown bool   `json:"unknown,omitempty"`
	Killed  bool   `json:"killed,omitempty"`
	Ended   bool   `json:"ended,omitempty"`
	Exists  bool   `json:"exists,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

var phaseNames = []string{
	phaseNone: "", phaseDeps: "deps", phaseBuild: "build", phaseSpawn: "spawn", phaseLaunched: "launched",
	phaseAsk: "ask", phaseTerm: "term", phaseKill: "kill",
}

var thenNames = []string{thenStop: "", thenStart: "start", thenRetry: "retry", thenFinal: "final"}

func indexOf(names []string, name string) (int, error) {
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown %q", name)
}

// encode writes down what outlives the keeper.
func (m *machine) encode(c clock) ([]byte, error) {
	l := &m.lasting
	r := record{
		V: recordVersion, State: l.state, StateSince: c.stamp(l.stateSince), Health: l.health, Reason: l.reason,
		Detail: l.detail, Wanted: l.wanted, Removed: l.removed,
		Phase: phaseNames[l.phase], Due: c.stamp(l.due), Delay: c.stamp(l.delay),
		PID: l.pid, Child: l.child, Group: l.group, Main: l.main, Started: c.stamp(l.started), TermSent: l.termSent,
		Interrupted: l.interrupted,
		Asked:       l.asked, CanAsk: l.canAsk, Delivered: l.delivered, Fed: l.fed,
		Cleanup: l.cleanup, CleanupDue: c.stamp(l.cleanupDue), LastRestart: c.stamp(l.lastRestart),
		Then: thenNames[l.then], ThenWhy: l.thenWhy, ThenText: l.thenText, StageWait: l.stageWait,
		Extended: l.extended, Grew: l.grew,
		Attempts: l.attempts, LastFailure: l.lastFailure, Failures: l.failures, Restarts: l.restarts,
		Fresh: l.fresh, Counts: l.counts, ExitCodes: m.exitCodes, OKSince: c.stamp(l.okSince),
		Since: c.stamp(l.since), TooSlow: l.tooSlow, NoReader: l.noReader, NoReaderAt: c.stamp(l.noReaderAt), DiskFull: l.diskFull,
		GraceUntil: c.stamp(l.graceUntil), StallLogged: l.stallLogged,
	}
	if m.def != nil {
		r.Digest = m.def.Digest
	}
	if x := l.exit; x != (exit{}) {
		r.Exit = &exitRecord{x.code, x.signal, x.core, x.oom, x.tasks, x.unknown, x.killed, x.ended, x.exists, x.hint}
	}
	return json.Marshal(&r)
}

// decode takes up what an earlier keeper has written down, and answers the
// digest of the definition it had; after an error the machine is as it was.
func (m *machine) decode(c clock, data []byte) (digest string, err error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return "", fmt.Errorf("cannot read what an earlier keeper left: %w", err)
	}
	if r.V < 1 || r.V > recordVersion {
		return "", fmt.Errorf("what an earlier keeper left is of version %d; this one reads 1 to %d", r.V, recordVersion)
	}
	ph, err := indexOf(phaseNames, r.Phase)
	if err != nil {
		return "", fmt.Errorf("cannot read what an earlier keeper left: phase: %w", err)
	}
	th, err := indexOf(thenNames, r.Then)
	if err != nil {
		return "", fmt.Errorf("cannot read what an earlier keeper left: then: %w", err)
	}
	if !r.State.known() {
		return "", fmt.Errorf("cannot read what an earlier keeper left: unknown state %q", r.State)
	}
	if err := r.check(phase(ph)); err != nil {
		return "", fmt.Errorf("cannot read what an earlier keeper left: %w", err)
	}
	m.lasting = lasting{
		state: r.State, stateSince: c.time(r.StateSince), health: r.Health, reason: r.Reason,
		detail: r.Detail, wanted: r.Wanted, removed: r.Removed,
		phase: phase(ph), due: c.time(r.Due), delay: c.time(r.Delay),
		pid: r.PID, child: r.Child, group: r.Group, main: r.Main, started: c.time(r.Started), termSent: r.TermSent,
		interrupted: r.Interrupted,
		asked:       r.Asked, canAsk: r.CanAsk, delivered: r.Delivered, fed: r.Fed,
		cleanup: r.Cleanup, cleanupDue: c.time(r.CleanupDue), lastRestart: c.time(r.LastRestart),
		then: then(th), thenWhy: r.ThenWhy, thenText: r.ThenText, stageWait: r.StageWait,
		extended: max(r.Extended, 0), grew: r.Grew,
		attempts: r.Attempts, lastFailure: r.LastFailure, failures: max(r.Failures, 0), restarts: max(r.Restarts, 0),
		fresh: r.Fresh, counts: r.Counts, okSince: c.time(r.OKSince),
		since: c.time(r.Since), tooSlow: r.TooSlow, noReader: r.NoReader, noReaderAt: c.time(r.NoReaderAt), diskFull: r.DiskFull,
		graceUntil: c.time(r.GraceUntil), stallLogged: r.StallLogged,
	}
	if x := r.Exit; x != nil {
		m.exit = exit{x.Code, x.Signal, x.Core, x.OOM, x.Tasks, x.Unknown, x.Killed, x.Ended, x.Exists, x.Hint}
	}
	m.exitCodes = r.ExitCodes
	if n := len(m.exitCodes) - keptExitCodes; n > 0 {
		m.exitCodes = m.exitCodes[n:]
	}
	return r.Digest, nil
}

// check says what in r contradicts itself: a machine in such a state might do
// nothing for ever.
func (r *record) check(ph phase) error {
	var phases []phase
	group := false // whether there must be one
	switch r.State {
	case StateStarting:
		phases = []phase{phaseDeps, phaseBuild, phaseSpawn, phaseLaunched}
		group = ph == phaseLaunched
	case StateStopping:
		phases = []phase{phaseSpawn, phaseAsk, phaseTerm, phaseKill}
		group = ph != phaseSpawn
	case StateRunning, StateZombie:
		phases, group = []phase{phaseNone}, true
	default:
		phases, group = []phase{phaseNone}, r.Group
	}
	switch {
	case !slices.Contains(phases, ph):
		return fmt.Errorf("%s in phase %q", r.State, r.Phase)
	case group != r.Group:
		return fmt.Errorf("%s in phase %q, with a process: %v", r.State, r.Phase, r.Group)
	case r.Main && !r.Group:
		return fmt.Errorf("%s with a process of which nothing is left", r.State)
	}
	return nil
}
