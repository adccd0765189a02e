package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func keptOf(from, to int) []logLine {
	var out []logLine
	for i := from; i < to; i++ {
		out = append(out, logLine{uint64(i), 6, fmt.Sprint("line ", i)})
	}
	return out
}

func freshTexts(lines []journalLine) string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.TrimPrefix(l.Text, "line "))
	}
	return strings.Join(out, " ")
}

func TestFollowerShowsEachLineOnce(t *testing.T) {
	f := &follower{name: "cam1"}
	for _, step := range []struct {
		lines []logLine
		fresh string
		lost  bool
	}{
		{nil, "", false},
		{keptOf(0, 3), "0 1 2", false},
		{keptOf(0, 3), "", false},
		{keptOf(0, 5), "3 4", false},
		{keptOf(3, 53), strings.TrimSpace(strings.ReplaceAll(strings.Trim(fmt.Sprint(rangeInts(5, 53)), "[]"), ",", "")), false},
		{keptOf(100, 150), strings.Trim(fmt.Sprint(rangeInts(100, 150)), "[]"), true},
		{keptOf(200, 202), "200 201", false}, // a new keeper
	} {
		fresh, lost := f.next(step.lines)
		if got := freshTexts(fresh); got != step.fresh || lost != step.lost {
			t.Fatalf("got %q, lost %v; want %q, %v", got, lost, step.fresh, step.lost)
		}
	}
}

func rangeInts(from, to int) []int {
	var out []int
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func TestFollowerTellsEqualLinesApartByTheirNumber(t *testing.T) {
	same := func(n int) []logLine { return slices.Repeat([]logLine{{7, 6, "same"}}, n) }
	f := &follower{}
	f.next(same(2))
	if fresh, _ := f.next(same(5)); len(fresh) != 3 {
		t.Errorf("%d new lines, want 3", len(fresh))
	}
}

func TestJournalRecordsBecomeLines(t *testing.T) {
	in := `{"__REALTIME_TIMESTAMP":"1795442700000001","PRIORITY":"3","MESSAGE":"text","FFKEEPER_STREAM":"cam1"}
{"__REALTIME_TIMESTAMP":"2","MESSAGE":[104,105,255],"FFKEEPER_STREAM":["cam2","x"]}
{"MESSAGE":null}
{"MESSAGE":"cam1: started","SYSLOG_IDENTIFIER":"ffkeeperd","FFKEEPER_STREAM":"cam1"}
{"MESSAGE":"cam1: its own word","SYSLOG_IDENTIFIER":"cam1","FFKEEPER_STREAM":"cam1"}
`
	var got []journalLine
	if err := readJournalJSON(strings.NewReader(in), func(l journalLine) error { got = append(got, l); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []journalLine{
		{"cam1", logLine{1795442700000001, 3, "text"}},
		{"cam2", logLine{2, 6, "hi\xff"}},
		{"", logLine{0, 6, ""}},
		{"cam1", logLine{0, 6, "started"}},
		{"cam1", logLine{0, 6, "cam1: its own word"}},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzJournalJSONNeverPanics(f *testing.F) {
	f.Add(`{"MESSAGE":[1,2],"PRIORITY":"x"}`)
	f.Add(`{"MESSAGE":[[1],{}]}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, s string) {
		_ = readJournalJSON(strings.NewReader(s), func(journalLine) error { return nil })
	})
}
