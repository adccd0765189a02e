package stream

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// number is what exit_codes shows: the code, or minus the signal.
func (x exit) number() int {
	if x.signal != 0 {
		return -x.signal
	}
	return x.code
}

// meaning turns an exit into a reason and a line for people.
func (x exit) meaning() (Reason, string) {
	with := func(text string) string {
		if x.hint != "" {
			return text + ": " + x.hint
		}
		return text
	}
	switch {
	case x.exists:
		return ReasonOutputExists, with("output exists and is not overwritten")
	case x.unknown:
		return ReasonUnknownExit, "ended, with a status nobody could read"
	case x.oom:
		return ReasonOOMKill, "killed for want of memory"
	case x.tasks && (x.code != 0 || x.signal != 0):
		return ReasonTaskLimit, with(fmt.Sprintf("ended (%d) after it had hit TasksMax=: no further thread or process could be started", x.number()))
	case x.core:
		return ReasonCoreDump, with("crashed with " + unix.SignalName(unix.Signal(x.signal)))
	case x.signal != 0:
		return ReasonSignal, "killed by " + unix.SignalName(unix.Signal(x.signal))
	case x.code == 0:
		return ReasonCleanExit, "exited with code 0"
	}
	return ReasonExitCode, with(fmt.Sprintf("exited with code %d", x.code))
}

// orReason is the text, or where there is none the reason.
func orReason(text string, why Reason) string {
	if text == "" {
		return string(why)
	}
	return text
}

// seconds shows a time span to people: 2s, 1.5s, 1m30s.
func seconds(d time.Duration) string {
	if d == math.MaxInt64 {
		return "infinity"
	}
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
