package streamfile

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// limitKind is how the value of a Limit*= is written.
type limitKind string

const (
	limitCount limitKind = "count"
	limitSize  limitKind = "size"
	limitSec   limitKind = "time span"
	limitUsec  limitKind = "time span in microseconds"
	limitNice  limitKind = "nice level"
)

// parseLimit reads "soft:hard", or one value for both, as systemd's
// rlimit_parse does (rlimit-util.c). The unit of the result is the kernel's.
func parseLimit(s string, kind limitKind) (Limit, *problem) {
	softText, hardText, two := strings.Cut(s, ":")
	soft, err := parseLimitValue(softText, kind)
	if err != nil {
		return Limit{}, err
	}
	if !two {
		return Limit{soft, soft}, nil
	}
	hard, err := parseLimitValue(hardText, kind)
	if err != nil {
		return Limit{}, err.in(len(softText) + 1)
	}
	if soft > hard {
		return Limit{}, wrong("write SOFT:HARD", "the soft limit is above the hard limit")
	}
	return Limit{soft, hard}, nil
}

func parseLimitValue(s string, kind limitKind) (uint64, *problem) {
	if s == "infinity" {
		return LimitInfinity, nil
	}
	switch kind {
	case limitSize:
		return parseSize(s)
	case limitSec:
		d, err := parseTimeSpan(s, time.Second)
		return wholeUnits(d, time.Second), err
	case limitUsec:
		d, err := parseTimeSpan(s, time.Microsecond)
		return wholeUnits(d, time.Microsecond), err
	case limitNice:
		return parseNiceLimit(s)
	}
	return parseCount(s)
}

// wholeUnits rounds up, so that a limit is never stricter than written.
func wholeUnits(d, unit time.Duration) uint64 {
	if d == Infinity {
		return LimitInfinity
	}
	n := uint64(d / unit)
	if d%unit != 0 {
		n++
	}
	return n
}

// parseNiceLimit: with a sign it is a nice level, which the kernel counts from
// 40 (for -20) down to 1 (for 19); without one it is the kernel's number.
func parseNiceLimit(s string) (uint64, *problem) {
	n, err := strconv.ParseInt(s, 10, 8)
	signed := strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-")
	switch {
	case err == nil && signed && -20 <= n && n <= 19:
		return uint64(20 - n), nil
	case err == nil && !signed && n <= 40:
		return uint64(n), nil
	}
	return 0, wrong("", "%s is neither a nice level from -20 to +19, with its sign, nor a number from 0 to 40", quoted(s))
}

// installedMemory is what percentages of MemoryMax= and MemoryHigh= refer to,
// in bytes.
func installedMemory() (uint64, *problem) {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0, wrong("write the size in bytes", "cannot tell how much memory there is: %v", err)
	}
	return uint64(info.Totalram) * uint64(info.Unit), nil
}

// systemTasks is what percentages of TasksMax= refer to: the most tasks that
// the kernel allows.
func systemTasks() (uint64, *problem) {
	most := LimitInfinity
	for _, name := range []string{"pid_max", "threads-max"} {
		text, err := os.ReadFile("/proc/sys/kernel/" + name)
		if err != nil {
			return 0, wrong("write the number of tasks", "cannot tell how many tasks there may be: %v", err)
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
			most = min(most, n)
		}
	}
	return most, nil
}
