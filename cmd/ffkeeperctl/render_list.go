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
		name := line{v.dot(g), {plain, " " + v.Name}}
		rows = append(rows, []line{
			name, styled(v.stateStyle(), v.State), styled(v.healthStyle(), v.Health), text(v.Reason),
			text(pidText(v)), text(uptimeText(v)), text(strconv.FormatUint(uint64(v.RestartCount), 10)),
			text(v.Description),
		})
	}
	out := table(columns, rows, under)
	return append(out, nil, text(tally(streams)+"."))
}

// tally counts streams by what a person wants to know first: "12 streams:
// 10 ok, 1 restarting, 1 stopped".
func tally(streams []*view) string {
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
