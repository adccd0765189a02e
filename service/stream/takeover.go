package stream

import (
	"fmt"
	"strings"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// takeOver makes up for what happened without a keeper: first thing of the
// owner's goroutine.
func (o *owner) takeOver() {
	in := o.cfg.Inherited
	if in == nil {
		return
	}
	o.cfg.Inherited = nil // it may be large
	for _, held := range in.Jobs {
		o.takeJob(held)
	}
	if o.known {
		o.takeProcess(in.Held)
		o.takeFiles()
	}
	o.keepSeen(nil, nil) // without the beginnings of lines: they have been read on
}

// takeProcess tells the machine of the process, and of its end as of the
// moment when it ended.
func (o *owner) takeProcess(held *shim.Held) {
	if held == nil {
		o.step(evAdopted{})
		return
	}
	started := moment(held.Started)
	if o.m.phase == phaseSpawn && !o.blind {
		started = latest(started, o.m.stateSince) // whatever became of the wall clock
	}
	o.step(evAdopted{
		held: true, unknown: o.blind, pid: held.PID, child: localNumber(held.ID), started: started,
		termed: held.Termed, killing: held.Killing,
		canAsk: o.proc.canAsk(), waits: o.proc.stdin == streamfile.StdinPipe,
	})
	if held.Exited != nil && (o.m.main || held.Empty) {
		// When the rest of it went the shim does not say.
		o.past = latest(moment(held.Exited.At), o.m.started)
		defer func() { o.past = time.Time{} }()
	}
	o.m.live.Unwatched()
	o.takeDrained(held)
	if held.Exited != nil {
		o.shimEvent(*held.Exited)
	}
	if held.Empty {
		o.shimEvent(shim.Empty{ID: held.ID, Stream: held.Stream})
	}
}

// moment is a time of the wall clock as one that can be compared with
// time.Now(), and never after it.
func moment(wall time.Time) time.Time {
	now := time.Now()
	if ago := now.Round(0).Sub(wall); ago > 0 {
		return now.Add(-ago)
	}
	return now
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// takeDrained reads what the shim read while there was no keeper; the pipes go
// on at the next byte.
func (o *owner) takeDrained(held *shim.Held) {
	p := o.proc
	var dropped uint64
	for _, end := range []shim.End{shim.Stderr, shim.Stdout, shim.Progress} {
		d := held.Drained[end]
		switch {
		case end == shim.Progress:
			if d.Dropped > 0 {
				p.parser.Lost()
			}
			o.feedProgress(d.Data)
			continue
		case d.Dropped == 0:
		case end == shim.Stderr:
			p.errLines.Flush(o.line) // what follows is not its end
		default:
			p.outLines.Flush(o.line)
		}
		dropped += d.Dropped
		if end == shim.Stderr {
			o.feedStderr(d.Data)
		} else {
			o.feedStdout(d.Data)
		}
	}
	if dropped > 0 {
		o.log.event(o.snapshotCore(), KindUnread, fmt.Sprintf("%d bytes of its log were dropped while no keeper was there", dropped), p)
	}
}

// takeFiles: what the files say now is news, as after a reload.
func (o *owner) takeFiles() {
	m, def := o.m, o.cfg.Definition
	switch {
	case o.cfg.FileGone:
		o.step(evGone{})
	case def == nil:
		o.step(evReload{bad: o.cfg.Broken})
	case m.def != def, m.state == StateFailed && m.reason == ReasonBadSetting && o.keptDigest != def.Digest:
		o.step(evReload{def: def})
	}
}

// takeJob goes on with a hook; anything else is ended: a command builder is
// asked again, and what else there is nobody knows.
func (o *owner) takeJob(held *shim.Held) {
	_, kind, _ := strings.Cut(held.Stream, jobMark)
	if jobKind(kind) != jobHook {
		discard(&held.Child)
		if !held.Empty {
			o.cfg.Shim.Kill(held.ID)
		}
		o.cfg.Shim.Forget(held.ID) // at once where it has ended, else by jobExited
		return
	}
	o.learnHooks()
	j := o.hookJob("an earlier keeper")
	j.owner = o
	j.due = moment(held.Started).Add(hookTimeout)
	o.jobs = append(o.jobs, j)
	o.jobSpawned(j, &held.Child, nil)
	j.take(held.Drained[shim.Stdout].Data)
	j.lines.Feed(held.Drained[shim.Stderr].Data, j.line)
	if held.Exited != nil {
		o.jobExited(*held.Exited)
	}
}
