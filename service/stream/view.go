package stream

import (
	"context"
	"slices"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// Snapshot asks the owner for everything known at this moment. If it does not
// answer before ctx ends, the last transition's snapshot is what there is.
func (s *Stream) Snapshot(ctx context.Context) *Snapshot {
	var snap *Snapshot
	if err := s.ask(ctx, func(o *owner) { snap = o.snapshot() }); err != nil {
		return s.Core()
	}
	return snap
}

// snapshotCore is what a transition shows: no figures, no lines.
func (o *owner) snapshotCore() *Snapshot {
	m := o.m
	s := &Snapshot{
		Name: m.name, SourceFile: o.cfg.Source, State: m.state, Health: m.health, Reason: m.reason, Detail: m.detail,
		Wanted: m.wanted, NeedsRestart: m.needsRestart(), PID: m.pid, StateSince: m.stateSince,
		LastRestart: m.lastRestart, RestartCount: m.restarts, ConsecutiveFailures: m.failures,
		ExitCodes: slices.Clone(m.exitCodes), LastActivity: m.lastActivity,
	}
	if m.pid != 0 && o.proc != nil {
		s.Started = m.started
		s.Child, s.Cgroup = o.proc.id, o.proc.cgroup
	}
	if m.state == StateRestarting {
		s.NextRestart = m.due
	}
	def := m.shown()
	if def != nil {
		s.Description, s.SourceFile = o.cfg.Redact.String(def.Description), def.Source
		s.Type = string(def.Type)
	}
	s.Command = o.command(def)
	return s
}

// shown is the definition that describes the stream: of a process, its own.
func (m *machine) shown() *streamfile.Definition {
	if m.next != nil && m.pid == 0 {
		return m.next
	}
	return m.def
}

// needsRestart: what runs is not what the files say now.
func (m *machine) needsRestart() bool { return m.next != nil || m.gone }

// command is the command line as it may be shown.
func (o *owner) command(def *streamfile.Definition) []string {
	switch {
	case o.proc != nil:
		return o.proc.command
	case def != nil:
		return o.cfg.Redact.Args(def.ExecStart.Words)
	}
	return nil
}

func (o *owner) snapshot() *Snapshot {
	s := o.snapshotCore()
	s.Lines = o.lines.last(keptLines)
	s.RecentErrors = slices.Clone(o.lines.errors)
	s.LinesDropped = o.log.total
	p := o.proc
	if p == nil {
		return s
	}
	s.Usage = p.usage
	if p.hasBlock {
		s.Progress = p.shown(time.Now())
	}
	return s
}

// shown is the newest progress as people see it.
func (p *process) shown(now time.Time) *Progress {
	b := p.block
	g := &Progress{
		Frame: b.Frame, HasFrame: b.HasFrame,
		BitrateBPS: b.BitrateBPS, HasBitrate: b.HasBitrate,
		OutTime: b.OutTime, HasOutTime: b.HasOutTime,
		TotalBytes: b.TotalSize, HasTotalBytes: b.HasTotalSize,
		Dropped: b.Drop, Duplicated: b.Dup, Ended: b.End, Received: p.blockAt,
	}
	pace := p.rate.Over(ffmpeg.DisplayWindow, now)
	g.Speed, g.HasSpeed, g.SpeedMeasuredFor = pace.Speed, pace.HasSpeed, pace.Over
	g.FPS, g.HasFPS = pace.FPS, pace.HasFPS
	return g
}

// publish stores and announces what has changed since the last transition.
func (o *owner) publish(t Transition) {
	old, m := o.core.Load(), o.m
	flagged := t.Restarted || t.Failed || t.Removed
	if !flagged && old.same(m) && o.shown == m.shown() {
		return
	}
	o.shown = m.shown()
	t.Old, t.New = old, o.snapshotCore()
	if !flagged && old.same(m) && old.sameText(t.New) {
		return // another definition that looks the same
	}
	o.core.Store(t.New)
	o.cfg.Publish(t)
}

// sameText says whether what comes from the definition is the same in both.
func (s *Snapshot) sameText(t *Snapshot) bool {
	return s.Description == t.Description && s.SourceFile == t.SourceFile && s.Type == t.Type && slices.Equal(s.Command, t.Command)
}

// same says whether a snapshot still shows the machine, figures aside.
func (s *Snapshot) same(m *machine) bool {
	var next time.Time
	if m.state == StateRestarting {
		next = m.due
	}
	return s.State == m.state && s.Health == m.health && s.Reason == m.reason && s.Detail == m.detail &&
		s.Wanted == m.wanted && s.NeedsRestart == m.needsRestart() && s.PID == m.pid &&
		s.NextRestart.Equal(next) && s.RestartCount == m.restarts &&
		s.ConsecutiveFailures == m.failures && slices.Equal(s.ExitCodes, m.exitCodes)
}
