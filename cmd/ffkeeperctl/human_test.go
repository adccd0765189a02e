package main

import (
	"math"
	"testing"
	"time"
)

func TestSpanNamesTheTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 400 * time.Microsecond: "0s", 400 * time.Millisecond: "400ms",
		time.Second: "1s", 59 * time.Second: "59s", 64 * time.Second: "1min 4s", time.Minute: "1min",
		3*time.Hour + 12*time.Minute + 4*time.Second: "3h 12min", 3*time.Hour + 4*time.Second: "3h",
		49 * time.Hour: "2d 1h", 15 * 24 * time.Hour: "2w 1d", 400 * 24 * time.Hour: "1y 5w",
		math.MaxInt64: "292y 24w",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestTimesFromOutsideStayWithinADuration(t *testing.T) {
	for _, s := range []float64{math.NaN(), math.Inf(-1), -1} {
		if d := seconds(s); d != 0 {
			t.Errorf("seconds(%v) = %v", s, d)
		}
	}
	if d := seconds(math.Inf(1)); d <= 0 {
		t.Errorf("seconds(+Inf) = %v", d)
	}
	if d := seconds(1.5); d != 1500*time.Millisecond {
		t.Errorf("seconds(1.5) = %v", d)
	}
	if !fromUsec(0).IsZero() || !fromUsec(math.MaxUint64).IsZero() {
		t.Error("0 and what no time can be are not the zero time")
	}
}

func TestAgoAndIn(t *testing.T) {
	if got := ago(noon.Add(-192*time.Minute), noon); got != "3h 12min ago" {
		t.Error(got)
	}
	if got := ago(noon.Add(14*time.Second), noon); got != "in 14s" {
		t.Error(got)
	}
	if got := stamp(noon.Add(-time.Minute), noon); got != "Mon 2026-11-23 11:59:00 UTC; 1min ago" {
		t.Error(got)
	}
	if got := stamp(time.Time{}, noon); got != "n/a" {
		t.Error(got)
	}
}

func TestByteSizesAreIEC(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB",
		54_857_600: "52.3 MiB", 1 << 40: "1.0 TiB", math.MaxUint64: "16.0 EiB",
	} {
		if got := byteSize(n); got != want {
			t.Errorf("byteSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestBitratesAreDecimal(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 bit/s", 999: "999 bit/s", 174_000: "174 kbit/s", 2_412_000: "2.41 Mbit/s", 12_000_000_000: "12.00 Gbit/s",
	} {
		if got := bitrate(n); got != want {
			t.Errorf("bitrate(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestClockIsFFmpegs(t *testing.T) {
	for n, want := range map[int64]string{
		0: "00:00:00.00", 11_524_480_000: "03:12:04.48", -23_220: "-00:00:00.02", 360_000_000_000: "100:00:00.00",
		math.MinInt64: "-2562047788:00:54.77",
	} {
		if got := clock(n); got != want {
			t.Errorf("clock(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestExitCodesNameSignals(t *testing.T) {
	for n, want := range map[int32]string{0: "0", 255: "255", -9: "SIGKILL", -15: "SIGTERM", -64: "signal 64"} {
		if got := exitCode(n); got != want {
			t.Errorf("exitCode(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSignalsAreNamedAsForKill(t *testing.T) {
	for s, want := range map[string]int{"TERM": 15, "SIGTERM": 15, "sigusr1": 10, "9": 9, "64": 64} {
		if got, err := signalNumber(s); err != nil || got != want {
			t.Errorf("signalNumber(%q) = %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "65", "TREM", "SIG"} {
		if n, err := signalNumber(s); err == nil {
			t.Errorf("signalNumber(%q) = %d, want an error", s, n)
		}
	}
}
