package main

import (
	"testing"
	"time"
)

func TestSinceUnderstandsJournalctlsTimes(t *testing.T) {
	for s, want := range map[string]time.Time{
		"now":                  noon,
		"today":                noon.Add(-12 * time.Hour),
		"yesterday":            noon.Add(-36 * time.Hour),
		"-1h":                  noon.Add(-time.Hour),
		"-1h 30min":            noon.Add(-90 * time.Minute),
		"10min ago":            noon.Add(-10 * time.Minute),
		"90 ago":               noon.Add(-90 * time.Second),
		"2.5 s ago":            noon.Add(-2500 * time.Millisecond),
		"2026-11-20":           time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
		"2026-11-20 10:05":     time.Date(2026, 11, 20, 10, 5, 0, 0, time.UTC),
		"2026-11-20 10:05:06":  time.Date(2026, 11, 20, 10, 5, 6, 0, time.UTC),
		"2026-11-20T10:05:06Z": time.Date(2026, 11, 20, 10, 5, 6, 0, time.UTC),
		"10:05":                time.Date(2026, 11, 23, 10, 5, 0, 0, time.UTC),
		"10:05:06":             time.Date(2026, 11, 23, 10, 5, 6, 0, time.UTC),
		"@1795442700":          time.Unix(1795442700, 0),
	} {
		if got, err := parseSince(s, noon); err != nil || !got.Equal(want) {
			t.Errorf("parseSince(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "soon", "-", "ago", " ago", "-1 fortnight", "25:00", "@x", "-1e400s", "-99999999999d"} {
		if got, err := parseSince(s, noon); err == nil {
			t.Errorf("parseSince(%q) = %v, want an error", s, got)
		}
	}
}

func FuzzParseSinceNeverLeavesTheCalendar(f *testing.F) {
	for _, s := range []string{"now", "-1h", "1h 30min ago", "@12", "2026-11-20 10:05", "10:05", "-.", "-1..2s", "-999999y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseSince(s, noon)
		if err == nil && (got.Year() < -1 || got.Year() > 9999) {
			t.Fatalf("parseSince(%q) = %v", s, got)
		}
		if d, err := parseSpan(s); err == nil && d < 0 {
			t.Fatalf("parseSpan(%q) = %v", s, d)
		}
	})
}
