package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func closing(t *testing.T, h *Handler) *Handler {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

func flushed(t *testing.T, h *Handler) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := h.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsReachTheJournalWithTheirFields(t *testing.T) {
	j := startJournald(t)
	level := new(slog.LevelVar)
	h, err := newJournal(j.socket, level)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, h)
	l := WithStream(slog.New(h), "cam1").With("SYSLOG_IDENTIFIER", "ffkeeperd", "key", "v w")
	l.Error("exit", "MESSAGE_ID", "a596d6fe7bfa4994828e72309e95d61e", "FFKEEPER_EXIT_CODE", -9, "err", errors.New("two\nlines"), slog.Group("g", "n", 1, "FFKEEPER_PID", 4711))
	l.Log(t.Context(), LevelNotice, "one\ntwo\n", "SYSLOG_IDENTIFIER", "cam1", "raw", []byte("a\x00b\xff"))
	l.Debug("not at this level")
	level.Set(slog.LevelDebug)
	l.WithGroup("deep").Debug("at this level", "k", "v", "_PID", 1, "MESSAGE", "m", "PRIORITY", 0)
	flushed(t, h)

	got := j.await(3, "FFKEEPER_STREAM=cam1")
	for i, want := range []map[string]string{
		{"PRIORITY": "3", "MESSAGE": `cam1: exit key="v w" err="two\nlines" g.n=1`, "MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e", "FFKEEPER_EXIT_CODE": "-9",
			"FFKEEPER_ERR": "two\nlines", "FFKEEPER_KEY": "v w", "FFKEEPER_G_N": "1", "FFKEEPER_PID": "4711", "SYSLOG_IDENTIFIER": "ffkeeperd", "_TRANSPORT": "journal"},
		{"PRIORITY": "5", "MESSAGE": "one\ntwo\n key=\"v w\" raw=\"a\\x00b\\xff\"", "FFKEEPER_RAW": "a\x00b\xff", "SYSLOG_IDENTIFIER": "cam1"},
		{"PRIORITY": "7", "MESSAGE": `cam1: at this level key="v w" deep.k=v deep._PID=1 deep.MESSAGE=m deep.PRIORITY=0`, "FFKEEPER_DEEP_K": "v",
			"FFKEEPER_DEEP__PID": "1", "FFKEEPER_DEEP_MESSAGE": "m", "_PID": fmt.Sprint(os.Getpid())},
	} {
		for field, value := range want {
			if got[i][field] != value {
				t.Errorf("record %d: %s is %q, want %q", i, field, got[i][field], value)
			}
		}
	}
	if len(got) != 3 {
		t.Errorf("%d records", len(got))
	}
}

func TestLargeRecordsReachTheJournal(t *testing.T) {
	j := startJournald(t)
	h, err := newJournal(j.socket, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, h)
	for _, size := range []int{100, 100_000, 300_000, maxValue, maxValue + 1, 3 << 20} {
		slog.New(h).Info(strings.Repeat("x", size), "FFKEEPER_SIZE", size)
		flushed(t, h)
		got := j.await(1, fmt.Sprintf("FFKEEPER_SIZE=%d", size))[0]["MESSAGE"].(string)
		if size <= maxValue && len(got) != size {
			t.Errorf("%d bytes become %d", size, len(got))
		}
		if size > maxValue && (len(got) > maxValue+100 || !strings.HasSuffix(got, fmt.Sprintf("... (%d bytes more)", size-maxValue))) {
			t.Errorf("%d bytes become %d, ending in %q", size, len(got), got[len(got)-30:])
		}
	}
	if n := h.Dropped(); n != 0 {
		t.Errorf("%d records dropped", n)
	}
}

