package main

import "time"

// renderLines shows kept lines as journalctl shows its short form; how grave a
// line is, is told by its style.
func renderLines(lines []logLine, now time.Time) []line {
	out := make([]line, 0, len(lines))
	for _, l := range lines {
		out = append(out, renderLine(l, now))
	}
	return out
}

func renderLine(l logLine, now time.Time) line {
	when := "?"
	if t := l.time(); !t.IsZero() {
		when = t.In(now.Location()).Format(time.Stamp)
	}
	return line{{plain, when + " "}, {priorityStyle(l.Priority), l.Text}}
}

// priorityStyle is journalctl's: errors red, warnings yellow, notices bold,
// debugging faint.
func priorityStyle(p int32) style {
	switch {
	case p < 0 || p > 7 || p == 6:
		return plain
	case p <= 3:
		return red
	case p == 4:
		return yellow
	case p == 5:
		return bold
	}
	return faint
}
