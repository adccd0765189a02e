package redact

import (
	"context"
	"fmt"
	"log/slog"
)

// Handler returns a handler that hands every record on to h with message and
// attributes redacted. Strings are redacted, and removed whole where their key
// tells of a secret; values of other kinds than numbers, booleans and times are
// turned into strings first, since what they would print cannot be known.
// A record in which there is nothing to remove is handed on as it is.
//
// Attributes of WithAttrs are redacted when they are given, with the secrets
// known at that time.
func (r *Redactor) Handler(h slog.Handler) slog.Handler {
	return &handler{r, h}
}

type handler struct {
	r    *Redactor
	next slog.Handler
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	message := h.r.String(record.Message)
	clean := true
	record.Attrs(func(a slog.Attr) bool {
		_, changed := h.r.attr(a)
		clean = !changed
		return clean
	})
	if clean {
		record.Message = message
		return h.next.Handle(ctx, record)
	}
	out := slog.NewRecord(record.Time, record.Level, message, record.PC)
	record.Attrs(func(a slog.Attr) bool {
		a, _ = h.r.attr(a)
		out.AddAttrs(a)
		return true
	})
	return h.next.Handle(ctx, out)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.r, h.next.WithAttrs(h.r.attrs(attrs))}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.r, h.next.WithGroup(name)}
}

func (r *Redactor) attrs(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i], _ = r.attr(a)
	}
	return out
}

// attr returns a redacted, and whether that is another than a.
func (r *Redactor) attr(a slog.Attr) (redacted slog.Attr, changed bool) {
	switch a.Key {
	case "FFKEEPER_STREAM", "SYSLOG_IDENTIFIER", "MESSAGE_ID":
		return a, false // a name, also where it happens to be a stream key as well
	}
	// Only strong names: "key" and "session" are ordinary attributes.
	secret := nameOf(a.Key) >= strong
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		s := v.String()
		if secret && s != "" {
			return slog.String(a.Key, Marker), s != Marker
		}
		out := r.String(s)
		if len(out) == len(s) && out == s {
			return a, false
		}
		return slog.String(a.Key, out), true
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindTime, slog.KindUint64:
		return a, false
	case slog.KindGroup:
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(r.attrs(v.Group())...)}, true
	case slog.KindLogValuer:
		a, _ = r.attr(slog.Attr{Key: a.Key, Value: v.Resolve()})
		return a, true
	default:
		if v.Any() == nil {
			return a, false
		}
		if secret {
			return slog.String(a.Key, Marker), true
		}
		return slog.String(a.Key, r.any(v.Any())), true
	}
}

// any returns what is fit to be shown of a value of any type.
func (r *Redactor) any(v any) string {
	if args, ok := v.([]string); ok {
		return fmt.Sprintf("%q", r.Args(args))
	}
	if b, ok := v.([]byte); ok {
		return r.String(string(b))
	}
	return r.String(fmt.Sprintf("%+v", v)) // which takes Error and String, and survives their panics
}
