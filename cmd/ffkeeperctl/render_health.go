package main

import (
	"strings"
)

// renderHealth is the report of `health`: the troubled first, each with what
// is known of the why, then the rest in one line each.
func renderHealth(streams []*view, g glyphs) []line {
	columns := []column{{title: "  NAME"}, {title: "HEALTH"}, {title: "STATE"}, {title: "WHY"}}
	var rows [][]line
	for _, v := range streams {
		rows = append(rows, []line{
			nameCell(v, g),
			styled(v.healthStyle(), v.Health), styled(v.stateStyle(), v.State), text(why(v)),
		})
	}
	columns, rows = withHosts(streams, columns, rows)
	out := table(columns, rows, under)
	return append(out, nil, verdict(streams))
}

// why is the reason, and the last line of stderr that may explain it.
func why(v *view) string {
	if v.healthy() || v.Health == "none" {
		return ""
	}
	parts := []string{}
	if v.Reason != "" {
		parts = append(parts, v.Reason)
	}
	if details := detailLines(v); len(details) > 0 {
		parts = append(parts, details[0])
	} else if n := len(v.RecentErrors); n > 0 {
		parts = append(parts, v.RecentErrors[n-1])
	}
	return strings.Join(parts, ": ")
}

// verdict says in one line what the exit code says.
func verdict(streams []*view) line {
	if bad := countUnhealthy(streams); bad > 0 {
		return styled(red, "Not healthy: "+tally(streams)+".")
	}
	return styled(green, "All healthy: "+tally(streams)+".")
}

// countUnhealthy counts the streams that should deliver and do not do so
// well, as AllHealthy does: one that nobody wants (health none) is no trouble.
func countUnhealthy(streams []*view) int {
	n := 0
	for _, v := range streams {
		if !v.healthy() && v.Health != "none" {
			n++
		}
	}
	return n
}
