package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// written returns what l writes through a handler of that kind.
func written(t *testing.T, kind string, l func(*slog.Logger)) string {
	t.Helper()
	var b bytes.Buffer
	h, err := New(kind, slog.LevelInfo, &b)
	if err != nil {
		t.Fatal(err)
	}
	l(slog.New(h))
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-h.queue.done
	return b.String()
}

func TestTextIsForPeople(t *testing.T) {
	got := written(t, KindText, func(l *slog.Logger) {
		l.Info("12 streams", "FFKEEPER_PID", 1, "n", 2)
		cam := WithStream(l, "cam1")
		cam.Info("[flv @ 0x1] opened")
		cam.Log(t.Context(), LevelNotice, "notice")
		cam.Warn("slow", "speed", 0.5, "reason", "too slow")
		cam.With("SYSLOG_IDENTIFIER", "other").Error("exit", "MESSAGE_ID", "x")
		cam.Log(t.Context(), LevelCrit, "crit", "FFKEEPER_STREAM", "cam2")
		cam.Debug("unseen")
		cam.WithGroup("g").With("a", 1).Info("group", slog.Group("h", "b", 2))
		cam.Error("two\nlines, cam2: forged\n")
	})
	want := `12 streams n=2
cam1: [flv @ 0x1] opened
cam1: notice
cam1: warning: slow speed=0.5 reason="too slow"
other: error: exit
cam2: critical: crit
cam1: group g.a=1 g.h.b=2
cam1: error: two
cam1:   lines, cam2: forged
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTextNeutralisesControlCharacters(t *testing.T) {
	got := written(t, KindText, func(l *slog.Logger) {
		WithStream(l, "c\x1b[2Jam\n1").Info("a\x1b]0;title\x07b\rc\x00d\x7fe\u009bf\xffg\u202eh\u2028i\u2066j\tk ö 世 🎥")
	})
	want := `c\x1b[2Jam\x0a1: a\x1b]0;title\x07b\x0dc\x00d\x7fe\u009bf\xffg\u202eh\u2028i\u2066j` + "\tk ö 世 🎥\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	f := text{colour: true, stream: "cam1"}
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "cam1: \x1b[2mm\x1b[0m\n",
		slog.LevelInfo:  "cam1: m\n",
		slog.LevelWarn:  "cam1: \x1b[33mwarning: m\x1b[0m\n",
		slog.LevelError: "cam1: \x1b[31merror: m\x1b[0m\n",
		LevelEmerg:      "cam1: \x1b[1m\x1b[31memerg: m\x1b[0m\n",
	} {
		if got := string(f.append(nil, slog.NewRecord(time.Time{}, level, "m", 0))); got != want {
			t.Errorf("%v: got %q, want %q", level, got, want)
		}
	}
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs pseudo-terminals:", err)
	}
	defer pty.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !isColourTerminal(pty) {
		t.Error("no colours on a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if isColourTerminal(pty) {
		t.Error("colours in spite of NO_COLOR")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if isColourTerminal(pty) {
		t.Error("colours on a dumb terminal")
	}
	t.Setenv("TERM", "xterm")
	file, err := os.Create(t.TempDir() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isColourTerminal(file) || isColourTerminal(&bytes.Buffer{}) {
		t.Error("colours in a file")
	}
}

func TestJSONHasFieldsAsGiven(t *testing.T) {
	got := written(t, KindJSON, func(l *slog.Logger) {
		WithStream(l, "cam1").WithGroup("g").With("a", 1).Warn("two\nlines", "b", []string{"x"})
		l.Log(t.Context(), LevelNotice, "n", "level", "own")
	})
	var first, second map[string]any
	d := json.NewDecoder(strings.NewReader(got))
	if err := d.Decode(&first); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(&second); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more than two records: %s", got)
	}
	if g, ok := first["g"].(map[string]any); !ok || g["a"] != 1.0 || first["FFKEEPER_STREAM"] != "cam1" || first["level"] != "WARN" || first["msg"] != "two\nlines" {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(got, `"level":"NOTICE"`) {
		t.Errorf("got %s", got)
	}
}

func TestReaderThatDoesNotReadBlocksNobody(t *testing.T) {
	for _, kind := range []string{KindText, KindJSON} {
		t.Run(kind, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			h, err := New(kind, slog.LevelInfo, w)
			if err != nil {
				t.Fatal(err)
			}
			l := WithStream(slog.New(h), "cam1")
			const n = 20_000
			var longest time.Duration
			for range n {
				start := time.Now()
				l.Info("a line of ffmpeg's, as long as they are on the average: 0123456789 0123456789 0123456789")
				longest = max(longest, time.Since(start))
			}
			if longest > time.Second {
				t.Errorf("a call took %v", longest)
			}
			dropped := h.Dropped()
			if dropped == 0 || dropped != h.DroppedOf("cam1") {
				t.Errorf("dropped %d, of cam1 %d", dropped, h.DroppedOf("cam1"))
			}
			var b bytes.Buffer
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = io.Copy(&b, r) })
			if err := h.Close(t.Context()); err != nil {
				t.Error(err)
			}
			<-h.queue.done
			w.Close()
			wg.Wait()
			if got := strings.Count(b.String(), "average"); got != n-int(dropped) {
				t.Errorf("%d written and %d dropped are not %d", got, dropped, n)
			}
			if !strings.Contains(b.String(), "records were dropped while the output did not take them: cam1 ") {
				t.Error("the drops are not told of")
			}
		})
	}
}

func TestClosedReaderEndsNothing(t *testing.T) {
	if os.Getenv("JOURNAL_TEST_CLOSED") != "" {
		h, err := New(KindText, slog.LevelInfo, os.Stderr)
		if err != nil {
			os.Exit(3)
		}
		for range 10 {
			slog.New(h).Error("nobody reads this")
			if err := h.Flush(context.Background()); err != nil {
				os.Exit(4)
			}
		}
		if h.Dropped() < 10 {
			os.Exit(5)
		}
		os.Exit(42)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestClosedReaderEndsNothing$")
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_CLOSED=1")
	cmd.Stderr = w
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("the program that logs: %v", err)
	}
}

func TestLoggingFromAnAttributeDoesNotDeadlock(t *testing.T) {
	for _, kind := range []string{KindText, KindJSON} {
		got := written(t, kind, func(l *slog.Logger) { l.Info("outer", "a", loud{l}) })
		if !strings.Contains(got, "inner") || !strings.Contains(got, "outer") {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

type loud struct{ l *slog.Logger }

func (v loud) LogValue() slog.Value {
	v.l.Info("inner")
	return slog.StringValue("x")
}

// No text may act on a terminal, or pass for another stream's record.
func FuzzText(f *testing.F) {
	f.Add("a\x1b[2Jb", "k", "v w", "cam1", 4)
	f.Add("a\n\nb\r\n", "FFKEEPER_STREAM", "cam2\n", "\xff", 8)
	f.Fuzz(func(t *testing.T, message, key, value, stream string, level int) {
		if key == FieldStream || key == FieldIdentifier || stream == "" {
			return // these name the stream themselves
		}
		record := slog.NewRecord(time.Time{}, slog.Level(level), message, 0)
		record.AddAttrs(slog.String(key, value))
		got := string(text{stream: stream}.append(nil, record))
		if !strings.HasSuffix(got, "\n") || !utf8.ValidString(got) {
			t.Errorf("got %q", got)
		}
		name := string(appendVisible(nil, stream)) + ": "
		for line := range strings.Lines(got) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.HasPrefix(line, name) {
				t.Errorf("%q does not begin with %q", line, name)
			}
			if i := strings.IndexFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }); i >= 0 {
				t.Errorf("%q has a control character", line)
			}
		}
	})
}
