package journal

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestSwitchMovesLoggersThatExistAlready(t *testing.T) {
	j := startJournald(t)
	var console bytes.Buffer
	s, err := NewSwitch(KindText, "me", slog.LevelInfo, &console)
	if err != nil {
		t.Fatal(err)
	}
	s.shared.journal.Close(context.Background()) // the machine's own journald is none of ours
	if s.shared.journal, err = newJournal(j.socket, slog.LevelInfo); err != nil {
		t.Fatal(err)
	}
	s.journal = s.shared.journal.WithAttrs([]slog.Attr{slog.String(FieldIdentifier, "me")})
	s.shared.socket = j.socket
	l := WithStream(slog.New(s), "cam1").WithGroup("g")

	if got := s.Target(); got != TargetConsole {
		t.Errorf("it begins with %s", got)
	}
	l.Info("one", "n", 1)
	if err := s.SetTarget(TargetJournal); err != nil {
		t.Fatal(err)
	}
	l.Info("two", "n", 2)
	l.With(FieldIdentifier, "cam1").Info("its own line")
	if err := s.SetTarget(TargetConsole); err != nil {
		t.Fatal(err)
	}
	l.Info("three", "n", 3)
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := console.String(); !strings.Contains(got, "cam1: one g.n=1\n") || !strings.Contains(got, "cam1: three g.n=3\n") || strings.Contains(got, "two") {
		t.Errorf("the console has\n%s", got)
	}
	records := j.await(2, FieldStream+"=cam1")
	if len(records) != 2 || records[0]["MESSAGE"] != "cam1: two g.n=2" || records[0][FieldIdentifier] != "me" || records[1][FieldIdentifier] != "cam1" {
		t.Errorf("the journal has %v", records)
	}
}

func TestSwitchRefusesWhatItCannotDo(t *testing.T) {
	var console bytes.Buffer
	s, err := NewSwitch(KindJSON, "me", slog.LevelInfo, &console)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	s.shared.socket = "/nosuch/socket"
	for target, want := range map[string]string{
		TargetJournal: "cannot log to the journal: stat /nosuch/socket: no such file or directory",
		"kmsg":        `"kmsg" is none of journal, console`,
		"":            `"" is none of journal, console`,
	} {
		if err := s.SetTarget(target); err == nil || err.Error() != want {
			t.Errorf("SetTarget(%q) = %v", target, err)
		}
		if got := s.Target(); got != TargetConsole {
			t.Errorf("after SetTarget(%q) it is %s", target, got)
		}
	}
}

func TestSwitchWhileOthersLog(t *testing.T) {
	var console bytes.Buffer
	s, err := NewSwitch(KindText, "me", slog.LevelInfo, &console)
	if err != nil {
		t.Fatal(err)
	}
	s.shared.socket = "/" // is there, that is all SetTarget asks
	s.journal = slog.DiscardHandler
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			l := slog.New(s).With("k", "v")
			for range 200 {
				l.Info("x")
			}
		})
	}
	for range 100 {
		if err := s.SetTarget(TargetJournal); err != nil {
			t.Error(err)
		}
		if err := s.SetTarget(TargetConsole); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	slog.New(s).Info("last")
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(console.String(), "last\n") {
		t.Error("the last record has not come to the console")
	}
}

func TestSwitchAllocatesNothing(t *testing.T) {
	h := closing(t, start(KindText, slog.LevelInfo, text{}, nowhere{}))
	s := &Switch{h, h, &outputs{journal: h, console: h}}
	l := slog.New(s).With(FieldStream, "cam1")
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() { l.LogAttrs(ctx, slog.LevelInfo, ordinaryLine) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
