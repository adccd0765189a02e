package streamfile

import (
	"strings"
	"time"
)

// timeUnit is a unit of a time span; the list is extract_multiplier's
// (time-util.c of systemd 252), longest first where one begins another.
type timeUnit struct {
	name string
	unit time.Duration
}

const (
	day   = 24 * time.Hour
	month = 2629800 * time.Second  // 30.44 days
	year  = 31557600 * time.Second // 365.25 days
)

var timeUnits = []timeUnit{
	{"seconds", time.Second}, {"second", time.Second}, {"sec", time.Second}, {"s", time.Second},
	{"minutes", time.Minute}, {"minute", time.Minute}, {"min", time.Minute},
	{"months", month}, {"month", month}, {"msec", time.Millisecond}, {"ms", time.Millisecond},
	{"M", month}, {"m", time.Minute},
	{"hours", time.Hour}, {"hour", time.Hour}, {"hr", time.Hour}, {"h", time.Hour},
	{"days", day}, {"day", day}, {"d", day},
	{"weeks", 7 * day}, {"week", 7 * day}, {"w", 7 * day},
	{"years", year}, {"year", year}, {"y", year},
	{"usec", time.Microsecond}, {"us", time.Microsecond}, {"μs", time.Microsecond}, {"µs", time.Microsecond},
}

const spanHint = "write for example 500ms, 2s, 1min 30s or infinity"

// parseTimeSpan reads a time span as systemd's parse_time does: numbers with
// units, added up; a number without one is in bare. The result is never
// negative; "infinity" is Infinity. A finite span ends at 292 years.
func parseTimeSpan(s string, bare time.Duration) (time.Duration, *problem) {
	bad := func() (time.Duration, *problem) {
		return 0, wrong(spanHint, "%s is not a time span", quoted(s))
	}
	rest := strings.Trim(s, blanks)
	if rest == "infinity" {
		return Infinity, nil
	}
	if rest == "" {
		return bad()
	}
	var sum time.Duration
	for rest != "" {
		if rest[0] == '-' {
			return 0, wrong("", "a time span cannot be negative")
		}
		whole, after := digits(strings.TrimPrefix(rest, "+"))
		fraction, point := "", strings.HasPrefix(after, ".")
		if point {
			fraction, after = digits(after[1:])
		}
		if whole == "" && (!point || rest[0] == '+') || point && fraction == "" {
			return bad()
		}
		unitText := strings.TrimLeft(after, blanks)
		unit, next := bare, unitText
		for _, u := range timeUnits {
			if strings.HasPrefix(unitText, u.name) {
				unit, next = u.unit, unitText[len(u.name):]
				break
			}
		}
		// "12.34.56" is nothing, "12.34 .56" is two numbers.
		if next == after && next != "" {
			return bad()
		}
		part, ok := scale(whole, fraction, unit)
		if !ok || sum > Infinity-1-part {
			return 0, wrong("write infinity for no limit", "the time span is too long")
		}
		sum += part
		rest = strings.TrimLeft(next, blanks)
	}
	return sum, nil
}

// digits cuts the leading decimal digits off.
func digits(s string) (number, rest string) {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// scale is whole.fraction times unit.
func scale(whole, fraction string, unit time.Duration) (time.Duration, bool) {
	var n time.Duration
	for _, c := range whole {
		if n > (Infinity-9)/10 {
			return 0, false
		}
		n = n*10 + time.Duration(c-'0')
	}
	if n > (Infinity-1)/unit {
		return 0, false
	}
	n *= unit
	for _, c := range fraction {
		unit /= 10
		part := time.Duration(c-'0') * unit
		if n > Infinity-1-part {
			return 0, false
		}
		n += part
	}
	return n, true
}

// formatSpan shows a span the way it could have been written.
func formatSpan(d time.Duration) string {
	if d == Infinity {
		return "infinity"
	}
	return d.String()
}
