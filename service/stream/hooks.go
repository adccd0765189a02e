package stream

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// runHooks runs what OnRestart= or OnFailure= names, and calls what the
// embedding program gave.
func (o *owner) runHooks(hooks []streamfile.Hook, callback func(*Snapshot), what string) {
	snap := o.snapshot()
	if callback != nil {
		go callback(snap)
	}
	for i, h := range hooks {
		if h.Stream != "" {
			if o.cfg.StartOther != nil {
				go o.cfg.StartOther(h.Stream)
			}
			continue
		}
		o.runHook(h, snap, what, i)
	}
}

// hookEnv tells a hook what happened.
func hookEnv(s *Snapshot, what string) []string {
	env := []string{
		"FFKEEPER_EVENT=" + what,
		"FFKEEPER_STATE=" + string(s.State),
		"FFKEEPER_REASON=" + string(s.Reason),
		"FFKEEPER_DETAIL=" + s.Detail,
		"FFKEEPER_PID=" + strconv.Itoa(s.PID),
		"FFKEEPER_RESTART_COUNT=" + strconv.Itoa(s.RestartCount),
		"FFKEEPER_CONSECUTIVE_FAILURES=" + strconv.Itoa(s.ConsecutiveFailures),
	}
	if n := len(s.ExitCodes); n > 0 {
		env = append(env, "FFKEEPER_EXIT_CODE="+strconv.Itoa(s.ExitCodes[n-1]))
	}
	return env
}

// runHook runs hook number i of those for what has happened.
func (o *owner) runHook(h streamfile.Hook, snap *Snapshot, what string, i int) {
	j := o.hookJob(what)
	l, err := o.m.def.ResolveHook(h, time.Now(), hookEnv(snap, what))
	if err != nil {
		j.onError(resolveReason(err), err.Error())
		return
	}
	o.runJob(j, l, hookTimeout, fmt.Sprintf("%s %s %d", jobHook, what, i))
}

// learnHooks learns what is secret in hooks that an earlier keeper has run,
// which may have things to say yet.
func (o *owner) learnHooks() {
	if o.m.def == nil {
		return
	}
	for i, h := range slices.Concat(o.m.def.OnRestart, o.m.def.OnFailure) {
		if h.Stream != "" {
			continue
		}
		if l, err := o.m.def.ResolveHook(h, time.Now(), nil); err == nil {
			o.cfg.Redact.Learn(fmt.Sprintf("%s%s%s taken over %d", o.cfg.Name, redact.PartMark, jobHook, i), l.Argv, l.Env)
		}
	}
}

// hookJob is a hook before it runs; what says what it is run for.
func (o *owner) hookJob(what string) *job {
	failed := func(text string) {
		o.log.event(o.snapshotCore(), KindHookFailed, "hook for "+what+" "+o.cfg.Redact.String(text), nil)
	}
	j := &job{kind: jobHook}
	j.onError = func(_ Reason, text string) { failed("could not be run: " + text) }
	j.onEnd = func(j *job, ev shim.Exited) {
		switch {
		case j.killed != "":
			failed(j.killed)
		case ev.Signal != 0:
			failed("was killed by " + unix.SignalName(unix.Signal(ev.Signal)))
		case ev.Code != 0:
			failed(fmt.Sprintf("exited with code %d%s", ev.Code, j.lastWords()))
		}
	}
	return j
}
