// Package journal is where log/slog's records of this program go: into
// journald with all their fields, or as text or JSON to a stream.
//
// Hot path: ffmpeg's lines pass through here, hundreds a second. [Handler.Handle]
// encodes the record and puts it into a bounded queue; one goroutine takes
// the queue in batches and writes. Nobody who logs ever waits for journald,
// for a terminal or for the reader of a pipe: a stopped journald takes 278
// records and then blocks its senders, and a stream's goroutine that waits
// there no longer drains its pipes, which stops the encoder. What does not fit
// into the queue is dropped and counted, in total and by stream, and one record
// tells of it as soon as records are taken again.
//
// Attributes: a key in capitals (FFKEEPER_STREAM, MESSAGE_ID) is a journal field
// of that name. Any other is appended to the message as key=value, and sent as
// FFKEEPER_KEY too. In text, fields are not shown but for the one that the line
// begins with: SYSLOG_IDENTIFIER, else FFKEEPER_STREAM. JSON has all as they
// were given.
//
// Nothing is redacted here: records come through the handler of package redact.
package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"
)

// Kinds of output, as FFKEEPER_LOG has them.
const (
	KindAuto    = "auto" // KindJournal where stderr is journald's and it can be reached, else KindText
	KindJournal = "journal"
	KindText    = "text"
	KindJSON    = "json"
)

// socketPath is where journald listens for the native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
const socketPath = "/run/systemd/journal/socket"

// Handler is a slog.Handler. All methods may be called from any goroutine, and
// none but Flush and Close waits.
type Handler struct {
	queue  *queue
	level  slog.Leveler
	form   form
	stream string // FFKEEPER_STREAM of WithAttrs
	event  bool   // MESSAGE_ID is among WithAttrs
	kind   string
}

// form is how a record becomes bytes. It is immutable.
type form interface {
	append(b []byte, record slog.Record) []byte
	withAttrs(attrs []slog.Attr) form
	withGroup(name string) form
}

// New returns a handler of that kind for records of that level and above; the
// level may change while it is in use. Text and JSON go to out, os.Stderr if
// that is nil. The handler should be closed, or its last records may be lost.
//
// It fails for an unknown kind, and for KindJournal where there is no journald.
func New(kind string, level slog.Leveler, out io.Writer) (*Handler, error) {
	if out == nil {
		out = os.Stderr
	}
	if kind == KindAuto {
		kind = KindText
		if is, err := journal.StderrIsJournalStream(); err == nil && is {
			if h, err := newJournal(socketPath, level); err == nil {
				return h, nil
			}
		}
	}
	switch kind {
	case KindJournal:
		return newJournal(socketPath, level)
	case KindText:
		return start(kind, level, text{colour: isColourTerminal(out)}, newWriter(out)), nil
	case KindJSON:
		return start(kind, level, newJSON(nil), newWriter(out)), nil
	}
	return nil, fmt.Errorf("%q is none of %s, %s, %s, %s", kind, KindAuto, KindJournal, KindText, KindJSON)
}

// newJournal is New for the journald that listens at path.
func newJournal(path string, level slog.Leveler) (*Handler, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("cannot log to the journal: %w", err)
	}
	return start(KindJournal, level, native{}, newSocket(path)), nil
}

func start(kind string, level slog.Leveler, f form, s sink) *Handler {
	return &Handler{kind: kind, level: level, form: f, queue: newQueue(s, limits, func(b []byte, d drops) []byte {
		return f.append(b, d.record(kind))
	})}
}

// Kind returns what the handler writes: KindJournal, KindText or KindJSON.
func (h *Handler) Kind() string { return h.kind }

// Enabled reports whether records of that level are written.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// scratch holds buffers in which records are encoded: an attribute's own code
// may run then, and log itself, so that no lock may be held.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch keeps one huge record from being remembered by every buffer.
const maxScratch = 64 << 10

// Handle queues the record. It never waits and never fails: what the queue does
// not take is counted, see Dropped.
func (h *Handler) Handle(_ context.Context, record slog.Record) error {
	m := mark{at: record.Time, stream: h.stream, urgent: h.event || record.Level >= slog.LevelWarn}
	record.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case FieldStream:
			m.stream = a.Value.Resolve().String()
		case FieldMessageID:
			m.urgent = true
		}
		return true
	})
	b := scratch.Get().(*[]byte)
	*b = h.form.append((*b)[:0], record)
	h.queue.put(*b, m)
	if cap(*b) <= maxScratch {
		scratch.Put(b)
	}
	return nil
}

// WithAttrs returns a handler that adds attrs to each record. They are encoded
// here, once.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	with := *h
	with.form = h.form.withAttrs(slices.Clone(attrs))
	for _, a := range attrs {
		switch a.Key {
		case FieldStream:
			with.stream = a.Value.Resolve().String()
		case FieldMessageID:
			with.event = true
		}
	}
	return &with
}

// WithGroup returns a handler that puts name and a dot before the keys of
// attributes that are no fields.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.form = h.form.withGroup(name)
	return &with
}

// WithStream returns a logger whose records are those of a stream.
func WithStream(l *slog.Logger, name string) *slog.Logger {
	return l.With(FieldStream, name)
}

// Flush waits until all that was logged before it has been written, or given
// up. It returns an error if ctx is done first.
func (h *Handler) Flush(ctx context.Context) error { return h.queue.flush(ctx) }

// Close flushes, as long as ctx allows, and ends the handler's goroutine. What
// is logged afterwards is dropped. A second Close does nothing.
func (h *Handler) Close(ctx context.Context) error { return h.queue.close(ctx) }

// Dropped returns how many records have been dropped since the beginning.
func (h *Handler) Dropped() uint64 { return h.queue.droppedTotal() }

// DroppedOf returns how many of them were a stream's.
func (h *Handler) DroppedOf(stream string) uint64 { return h.queue.droppedOf(stream) }
