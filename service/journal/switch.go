package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
)

// Targets of a Switch, as org.freedesktop.LogControl1(5) names them.
const (
	TargetJournal = "journal" // KindJournal
	TargetConsole = "console" // text or JSON on standard error
)

// Switch is a slog.Handler with two outputs, journald and a stream, of which
// one is in use. Which one can be changed at any time from any goroutine, also
// for loggers that have been made of it. Like Handler it never waits.
type Switch struct {
	journal, console slog.Handler // with the attributes and groups of this one
	shared           *outputs
}

// outputs is what a Switch has in common with those derived from it.
type outputs struct {
	socket           string // of journald
	journal, console *Handler
	onConsole        atomic.Bool
}

// NewSwitch is New with a second output: text where kind makes it begin with
// the journal. Identifier is the SYSLOG_IDENTIFIER in the journal of records
// that name none; journald itself gives those of its native protocol none.
func NewSwitch(kind, identifier string, level slog.Leveler, out io.Writer) (*Switch, error) {
	if out == nil {
		out = os.Stderr
	}
	first, err := New(kind, level, out)
	if err != nil {
		return nil, err
	}
	o := &outputs{socket: socketPath}
	if first.Kind() == KindJournal {
		o.journal, o.console = first, start(KindText, level, text{colour: isColourTerminal(out)}, newWriter(out))
	} else {
		// Its socket is opened when it is written to.
		o.journal, o.console = start(KindJournal, level, native{}, newSocket(o.socket)), first
		o.onConsole.Store(true)
	}
	named := o.journal.WithAttrs([]slog.Attr{slog.String(FieldIdentifier, identifier)})
	return &Switch{journal: named, console: o.console, shared: o}, nil
}

// Target returns the output in use, TargetJournal or TargetConsole.
func (s *Switch) Target() string {
	if s.shared.onConsole.Load() {
		return TargetConsole
	}
	return TargetJournal
}

// SetTarget changes it. It fails, and changes nothing, for any other target
// and for TargetJournal where there is no journald. Records that are under way
// still go where they were meant to.
func (s *Switch) SetTarget(target string) error {
	switch target {
	case TargetConsole:
		s.shared.onConsole.Store(true)
		return nil
	case TargetJournal:
		if _, err := os.Stat(s.shared.socket); err != nil {
			return fmt.Errorf("cannot log to the journal: %w", err)
		}
		s.shared.onConsole.Store(false)
		return nil
	}
	return fmt.Errorf("%q is none of %s, %s", target, TargetJournal, TargetConsole)
}

func (s *Switch) current() slog.Handler {
	if s.shared.onConsole.Load() {
		return s.console
	}
	return s.journal
}

// Enabled reports whether records of that level are written.
func (s *Switch) Enabled(ctx context.Context, level slog.Level) bool {
	return s.current().Enabled(ctx, level)
}

// Handle queues the record for the output in use, see Handler.Handle.
func (s *Switch) Handle(ctx context.Context, record slog.Record) error {
	return s.current().Handle(ctx, record)
}

// WithAttrs returns a handler that adds attrs to each record.
func (s *Switch) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return s
	}
	return &Switch{s.journal.WithAttrs(attrs), s.console.WithAttrs(attrs), s.shared}
}

// WithGroup is Handler.WithGroup for both outputs.
func (s *Switch) WithGroup(name string) slog.Handler {
	if name == "" {
		return s
	}
	return &Switch{s.journal.WithGroup(name), s.console.WithGroup(name), s.shared}
}

// Flush waits until all that was logged before it has been written to either
// output, or given up. It returns an error if ctx is done first.
func (s *Switch) Flush(ctx context.Context) error {
	err := s.shared.journal.Flush(ctx)
	if other := s.shared.console.Flush(ctx); err == nil {
		err = other
	}
	return err
}

// Close is Handler.Close for both outputs.
func (s *Switch) Close(ctx context.Context) error {
	err := s.shared.journal.Close(ctx)
	if other := s.shared.console.Close(ctx); err == nil {
		err = other
	}
	return err
}
