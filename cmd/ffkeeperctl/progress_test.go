package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
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

// pace runs a progress for so many seconds of a fake clock; states are those
// of the stream at each look.
func pace(t *testing.T, quietly bool, states ...string) string {
	var out strings.Builder
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		p := &progress{
			w: &out, p: printer{glyphs: utf8Glyphs}, doing: "stopping", pending: []string{"cam1"}, quietly: quietly,
			look: func(context.Context, string) (*view, error) {
				s := states[min(looks, len(states)-1)]
				looks++
				return &view{Name: "cam1", State: s}, nil
			},
			stop: cancel, done: make(chan struct{}),
		}
		go p.run(ctx)
		time.Sleep(time.Duration(len(states))*time.Second + time.Millisecond)
		p.close()
	})
	return out.String()
}

func TestProgressBeginsAfterASecondAndIsWiped(t *testing.T) {
	got := pace(t, false, "running", "stopping")
	want := "\rstopping cam1 (1s, running)…\x1b[K\rstopping cam1 (2s)…\x1b[K\r\x1b[K"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressLeavesTheTerminalToAPasswordPrompt(t *testing.T) {
	got := pace(t, true, "running", "running", "running", "stopping")
	want := "\rstopping cam1 (3s)…\x1b[K\rstopping cam1 (4s)…\x1b[K\r\x1b[K"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := pace(t, true, "running"); got != "" {
		t.Errorf("wrote %q though nothing had begun", got)
	}
}
