package systemtest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

func TestEventsCarryFields(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream, "ends": `[Stream]
ExecStart=ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -t 1 -f null -
RestartSec=60s
`}, nil)
	ids := map[string]stream.EventKind{}
	for _, e := range stream.EventKinds() {
		ids[string(e.Kind)] = e
	}
	for _, event := range []string{"started", "delivering"} {
		r := h.WaitJournal(20*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_EVENT="+event)
		for field, want := range map[string]string{
			"MESSAGE_ID":    ids[event].MessageID,
			"FFKEEPER_PID":  h.pid("cam1"),
			"_SYSTEMD_UNIT": "ffkeeper.service",
		} {
			if r[field] != want {
				t.Errorf("%s: %s=%q, want %q", event, field, r[field], want)
			}
		}
	}
	r := h.WaitJournal(20*time.Second, "FFKEEPER_STREAM=ends", "FFKEEPER_EVENT=exited")
	if r["FFKEEPER_EXIT_CODE"] != "0" || r["FFKEEPER_REASON"] != "clean-exit" || r["MESSAGE_ID"] != ids["exited"].MessageID {
		t.Errorf("the exit's record is\n%v", r)
	}
}

func TestFFmpegsLinesAreTheStreamsOwn(t *testing.T) {
	h := serving(t, map[string]string{"cam1": `[Stream]
ExecStart=ffmpeg -re -i /no/such/input -f null -
RestartSec=60s
`, "cam2": hlsStream}, nil)
	r := h.WaitJournal(20*time.Second, "-t", "cam1", "-g", "No such file or directory")
	if r["PRIORITY"] != "3" || r["FFKEEPER_STREAM"] != "cam1" {
		t.Errorf("ffmpeg's error is recorded as\n%v", r)
	}
	h.waitHealthy("cam2")
	r = h.WaitJournal(20*time.Second, "-t", "cam2", "-g", "Output #0")
	if r["PRIORITY"] != "6" || strings.Contains(r["MESSAGE"], "[info]") {
		t.Errorf("ffmpeg's information is recorded as\n%v", r)
	}
	// Progress is no log: neither the blocks nor the line that ffmpeg draws.
	h.Run("ffkeeperctl", "stop", "cam2")
	for _, r := range h.Journal("-t", "cam2") {
		if m := r["MESSAGE"]; strings.HasPrefix(m, "frame=") || strings.HasPrefix(m, "out_time") {
			t.Errorf("progress is in the journal: %s", m)
		}
	}
}

// A flood is one stream's and bounded; no other stream's record is lost, and
// what was dropped is counted.
func TestFloodIsBoundedAndCounted(t *testing.T) {
	h := serving(t, map[string]string{
		"flood": "[Stream]\nType=simple\nExecStart=sh -c \"while :; do echo a line of the flood >&2; done\"\n",
		"calm":  "[Stream]\nType=simple\nExecStart=sh -c \"i=0; while :; do i=$$((i+1)); echo calm $$i >&2; sleep 0.2; done\"\n",
	}, nil)
	h.WaitJournal(40*time.Second, "FFKEEPER_STREAM=flood", "FFKEEPER_EVENT=flood")
	h.Run("ffkeeperctl", "stop", "flood")
	last := 0
	for _, r := range h.Journal("-t", "calm") {
		last++
		if want := "calm " + strconv.Itoa(last); r["MESSAGE"] != want {
			t.Fatalf("a line of the other stream is %q, want %q", r["MESSAGE"], want)
		}
	}
	if last == 0 {
		t.Error("no line of the other stream")
	}
	if n := len(h.Journal("-t", "flood")); n > 20000 {
		t.Errorf("%d lines of the flood are in the journal", n)
	}
	if out := h.Exec("journalctl", "--no-pager", "-u", "systemd-journald", "-g", "Suppressed"); strings.Contains(out.Stdout, "ffkeeper") {
		t.Errorf("journald has suppressed records:\n%s", out.Stdout)
	}
}

func TestStoppedJournaldStallsNothing(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream, "talks": `[Stream]
Type=simple
ExecStart=sh -c "while :; do echo a line >&2; sleep 0.005; done"
`}, nil)
	h.waitHealthy("cam1")
	journald := h.Property("systemd-journald.service", "MainPID")
	h.Run("sh", "-c", "kill -STOP "+journald)
	time.Sleep(5 * time.Second) // long enough for its socket to be full: 1,000 lines
	frame := h.frame("cam1")
	h.Eventually(10*time.Second, "cam1 goes on", func() string {
		if h.frame("cam1") == frame {
			return "its frame stands at " + frame
		}
		return ""
	})
	before := h.pid("cam1")
	h.Run("ffkeeperctl", "restart", "cam1")
	if h.pid("cam1") == before {
		t.Error("a stream cannot be restarted")
	}
	h.Run("sh", "-c", "kill -CONT "+journald)
	h.WaitJournal(20*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_EVENT=started", "FFKEEPER_PID="+h.pid("cam1"))
	if got := h.Property("ffkeeper.service", "NRestarts"); got != "0" {
		t.Errorf("the keeper was restarted %s times", got)
	}
}

// frame is the frame that GetHealth shows.
func (h *Host) frame(name string) string {
	h.t.Helper()
	out := h.Run("busctl", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "GetHealth", "s", name)
	_, rest, _ := strings.Cut(out, `"frame" t `)
	n, _, _ := strings.Cut(rest, " ")
	return n
}
