package journal

import (
	"log/slog"
	"testing"
)

func TestPriorityOfLevels(t *testing.T) {
	for level, want := range map[slog.Level]int{
		-100: 7, slog.LevelDebug: 7, -1: 7,
		slog.LevelInfo: 6, 1: 6,
		LevelNotice: 5, 3: 5,
		slog.LevelWarn: 4, 7: 4,
		slog.LevelError: 3, 11: 3,
		LevelCrit: 2, 15: 2,
		LevelAlert: 1, 19: 1,
		LevelEmerg: 0, 1000: 0,
	} {
		if got := Priority(level); got != want {
			t.Errorf("Priority(%d) = %d, want %d", level, got, want)
		}
	}
}

func TestLevelOfPriorities(t *testing.T) {
	for priority, want := range []slog.Level{20, 16, 12, 8, 4, 2, 0, -4} {
		if got := Level(priority); got != want {
			t.Errorf("Level(%d) = %d, want %d", priority, got, want)
		}
		if got, err := ParseLevel(LevelName(want)); err != nil || got != want {
			t.Errorf("ParseLevel(LevelName(%d)) = %d, %v", want, got, err)
		}
		if got := Priority(Level(priority)); got != priority {
			t.Errorf("Priority(Level(%d)) = %d", priority, got)
		}
	}
	if Level(-1) != LevelEmerg || Level(8) != slog.LevelDebug {
		t.Errorf("Level(-1) = %d, Level(8) = %d", Level(-1), Level(8))
	}
}

func TestParseLevel(t *testing.T) {
	for s, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "notice": LevelNotice, "warning": slog.LevelWarn, "warn": slog.LevelWarn,
		"err": slog.LevelError, "error": slog.LevelError, "ERROR": slog.LevelError, "crit": LevelCrit, "alert": LevelAlert, " emerg ": LevelEmerg,
		"0": LevelEmerg, "3": slog.LevelError, "7": slog.LevelDebug,
	} {
		if got, err := ParseLevel(s); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "8", "-1", "loud", "infos"} {
		if got, err := ParseLevel(s); err == nil {
			t.Errorf("ParseLevel(%q) = %v", s, got)
		}
	}
}