func TestRestartOfJournaldLosesNothing(t *testing.T) {
	j := startJournald(t)
	h, err := newJournal(j.socket, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, h)
	l := slog.New(h)
	l.Info("before", "FFKEEPER_TEST", 1)
	flushed(t, h)
	j.stop()
	if err := os.Remove(j.socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for i := range 1000 {
		l.Warn("meanwhile", "FFKEEPER_TEST", 2, "FFKEEPER_N", i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush without journald: %v", err)
	}
	j.start()
	flushed(t, h)
	got := j.await(1000, "FFKEEPER_TEST=2")
	for i, r := range got {
		if r["FFKEEPER_N"] != fmt.Sprint(i) {
			t.Fatalf("record %d is number %v", i, r["FFKEEPER_N"])
		}
	}
	if n := h.Dropped(); n != 0 {
		t.Errorf("%d records dropped", n)
	}
}

// A stopped journald must not stop anybody else.
func TestStoppedJournaldBlocksNobody(t *testing.T) {
	j := startJournald(t)
	h, err := newJournal(j.socket, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, h)
	l := slog.New(h)
	cam1, cam2 := WithStream(l, "cam1"), WithStream(l, "cam2")
	j.signal(syscall.SIGSTOP)

	const n = 100_000
	var longest time.Duration
	begin := time.Now()
	for i := range n {
		start := time.Now()
		if i%10 == 0 {
			cam2.Info("a line of the other", "FFKEEPER_N", i)
		} else {
			cam1.Info("a line of ffmpeg's, as long as they are on the average: 0123456789 0123456789 0123456789", "FFKEEPER_N", i)
		}
		longest = max(longest, time.Since(start))
	}
	took := time.Since(begin)
	t.Logf("%d records took %v, the longest %v", n, took, longest)
	if longest > time.Second || took > 20*time.Second {
		t.Errorf("%d records took %v, the longest %v", n, took, longest)
	}
	cam1.Error("important", "FFKEEPER_TEST", "important")
	dropped := h.Dropped()
	if dropped < n/2 || dropped >= n {
		t.Errorf("%d of %d records were dropped", dropped, n)
	}
	if a, b := h.DroppedOf("cam1"), h.DroppedOf("cam2"); a+b != dropped || b < dropped/20 || b > dropped/5 {
		t.Errorf("of %d dropped records, %d are cam1's and %d cam2's", dropped, a, b)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush with a stopped journald: %v", err)
	}

	j.signal(syscall.SIGCONT)
	flushed(t, h)
	told := j.await(1, "FFKEEPER_EVENT=records-dropped")[0]
	want := fmt.Sprintf("%d records were dropped while the journal did not take them: cam1 %d, cam2 %d", dropped, h.DroppedOf("cam1"), h.DroppedOf("cam2"))
	if told["MESSAGE"] != want || told["FFKEEPER_DROPPED"] != fmt.Sprint(dropped) || told["PRIORITY"] != "4" {
		t.Errorf("the record about drops is %v,\nwant %q", told, want)
	}
	j.await(1, "FFKEEPER_TEST=important") // there was a place for it
	got := j.records("FFKEEPER_STREAM=cam1", "FFKEEPER_STREAM=cam2")
	if len(got) != n+1-int(dropped) {
		t.Errorf("%d records in the journal and %d dropped are not %d", len(got), dropped, n+1)
	}
	if late, ok := got[len(got)-1]["FFKEEPER_TIME"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, late); err != nil || at.Before(begin.Add(-time.Second)) || at.After(time.Now()) {
			t.Errorf("FFKEEPER_TIME=%s", late)
		}
	}
	cam1.Info("goes on", "FFKEEPER_TEST", "on")
	j.await(1, "FFKEEPER_TEST=on")
}

func TestCloseIsBoundedWhateverJournaldDoes(t *testing.T) {
	j := startJournald(t)
	h, err := newJournal(j.socket, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	j.signal(syscall.SIGSTOP)
	for range 2000 {
		slog.New(h).Warn("x")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "cannot write ") {
		t.Errorf("Close: %v", err)
	}
	<-h.queue.done
	if n := h.Dropped(); n < 1000 || n > 2000 {
		t.Errorf("%d records are counted as dropped", n)
	}
	if err := h.Close(ctx); err != nil {
		t.Errorf("second Close: %v", err)
	}
	slog.New(h).Warn("x")
	j.signal(syscall.SIGCONT)
}

func TestNewNeedsAJournald(t *testing.T) {
	if _, err := newJournal("/nosuch/socket", slog.LevelInfo); err == nil || !strings.Contains(err.Error(), "cannot log to the journal: stat /nosuch/socket") {
		t.Errorf("newJournal: %v", err)
	}
	if _, err := New("paper", slog.LevelInfo, nil); err == nil || err.Error() != `"paper" is none of auto, journal, text, json` {
		t.Errorf("New: %v", err)
	}
}

func TestAutoIsTextWithoutAJournal(t *testing.T) {
	for _, stream := range []string{"", "1:2", "rubbish"} {
		t.Setenv("JOURNAL_STREAM", stream)
		h, err := New(KindAuto, slog.LevelInfo, nil)
		if err != nil {
			t.Fatal(err)
		}
		closing(t, h)
		if h.Kind() != KindText {
			t.Errorf("with JOURNAL_STREAM=%s it is %s", stream, h.Kind())
		}
	}
}

func TestAutoIsTheJournalWhereStderrIs(t *testing.T) {
	var st syscall.Stat_t
	if err := syscall.Fstat(2, &st); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	h, err := New(KindAuto, slog.LevelInfo, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := KindJournal
	if _, err := os.Stat(socketPath); err != nil {
		want = KindText // there is no journald here after all
	}
	if got := closing(t, h).Kind(); got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
}
