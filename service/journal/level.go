package journal

import (
	"fmt"
	"log/slog"
	"strings"
)

// Levels beside slog's own four, so that there is one for each of syslog's
// priorities.
const (
	LevelNotice = slog.Level(2)
	LevelCrit   = slog.Level(12)
	LevelAlert  = slog.Level(16)
	LevelEmerg  = slog.Level(20)
)

// levels holds each priority's level, by the priority as syslog(3) numbers it,
// and the names that systemd has for it.
var levels = [...]struct {
	level slog.Level
	name  string // in settings and in text
}{
	0: {LevelEmerg, "emerg"},
	1: {LevelAlert, "alert"},
	2: {LevelCrit, "crit"},
	3: {slog.LevelError, "err"},
	4: {slog.LevelWarn, "warning"},
	5: {LevelNotice, "notice"},
	6: {slog.LevelInfo, "info"},
	7: {slog.LevelDebug, "debug"},
}

// Priority returns the syslog priority, 0 (emerg) to 7 (debug), of a level. A
// level between two of them counts as the less urgent one.
func Priority(level slog.Level) int {
	for priority, l := range levels {
		if level >= l.level {
			return priority
		}
	}
	return len(levels) - 1
}

// LevelName returns the name of a level, as systemd writes it.
func LevelName(level slog.Level) string { return levels[Priority(level)].name }

// Level returns the level of a syslog priority; those beyond 0 to 7 count as
// the nearest.
func Level(priority int) slog.Level {
	return levels[min(max(priority, 0), len(levels)-1)].level
}

// ParseLevel reads a level as systemd writes it: a name, "err", or a syslog
// priority, "3". "warn", "error" and "fatal" are understood too.
func ParseLevel(s string) (slog.Level, error) {
	name := strings.ToLower(strings.TrimSpace(s))
	switch name {
	case "warn":
		name = "warning"
	case "error":
		name = "err"
	case "critical", "fatal":
		name = "crit"
	}
	for priority, l := range levels {
		if name == l.name || len(name) == 1 && name[0] == '0'+byte(priority) {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("%q is none of debug, info, notice, warning, err, crit, alert, emerg", s)
}
