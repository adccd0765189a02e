package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestListLooksLikeListUnits(t *testing.T) {
	golden(t, "list", 0, utf8Glyphs, renderList(fixtures(), utf8Glyphs))
}

func TestListIsCutAtTheWidthOfTheTerminal(t *testing.T) {
	golden(t, "list-narrow", 80, utf8Glyphs, renderList(fixtures(), utf8Glyphs))
	for _, g := range []glyphs{utf8Glyphs, asciiGlyphs} {
		for width := 1; width < 120; width++ {
			var b strings.Builder
			p := printer{w: &b, width: width, glyphs: g}
			if err := p.print(renderList(fixtures(), g)...); err != nil {
				t.Fatal(err)
			}
			for l := range strings.Lines(b.String()) {
				if w := textWidth(strings.TrimSuffix(l, "\n")); w > max(width, len(g.ellipsis)) {
					t.Fatalf("width %d: %d cells: %q", width, w, l)
				}
			}
		}
	}
}

func TestListInAnASCIILocaleHasNoOtherCharactersOfOurs(t *testing.T) {
	ascii := slices.DeleteFunc(fixtures(), func(v *view) bool { return v.Name == "cam2" })
	golden(t, "list-ascii", 60, asciiGlyphs, renderList(ascii, asciiGlyphs))
}

func TestListOfNothingSaysSo(t *testing.T) {
	golden(t, "list-empty", 0, utf8Glyphs, renderList(nil, utf8Glyphs))
}

func TestStatusLooksLikeSystemctlStatus(t *testing.T) {
	var out []line
	for _, v := range fixtures() {
		out = append(out, renderStatus(detailed(v), noon, utf8Glyphs)...)
		out = append(out, nil)
	}
	golden(t, "status", 0, utf8Glyphs, out)
	golden(t, "status-narrow", 60, utf8Glyphs, out)
}

func TestStatusOfWhatIsBarelyKnownHasNoEmptyFields(t *testing.T) {
	golden(t, "status-bare", 0, utf8Glyphs, renderStatus(&view{Name: "x", State: "stopped", Health: "none"}, noon, utf8Glyphs))
}

func TestOverviewHasALineForEachStream(t *testing.T) {
	o := overview{version: "1.2.3", bus: "system", streams: 6, running: 3, failed: 1}
	golden(t, "overview", 0, utf8Glyphs, renderOverview(o, fixtures(), noon, utf8Glyphs))
	golden(t, "overview-empty", 0, utf8Glyphs, renderOverview(overview{version: "1.2.3", bus: "system", allHealthy: true}, nil, noon, utf8Glyphs))
}

func TestHealthReportTellsWhy(t *testing.T) {
	golden(t, "health", 0, utf8Glyphs, renderHealth(fixtures(), utf8Glyphs))
	golden(t, "health-good", 0, utf8Glyphs, renderHealth(fixtures()[:1], utf8Glyphs))
}

func TestHealthCountsWhatAllHealthyCounts(t *testing.T) {
	for health, bad := range map[string]int{
		"ok": 0, "unknown": 0, "none": 0, "starting": 1, "degraded": 1, "stalled": 1, "down": 1,
	} {
		if n := countUnhealthy([]*view{{Health: health}}); n != bad {
			t.Errorf("%s: counted %d, want %d", health, n, bad)
		}
	}
}

func TestChangesOfAReload(t *testing.T) {
	var out []line
	for _, c := range []change{
		{"added", "cam3", ""},
		{"changed", "cam1", "runs on with its old definition until restarted"},
		{"removed", "cam2", ""},
		{"error", "cam4", "/etc/ffkeeper/streams.d/cam4.stream:3: unknown key Exec=\n/etc/ffkeeper/streams.d/cam4.stream:9: bad value"},
	} {
		out = append(out, renderChange(c)...)
	}
	golden(t, "reload", 0, utf8Glyphs, out)
}

func TestEventsAreOneLineEach(t *testing.T) {
	at := usec(noon.Add(1500 * time.Microsecond))
	var out []line
	for _, e := range []event{
		{at, eventNew, "cam1", "", "", "", nil, ""},
		{at, eventState, "cam1", "stopped", "starting", "requested", nil, ""},
		{at, eventHealth, "cam1", "starting", "ok", "", nil, ""},
		{at, eventState, "cam1", "running", "restarting", "exit-code", nil, ""},
		{at, eventHealth, "cam1", "ok", "down", "exit-code", nil, ""},
		{at, eventRestarted, "cam1", "", "", "", new(uint32(3)), ""},
		{at, eventFailed, "cam1", "", "", "restart-limit", nil, ""},
		{at, eventRemoved, "cam1", "", "", "", nil, ""},
		{at, eventDisconnected, "", "", "", "", nil, "the keeper has left the bus"},
		{at, eventConnected, "", "", "", "", nil, ""},
		{at, "Later", "cam1", "", "", "", nil, ""},
	} {
		out = append(out, renderEvent(e, time.UTC, utf8Glyphs))
	}
	golden(t, "events", 0, utf8Glyphs, out)
}

func TestTallyNamesUnknownStatesToo(t *testing.T) {
	got := tally([]*view{{State: "running", Health: "ok"}, {State: "paused"}, {State: "failed", Health: "down"}})
	if want := "3 streams: 1 ok, 1 failed, 1 paused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCommandIsQuotedForAShell(t *testing.T) {
	got := quoteCommand([]string{"ffmpeg", "", "a b", "it's", "x=%03d", "$HOME", "é"})
	if want := `ffmpeg '' 'a b' 'it'\''s' x=%03d '$HOME' é`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
