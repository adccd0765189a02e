package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Times, sizes and rates for people. JSON never passes through here.

// spanUnits are systemd's, without months: 5w 2d is clearer than 1month 1w.
var spanUnits = []struct {
	name string
	d    time.Duration
}{
	{"y", 365 * 24 * time.Hour},
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"min", time.Minute},
	{"s", time.Second},
}

// span writes a duration in its two largest neighbouring units: "3h 12min".
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < time.Second {
		if ms := d.Milliseconds(); ms > 0 {
			return strconv.FormatInt(ms, 10) + "ms"
		}
		return "0s"
	}
	for i, u := range spanUnits {
		if d < u.d {
			continue
		}
		s := fmt.Sprintf("%d%s", d/u.d, u.name)
		if i+1 < len(spanUnits) {
			if rest := (d % u.d) / spanUnits[i+1].d; rest > 0 {
				s += fmt.Sprintf(" %d%s", rest, spanUnits[i+1].name)
			}
		}
		return s
	}
	return "0s"
}

// seconds turns a number of seconds from outside into a duration, held within
// what a Duration can be.
func seconds(s float64) time.Duration {
	switch {
	case math.IsNaN(s) || s <= 0:
		return 0
	case s > math.MaxInt64/float64(time.Second)/2:
		return math.MaxInt64 / 2
	}
	return time.Duration(s * float64(time.Second))
}

// fromUsec turns a CLOCK_REALTIME time stamp in microseconds into a time; 0 is
// the zero time.
func fromUsec(usec uint64) time.Time {
	if usec == 0 || usec > math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMicro(int64(usec))
}

// stamp is systemd's way to write a time, with how long ago that is.
func stamp(t, now time.Time) string {
	if t.IsZero() {
		return "n/a"
	}
	return t.In(now.Location()).Format("Mon 2006-01-02 15:04:05 MST") + "; " + ago(t, now)
}

func ago(t, now time.Time) string {
	if d := now.Sub(t); d >= 0 {
		return span(d) + " ago"
	}
	return "in " + span(t.Sub(now))
}

// byteSize writes n bytes in IEC units: "52.3 MiB".
func byteSize(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), -1
	for v >= 1024 && unit < 5 {
		v /= 1024
		unit++
	}
	// 1023.96 KiB would be rounded up to 1024.0 KiB
	if v >= 1023.95 && unit < 5 {
		v, unit = 1, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[unit])
}

// bitrate writes bits per second in the decimal units of the field.
func bitrate(bps uint64) string {
	v := float64(bps)
	switch {
	case v >= 1e9:
		return fmt.Sprintf("%.2f Gbit/s", v/1e9)
	case v >= 1e6:
		return fmt.Sprintf("%.2f Mbit/s", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.0f kbit/s", v/1e3)
	}
	return fmt.Sprintf("%d bit/s", bps)
}

// clock writes a position in a stream as ffmpeg does, to the hundredth.
func clock(usec int64) string {
	sign := ""
	if usec < 0 {
		sign = "-"
		usec = -max(usec, -math.MaxInt64)
	}
	hundredths := usec / 10_000
	s := hundredths / 100
	return fmt.Sprintf("%s%02d:%02d:%02d.%02d", sign, s/3600, s/60%60, s%60, hundredths%100)
}

// figure writes a float for people: at most the given decimals, "n/a" for what
// is no number.
func figure(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "n/a"
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// exitCode writes a code as the keeper records it: minus the signal.
func exitCode(code int32) string {
	if code >= 0 {
		return strconv.Itoa(int(code))
	}
	return signalName(int(-code))
}

func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(n)
}

// signalNumber accepts what kill(1) accepts: TERM, SIGTERM, sigterm, 15.
func signalNumber(s string) (int, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("signal %d: not between 1 and 64", n)
		}
		return n, nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return int(n), nil
	}
	return 0, fmt.Errorf("signal %q: no such signal (names as in kill -l)", s)
}
