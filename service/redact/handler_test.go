package redact

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

type secretive struct{ URL string }

func (s secretive) LogValue() slog.Value { return slog.StringValue(s.URL) }

// logged returns what l writes through a redacting text handler.
func logged(r *Redactor, l func(*slog.Logger)) string {
	var b bytes.Buffer
	l(slog.New(r.Handler(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))))
	return b.String()
}

func TestHandlerRedactsMessageAndEveryKindOfAttribute(t *testing.T) {
	const planted = "rtmp://a.example/live/KEY123"
	r := New()
	got := logged(r, func(l *slog.Logger) {
		l = l.With("with", planted).WithGroup("group").With("in", planted)
		l.Info("to "+planted,
			"string", planted,
			"error", errors.New("cannot open "+planted),
			"args", []string{"ffmpeg", "-passphrase", "KEY123", planted},
			"bytes", []byte(planted),
			"struct", struct{ A, B string }{planted, "KEY-free"},
			"map", map[string]any{"a": planted},
			"valuer", secretive{planted},
			slog.Group("inner", "x", planted),
			"passphrase", "KEY123",
			"password", secretive{"KEY123"},
			"rtmp_token", 42,
			"key", "ExecStart=",
			"n", 1, "d", time.Second, "nil", nil)
	})
	if strings.Contains(got, "KEY123") {
		t.Errorf("the secret is in %s", got)
	}
	for _, want := range []string{"rtmp://a.example/live/[redacted]", "KEY-free", "key=\"ExecStart=\"", "n=1", "d=1s", "nil=<nil>", `group.passphrase=[redacted]`, "rtmp_token=42"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
}

func TestHandlerLeavesNamesAlone(t *testing.T) {
	r := New()
	if err := r.Register("cam1-main"); err != nil {
		t.Fatal(err)
	}
	got := logged(r, func(l *slog.Logger) { l.Info("cam1-main", "FFKEEPER_STREAM", "cam1-main", "other", "cam1-main") })
	if want := "level=INFO msg=[redacted] FFKEEPER_STREAM=cam1-main other=[redacted]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type discard struct{ slog.Handler }

func (discard) Enabled(context.Context, slog.Level) bool      { return true }
func (discard) Handle(_ context.Context, r slog.Record) error { return nil }
func (d discard) WithAttrs([]slog.Attr) slog.Handler          { return d }

func TestHandlerAllocatesNothingWhereThereIsNothingToHide(t *testing.T) {
	h := New().Handler(discard{})
	record := slog.NewRecord(time.Now(), slog.LevelInfo, ordinaryLine, 0)
	record.AddAttrs(slog.String("FFKEEPER_STREAM", "cam1"), slog.String("SYSLOG_IDENTIFIER", "cam1"), slog.Int("FFKEEPER_PID", 4711))
	if n := testing.AllocsPerRun(100, func() { _ = h.Handle(context.Background(), record) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
