package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func topNames(m *topModel) []string {
	var out []string
	for _, v := range m.sorted() {
		out = append(out, v.Name)
	}
	return out
}

func TestTopLooksTheSameEverywhere(t *testing.T) {
	m := &topModel{sort: sortCPU}
	m.update(fixtures())
	golden(t, "top", 0, utf8Glyphs, m.lines(noon, "", utf8Glyphs))
	m.resize(7)
	m.press(keyDown)
	golden(t, "top-small", 80, utf8Glyphs, m.lines(noon, "no answer from the keeper since 11:59:58", utf8Glyphs))
	golden(t, "top-empty", 0, utf8Glyphs, (&topModel{sort: sortName}).lines(noon, "", utf8Glyphs))
}

func TestTopSortsByEveryColumn(t *testing.T) {
	m := &topModel{}
	m.update([]*view{
		{Name: "a", Health: "ok", CPUPercent: new(1.0), RSSBytes: new(uint64(3)), Speed: new(0.5), BitrateBPS: new(uint64(1)), RestartCount: 1, UptimeSeconds: 1},
		{Name: "b", Health: "down", RestartCount: 9},
		{Name: "c", Health: "stalled", CPUPercent: new(2.0), RSSBytes: new(uint64(1)), Speed: new(0.1), BitrateBPS: new(uint64(2)), UptimeSeconds: 5},
	})
	for by, want := range map[topSort]string{
		sortName: "abc", sortHealth: "bca", sortCPU: "cab", sortMemory: "acb", sortSpeed: "acb",
		sortBitrate: "cab", sortRestarts: "bac", sortUptime: "cab",
	} {
		m.sort, m.reverse = by, false
		if got := strings.Join(topNames(m), ""); got != want {
			t.Errorf("by %s: %s, want %s", by, got, want)
		}
		m.reverse = true
		got := topNames(m)
		slices.Reverse(got)
		if s := strings.Join(got, ""); s != want {
			t.Errorf("by %s, reversed: %s backwards, want %s", by, s, want)
		}
	}
}

func TestTopEveryOrderMarksItsColumn(t *testing.T) {
	m := &topModel{}
	m.update(fixtures())
	for _, by := range topSorts {
		m.sort = by
		var b strings.Builder
		if err := (printer{w: &b}).print(m.lines(noon, "", utf8Glyphs)...); err != nil {
			t.Fatal(err)
		}
		if strings.Count(b.String(), "*") != 1 {
			t.Errorf("by %s: no one column is marked:\n%s", by, b.String())
		}
	}
}

func TestTopKeys(t *testing.T) {
	m := &topModel{sort: sortName}
	var many []*view
	for i := range 100 {
		many = append(many, &view{Name: fmt.Sprintf("cam%03d", i), State: "running", Health: "ok"})
	}
	m.update(many)
	m.resize(24) // 20 rows
	for _, step := range []struct {
		k    key
		want int
	}{
		{keyUp, 0}, {keyDown, 1}, {keyPageDown, 20}, {keyPageUp, 1}, {keyEnd, 80}, {keyDown, 80}, {keyHome, 0},
		{keyPageUp, 0}, {keyEnd, 80}, {keyReverse, 0}, {keyEnd, 80}, {keySort, 0},
	} {
		if !m.press(step.k) {
			t.Fatalf("key %d ends the table", step.k)
		}
		if m.offset != step.want {
			t.Fatalf("after key %d the offset is %d, want %d", step.k, m.offset, step.want)
		}
	}
	if m.sort != sortHealth || !m.reverse {
		t.Errorf("sorted by %s, reversed %v", m.sort, m.reverse)
	}
	m.press(keySortBack)
	m.press(keySortBack)
	if m.sort != topSorts[len(topSorts)-1] {
		t.Errorf("one back from the first is %s", m.sort)
	}
	if m.press(keyQuit) {
		t.Error("q does not end the table")
	}
}

func TestTopScrollsBackWhenStreamsGoOrTheTerminalGrows(t *testing.T) {
	m := &topModel{sort: sortName}
	var many []*view
	for i := range 100 {
		many = append(many, &view{Name: fmt.Sprintf("cam%03d", i)})
	}
	m.update(many)
	m.resize(24)
	m.press(keyEnd)
	m.update(many[:30])
	if m.offset != 10 {
		t.Errorf("offset %d with 30 streams left, want 10", m.offset)
	}
	m.resize(200)
	if m.offset != 0 {
		t.Errorf("offset %d in a terminal that shows all", m.offset)
	}
	m.update(nil)
	if n := len(m.lines(noon, "", utf8Glyphs)); n != 200 {
		t.Errorf("%d lines on 200", n)
	}
}

func TestTopFillsExactlyTheTerminal(t *testing.T) {
	m := &topModel{sort: sortName}
	m.update(fixtures())
	for height := topFrame + 1; height < 40; height++ {
		m.resize(height)
		if n := len(m.lines(noon, "", utf8Glyphs)); n != height {
			t.Errorf("height %d: %d lines", height, n)
		}
	}
}

func TestKeysAreReadInBothCursorModes(t *testing.T) {
	b := []byte("qsSr\x1b[A\x1bOA\x1b[B\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[F\x1b[1;5Cjx\x1b")
	want := []key{
		keyQuit, keySort, keySortBack, keyReverse, keyUp, keyUp, keyDown, keyDown, keyPageUp, keyPageDown,
		keyHome, keyEnd, keyNone, keyDown, keyNone, keyNone,
	}
	var got []key
	for len(b) > 0 {
		var k key
		k, b = parseKey(b)
		got = append(got, k)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzParseKeyAlwaysAdvances(f *testing.F) {
	f.Add([]byte("\x1b[1;5Cq"))
	f.Add([]byte("\x1b\x1b["))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			_, rest := parseKey(b)
			if len(rest) >= len(b) {
				t.Fatalf("stuck at %q", b)
			}
			b = rest
		}
	})
}
