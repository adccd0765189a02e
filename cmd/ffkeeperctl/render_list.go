package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// renderList is the table of `list`, after systemctl's list-units.
func renderList(streams []*view, g glyphs) []line {
	columns := []column{
		{title: "  NAME"}, {title: "STATE"}, {title: "HEALTH"}, {title: "REASON"},
		{title: "PID", right: true}, {title: "UPTIME", right: true}, {title: "RESTARTS", right: true},
		{title: "DESCRIPTION"},
	}
	rows := make([][]line, 0, len(streams))
	for _, v := range streams {
		name := nameCell(v, g)
		rows = append(rows, []line{
			name, styled(v.stateStyle(), v.State), styled(v.healthStyle(), v.Health), text(v.Reason),
			text(pidText(v)), text(uptimeText(v)), text(strconv.FormatUint(uint64(v.RestartCount), 10)),
			text(about(v)),
		})
	}
	columns, rows = withHosts(streams, columns, rows)
	out := table(columns, rows, under)
	return append(out, nil, text(tally(streams)+"."))
}

// nameCell is the first cell of a stream's row.
func nameCell(v *view, g glyphs) line {
	name := v.Name
	if v.unreachable() {
		name = "-"
	}
	return line{v.dot(g), {plain, " " + name}}
}

// about is the description of a stream, or why a host does not answer.
func about(v *view) string {
	if v.unreachable() {
		return v.Detail
	}
	return v.Description
}

// withHosts puts a column before the others where several hosts were asked.
func withHosts(streams []*view, columns []column, rows [][]line) ([]column, [][]line) {
	if !slices.ContainsFunc(streams, func(v *view) bool { return v.Host != "" }) {
		return columns, rows
	}
	columns = append([]column{{title: "HOST"}}, columns...)
	for i, v := range streams {
		rows[i] = append([]line{text(v.Host)}, rows[i]...)
	}
	return columns, rows
}

// tally is tallyOfStreams, and how many hosts do not answer.
func tally(all []*view) string {
	var streams []*view
	for _, v := range all {
		if !v.unreachable() {
			streams = append(streams, v)
		}
	}
	switch away := len(all) - len(streams); away {
	case 0:
		return tallyOfStreams(streams)
	case 1:
		return tallyOfStreams(streams) + "; 1 host unreachable"
	default:
		return tallyOfStreams(streams) + fmt.Sprintf("; %d hosts unreachable", away)
	}
}

// tallyOfStreams counts streams by what a person wants to know first: "12 streams:
// 10 ok, 1 restarting, 1 stopped".
func tallyOfStreams(streams []*view) string {
	if len(streams) == 1 {
		return "1 stream: " + summaryWord(streams[0])
	}
	if len(streams) == 0 {
		return "0 streams"
	}
	counts := map[string]int{}
	for _, v := range streams {
		counts[summaryWord(v)]++
	}
	var parts []string
	for _, w := range summaryWords {
		if n := counts[w]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, w))
			delete(counts, w)
		}
	}
	var others []string
	for w, n := range counts { // states of a newer keeper
		others = append(others, fmt.Sprintf("%d %s", n, w))
	}
	slices.Sort(others)
	return fmt.Sprintf("%d streams: %s", len(streams), strings.Join(append(parts, others...), ", "))
}

var summaryWords = []string{
	"ok", "running", "degraded", "stalled", "starting", "stopping", "restarting", "failed", "zombie", "stopped",
}

// summaryWord is health where there is a verdict, else the state. A simple
// command, of which nothing is known, is just running.
func summaryWord(v *view) string {
	if v.State == "running" {
		switch v.Health {
		case "unknown", "none", "down", "":
			return v.State
		}
		return v.Health
	}
	return v.State
}

func pidText(v *view) string {
	if v.PID == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(v.PID), 10)
}

func uptimeText(v *view) string {
	if v.PID == 0 {
		return "-"
	}
	return span(v.uptime())
}
