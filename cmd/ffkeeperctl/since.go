package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseSince understands the times of journalctl --since that people use:
// "2026-11-23 14:05:09", "2026-11-23", "14:05", "now", "today", "yesterday",
// "@1795442700", "-1h", "1h 30min ago". journalctl itself is given the text as
// it is; this is for the kept lines.
func parseSince(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch s {
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if rest, ok := strings.CutPrefix(s, "@"); ok {
		if f, err := strconv.ParseFloat(rest, 64); err == nil && f >= 0 && f < 1e11 {
			return time.UnixMicro(int64(f * 1e6)), nil
		}
	}
	back, isBack := strings.CutPrefix(s, "-")
	if !isBack {
		back, isBack = strings.CutSuffix(s, " ago")
	}
	if isBack {
		if d, err := parseSpan(back); err == nil {
			return now.Add(-d), nil
		}
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf(`time %q: not understood (as in "2026-11-23 14:05", "14:05", "yesterday", "-1h", "10min ago")`, s)
}

var spanWords = map[string]time.Duration{
	"us": time.Microsecond, "usec": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second, "": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// parseSpan reads a time span as in systemd: "90", "1h 30min", "2.5s".
func parseSpan(s string) (time.Duration, error) {
	bad := fmt.Errorf(`time span %q: not understood (as in 90, 30s, "1h 30min")`, s)
	rest := strings.TrimSpace(s)
	if rest == "" {
		return 0, bad
	}
	var sum float64
	for rest != "" {
		n := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n < 0 {
			n = len(rest)
		}
		value, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[n:], " ")
		n = strings.IndexFunc(rest, func(r rune) bool { return r < 'a' || r > 'z' })
		if n < 0 {
			n = len(rest)
		}
		unit, ok := spanWords[rest[:n]]
		if !ok {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[n:], " ")
		sum += value * float64(unit)
	}
	if sum > float64(100*365*24*time.Hour) {
		return 0, bad
	}
	return time.Duration(sum), nil
}

// spanFlag is a flag that takes a time span of systemd's kind; bare numbers
// are seconds.
type spanFlag struct{ d time.Duration }

func (f *spanFlag) String() string {
	if f.d == 0 {
		return ""
	}
	return span(f.d)
}

func (f *spanFlag) Set(s string) error {
	d, err := parseSpan(s)
	if err != nil {
		return err
	}
	if d <= 0 {
		return fmt.Errorf("time span %q: must be more than nothing", s)
	}
	f.d = d
	return nil
}

func (f *spanFlag) Type() string { return "time" }
