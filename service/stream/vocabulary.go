package stream

// State is where a stream is in its life. The strings are a contract.
type State string

const (
	StateStopped    State = "stopped"
	StateStarting   State = "starting"
	StateRunning    State = "running"
	StateStopping   State = "stopping"
	StateRestarting State = "restarting" // waiting out the delay
	StateFailed     State = "failed"
	StateZombie     State = "zombie" // killed, yet the kernel has not let go
)

// known says whether s is one of the states above.
func (s State) known() bool {
	switch s {
	case StateStopped, StateStarting, StateRunning, StateStopping, StateRestarting, StateFailed, StateZombie:
		return true
	}
	return false
}

// Health is what a listener at the far end would say of a stream.
type Health string

const (
	HealthNone     Health = "none" // not wanted and not running
	HealthStarting Health = "starting"
	HealthOK       Health = "ok"
	HealthUnknown  Health = "unknown"  // simple, running, nothing to judge by
	HealthDegraded Health = "degraded" // delivers, but
	HealthStalled  Health = "stalled"
	HealthDown     Health = "down" // wanted and not running
)

// Reason says why a stream is in its state or health.
type Reason string

const (
	ReasonNone           Reason = ""
	ReasonRequested      Reason = "requested"
	ReasonCleanExit      Reason = "clean-exit"
	ReasonExitCode       Reason = "exit-code"
	ReasonSignal         Reason = "signal"
	ReasonCoreDump       Reason = "core-dump"
	ReasonOOMKill        Reason = "oom-kill"
	ReasonTaskLimit      Reason = "task-limit"
	ReasonStalled        Reason = "stalled"
	ReasonPartialStall   Reason = "partial-stall"
	ReasonStartTimeout   Reason = "start-timeout"
	ReasonSpawnFailed    Reason = "spawn-failed"
	ReasonNoProgram      Reason = "no-program"
	ReasonBadSetting     Reason = "bad-setting"
	ReasonBuilderFailed  Reason = "builder-failed"
	ReasonOutputExists   Reason = "output-exists"
	ReasonRestartLimit   Reason = "restart-limit"
	ReasonRequiresFailed Reason = "requires-failed"
	ReasonRuntimeMax     Reason = "runtime-max"
	ReasonStuck          Reason = "stuck"
	ReasonShimLost       Reason = "shim-lost"
	ReasonHostSlow       Reason = "host-slow"
	ReasonTooSlow        Reason = "too-slow"
	ReasonNoReader       Reason = "no-reader"
	ReasonDiskFull       Reason = "disk-full"
	ReasonUnknownExit    Reason = "unknown-exit"
)

// Final reports whether the reason is never retried: trying again without a
// change by a person cannot help, and may harm (output-exists).
func (r Reason) Final() bool {
	return r == ReasonNoProgram || r == ReasonBadSetting || r == ReasonOutputExists
}
