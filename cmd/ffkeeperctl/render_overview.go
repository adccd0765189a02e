package main

import (
	"fmt"
	"time"
)

// overview is what the Manager's properties say.
type overview struct {
	version    string
	bus        string
	allHealthy bool
	streams    uint32
	running    uint32
	failed     uint32
}

// renderOverview is status without a name: the keeper, and a line a stream.
func renderOverview(o overview, streams []*view, now time.Time, g glyphs) []line {
	dot := piece{green, g.running}
	if !o.allHealthy {
		dot.style = yellow
	}
	healthy := piece{green, "all healthy"}
	if !o.allHealthy {
		healthy = piece{yellow, "not all healthy"}
	}
	out := []line{
		{dot, {plain, " "}, {bold, "ffkeeperd " + o.version}},
		field("Bus", piece{plain, o.bus}),
		field("Health", healthy),
		field("Streams", piece{plain, fmt.Sprintf("%d: %d running, %d failed", o.streams, o.running, o.failed)}),
	}
	if len(streams) > 0 {
		out = append(out, nil)
	}
	width := 0
	for _, v := range streams {
		width = max(width, textWidth(clean(v.Name)))
	}
	for _, v := range streams {
		l := line{{plain, "  "}, v.dot(g), {plain, fmt.Sprintf(" %s%*s  ", v.Name, width-textWidth(clean(v.Name)), "")}}
		l = append(l, piece{v.stateStyle(), v.State}, piece{plain, ", "}, piece{v.healthStyle(), v.Health})
		if v.Reason != "" && !v.healthy() {
			l = append(l, piece{plain, because(v.Reason)})
		}
		if v.PID != 0 {
			l = append(l, piece{faint, fmt.Sprintf(", up %s", span(v.uptime()))})
		}
		if v.NextRestartUsec != nil && *v.NextRestartUsec != 0 {
			l = append(l, piece{yellow, ", next start " + ago(fromUsec(*v.NextRestartUsec), now)})
		}
		out = append(out, l)
	}
	return out
}
