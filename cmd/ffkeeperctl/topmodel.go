package main

import (
	"cmp"
	"slices"
	"strings"
)

// topModel is the state of the live table: what is shown, in what order, from
// which row on. It is pure; the terminal is somebody else's.
type topModel struct {
	streams []*view
	sort    topSort
	reverse bool
	offset  int // first row shown
	height  int // of the terminal; 0: everything is shown
}

// topSort is a column to sort by.
type topSort string

const (
	sortName     topSort = "name"
	sortHealth   topSort = "health"
	sortCPU      topSort = "cpu"
	sortMemory   topSort = "memory"
	sortSpeed    topSort = "speed"
	sortBitrate  topSort = "bitrate"
	sortRestarts topSort = "restarts"
	sortUptime   topSort = "uptime"
)

var topSorts = []topSort{
	sortName, sortHealth, sortCPU, sortMemory, sortSpeed, sortBitrate, sortRestarts, sortUptime,
}

func topSortNames() string {
	names := make([]string, len(topSorts))
	for i, s := range topSorts {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// key is what a person pressed.
type key int

const (
	keyNone key = iota
	keyQuit
	keySort
	keySortBack
	keyReverse
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
)

// press acts on a key; it reports false for the one that ends the table.
func (m *topModel) press(k key) bool {
	page := max(m.room()-1, 1)
	switch k {
	case keyQuit:
		return false
	case keySort, keySortBack:
		step := 1
		if k == keySortBack {
			step = len(topSorts) - 1
		}
		i := slices.Index(topSorts, m.sort)
		m.sort, m.offset = topSorts[(i+step)%len(topSorts)], 0
	case keyReverse:
		m.reverse, m.offset = !m.reverse, 0
	case keyUp:
		m.offset--
	case keyDown:
		m.offset++
	case keyPageUp:
		m.offset -= page
	case keyPageDown:
		m.offset += page
	case keyHome:
		m.offset = 0
	case keyEnd:
		m.offset = len(m.streams)
	}
	m.settle()
	return true
}

// topFrame is the number of lines around the rows: summary, blank, titles,
// keys.
const topFrame = 4

// room is how many rows fit.
func (m *topModel) room() int {
	if m.height == 0 {
		return len(m.streams)
	}
	return max(m.height-topFrame, 1)
}

// settle keeps the offset where there is something to see.
func (m *topModel) settle() {
	m.offset = max(min(m.offset, len(m.streams)-m.room()), 0)
}

func (m *topModel) resize(height int) {
	m.height = height
	m.settle()
}

// update takes in a new report.
func (m *topModel) update(streams []*view) {
	m.streams = streams
	m.settle()
}

// sorted is the streams in the order shown: figures from the largest down,
// names from A, health from the worst; equals by name.
func (m *topModel) sorted() []*view {
	out := slices.Clone(m.streams)
	slices.SortStableFunc(out, func(a, b *view) int {
		c := m.compare(a, b)
		if m.reverse {
			c = -c
		}
		if c == 0 {
			c = cmp.Compare(a.Name, b.Name)
		}
		return c
	})
	return out
}

func (m *topModel) compare(a, b *view) int {
	switch m.sort {
	case sortHealth:
		return cmp.Compare(healthRank(a), healthRank(b))
	case sortCPU:
		return down(a.CPUPercent, b.CPUPercent)
	case sortMemory:
		return down(a.RSSBytes, b.RSSBytes)
	case sortSpeed:
		return down(a.Speed, b.Speed)
	case sortBitrate:
		return down(a.BitrateBPS, b.BitrateBPS)
	case sortRestarts:
		return cmp.Compare(b.RestartCount, a.RestartCount)
	case sortUptime:
		return cmp.Compare(b.UptimeSeconds, a.UptimeSeconds)
	}
	return cmp.Compare(a.Name, b.Name)
}

// down compares for a falling order; what is not known comes last.
func down[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*b, *a)
}

func healthRank(v *view) int {
	return slices.Index([]string{"down", "stalled", "degraded", "starting", "unknown", "ok", "none"}, v.Health)
}
