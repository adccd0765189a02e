package stream

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// A stream may log this many lines at once, and this many a second for ever;
// ffmpeg with a broken input writes thousands, and one stream must not drown
// the others' lines nor the disk.
const (
	lineBurst     = 2000
	lineRate      = 200 // a second
	floodInterval = 10 * time.Second
)

// logger writes a stream's records with their fields.
type logger struct {
	events *slog.Logger
	lines  *slog.Logger
	kinds  map[Kind]EventKind

	tokens   float64
	refilled time.Time
	dropped  uint64    // since the last report
	total    uint64    // ever
	floodDue time.Time // of the report; zero: nothing dropped
}

func (l *logger) init(cfg *Config) {
	l.events = cfg.Log.With("FFKEEPER_STREAM", cfg.Name)
	l.lines = l.events.With("SYSLOG_IDENTIFIER", cfg.Name)
	l.kinds = make(map[Kind]EventKind)
	for _, k := range EventKinds() {
		l.kinds[k.Kind] = k
	}
	l.tokens = lineBurst
}

// priorityLevel maps syslog priorities to slog's levels: the inverse of what
// the journal room does.
func priorityLevel(priority int) slog.Level {
	switch {
	case priority >= 7:
		return slog.LevelDebug
	case priority == 6:
		return slog.LevelInfo
	case priority == 5:
		return slog.LevelInfo + 2
	case priority == 4:
		return slog.LevelWarn
	case priority == 3:
		return slog.LevelError
	}
	return slog.LevelError + slog.Level(4*(3-priority))
}

// event writes one event of the table.
func (l *logger) event(s *Snapshot, k Kind, text string, p *process) {
	row := l.kinds[k]
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs, slog.String("MESSAGE_ID", row.MessageID), slog.String("FFKEEPER_EVENT", string(k)))
	if s.PID != 0 {
		attrs = append(attrs, slog.Int("FFKEEPER_PID", s.PID))
	} else if p != nil {
		attrs = append(attrs, slog.Int("FFKEEPER_PID", p.pid))
	}
	if s.Reason != ReasonNone {
		attrs = append(attrs, slog.String("FFKEEPER_REASON", string(s.Reason)))
	}
	if k == KindExited || k == KindStopped || k == KindFailed {
		if n := len(s.ExitCodes); n > 0 {
			attrs = append(attrs, slog.Int("FFKEEPER_EXIT_CODE", s.ExitCodes[n-1]))
		}
	}
	l.events.LogAttrs(context.Background(), priorityLevel(row.Priority), text, attrs...)
}

// line writes one line of the stream itself, unless it logs too much.
func (l *logger) line(m *machine, now time.Time, line Line) {
	if !l.refilled.IsZero() {
		l.tokens = min(lineBurst, l.tokens+lineRate*now.Sub(l.refilled).Seconds())
	}
	l.refilled = now
	if l.tokens < 1 {
		l.dropped++
		l.total++
		if l.floodDue.IsZero() {
			l.floodDue = now.Add(floodInterval)
		}
		return
	}
	l.tokens--
	l.lines.LogAttrs(context.Background(), priorityLevel(line.Priority), line.Text)
}

// floodTick reports what was dropped, once an interval.
func (l *logger) floodTick(m *machine, now time.Time) {
	if l.floodDue.IsZero() || now.Before(l.floodDue) {
		return
	}
	l.floodDue = time.Time{}
	n := l.dropped
	l.dropped = 0
	l.event(&Snapshot{Name: m.name, PID: m.pid}, KindFlood, fmt.Sprintf("%d lines dropped: more than %d a second", n, lineRate), nil)
}
