package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// lines renders the table at a moment. host says of whom the table speaks,
// note what the person should know besides (a lost connection).
func (m *topModel) lines(now time.Time, note string, g glyphs) []line {
	rows := m.sorted()
	shown := rows
	if room := m.room(); len(rows) > room {
		shown = rows[m.offset : m.offset+room]
	}
	head := line{{bold, "ffkeeper"}, {plain, " " + now.Format(time.TimeOnly)}}
	if note != "" {
		head = append(head, piece{red, "  " + note})
	}
	head = append(head, piece{plain, "  " + tally(m.streams)})
	out := []line{head, nil}
	// widths come from all rows, so that scrolling moves no column
	all := topTable(rows, m.sort, g)
	out = append(out, all[0])
	for i := range shown {
		out = append(out, all[1+m.offset+i])
	}
	if m.height > 0 {
		for len(out) < m.height-1 {
			out = append(out, nil)
		}
		out = append(out, m.footer(len(shown)))
	}
	return out
}

func (m *topModel) footer(shown int) line {
	order := string(m.sort)
	if m.reverse {
		order += ", reversed"
	}
	s := "q quit  s sort (" + order + ")  r reverse"
	if shown < len(m.streams) {
		s += fmt.Sprintf("  up/down scroll (%d-%d of %d)", m.offset+1, m.offset+shown, len(m.streams))
	}
	return styled(faint, s)
}

func topTable(rows []*view, by topSort, g glyphs) []line {
	columns := []column{
		{title: "  NAME"}, {title: "STATE"}, {title: "HEALTH"},
		{title: "CPU%", right: true}, {title: "MEMORY", right: true},
		{title: "FPS", right: true}, {title: "SPEED", right: true}, {title: "BITRATE", right: true},
		{title: "TIME", right: true}, {title: "DROPPED", right: true},
		{title: "RESTARTS", right: true}, {title: "UPTIME", right: true}, {title: "REASON"},
	}
	for i, c := range columns {
		if strings.TrimSuffix(strings.TrimSpace(strings.ToLower(c.title)), "%") == string(by) {
			columns[i].title = strings.Replace(c.title, strings.TrimSpace(c.title), "*"+strings.TrimSpace(c.title), 1)
		}
	}
	cells := make([][]line, 0, len(rows))
	for _, v := range rows {
		cells = append(cells, []line{
			nameCell(v, g),
			styled(v.stateStyle(), v.State), styled(v.healthStyle(), v.Health),
			known(v.CPUPercent, func(x float64) string { return figure(x, 1) }),
			known(v.RSSBytes, byteSize),
			known(v.FPS, func(x float64) string { return figure(x, 1) }),
			known(v.Speed, func(x float64) string { return figure(x, 2) + "x" }),
			known(v.BitrateBPS, bitrate),
			known(v.OutTimeUsec, clock),
			known(v.DroppedFrames, func(x uint64) string { return strconv.FormatUint(x, 10) }),
			text(strconv.FormatUint(uint64(v.RestartCount), 10)),
			text(uptimeText(v)), text(reasonOrWhy(v)),
		})
	}
	columns, cells = withHosts(rows, columns, cells)
	return table(columns, cells, under)
}

func reasonOrWhy(v *view) string {
	if v.unreachable() {
		return v.Detail
	}
	return v.Reason
}

func known[T any](v *T, write func(T) string) line {
	if v == nil {
		return styled(faint, "-")
	}
	return text(write(*v))
}
