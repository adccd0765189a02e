package journal

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
)

// jsonForm has slog's own JSON handler render records. That handler can only
// write, so each of a pool of them writes into a buffer of its own.
type jsonForm struct {
	with []func(slog.Handler) slog.Handler // of WithAttrs and WithGroup, in order
	pool *sync.Pool
}

type jsonWriter struct {
	buf     bytes.Buffer
	handler slog.Handler
}

func newJSON(with []func(slog.Handler) slog.Handler) jsonForm {
	return jsonForm{with, &sync.Pool{New: func() any {
		w := &jsonWriter{}
		w.handler = slog.NewJSONHandler(&w.buf, &slog.HandlerOptions{Level: slog.Level(math.MinInt), ReplaceAttr: nameLevel})
		for _, f := range with {
			w.handler = f(w.handler)
		}
		return w
	}}}
}

// nameLevel gives the levels that slog has no name for one: NOTICE, not INFO+2.
func nameLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 || a.Key != slog.LevelKey {
		return a
	}
	if level, ok := a.Value.Any().(slog.Level); ok {
		switch level {
		case LevelNotice, LevelCrit, LevelAlert, LevelEmerg:
			a.Value = slog.StringValue(strings.ToUpper(levels[Priority(level)].name))
		}
	}
	return a
}

func (f jsonForm) append(b []byte, record slog.Record) []byte {
	w := f.pool.Get().(*jsonWriter)
	w.buf.Reset()
	// It fails only where writing does, and a buffer takes everything.
	_ = w.handler.Handle(context.Background(), record)
	b = append(b, w.buf.Bytes()...)
	if w.buf.Cap() <= maxScratch {
		f.pool.Put(w)
	}
	return b
}

func (f jsonForm) withAttrs(attrs []slog.Attr) form {
	return f.and(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (f jsonForm) withGroup(name string) form {
	return f.and(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (f jsonForm) and(with func(slog.Handler) slog.Handler) form {
	return newJSON(append(slices.Clip(f.with), with))
}
