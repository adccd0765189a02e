package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgressSaysWhatItWaitsFor(t *testing.T) {
	stopping := func(bytes uint64) *view { return &view{Name: "cam1", State: "stopping", TotalBytes: new(bytes)} }
	for _, c := range []struct {
		doing     string
		names     []string
		last, now *view
		want      string
	}{
		{"stopping", []string{"cam1"}, nil, nil, "stopping cam1 (12s)…"},
		{"stopping", []string{"cam1"}, nil, stopping(5), "stopping cam1 (12s)…"},
		{"stopping", []string{"cam1"}, stopping(5), stopping(6), "stopping cam1 (12s, output still grows)…"},
		{"stopping", []string{"cam1"}, stopping(6), stopping(6), "stopping cam1 (12s)…"},
		{"starting", []string{"cam1"}, nil, &view{State: "restarting", Reason: "exit-code"}, "starting cam1 (12s, restarting: exit-code)…"},
		{"starting", []string{"a", "b", "c", "d", "e"}, nil, nil, "starting a, b, c and 2 more (12s)…"},
	} {
		var b strings.Builder
		p := printer{w: &b, glyphs: utf8Glyphs}
		p.format(&b, progressLine(c.doing, c.names, 12*time.Second, c.last, c.now, utf8Glyphs))
		if b.String() != c.want {
			t.Errorf("got %q, want %q", b.String(), c.want)
		}
	}
}
