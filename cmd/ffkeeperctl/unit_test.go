package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

func TestVerdictOnAStreamsCondition(t *testing.T) {
	for _, c := range []struct {
		v      unitView
		want   unitVerdict
		status string
	}{
		{unitView{state: "stopped", wanted: true, health: "down"}, unitWaits, "stopped"},
		{unitView{state: "starting", wanted: true, health: "starting"}, unitWaits, "starting"},
		{unitView{state: "running", wanted: true, health: "ok"}, unitDelivers, "running, ok"},
		{unitView{state: "running", wanted: true, health: "unknown"}, unitDelivers, "running, unknown"},
		{unitView{state: "running", wanted: true, health: "degraded", reason: "too-slow"}, unitDelivers, "running, degraded: too-slow"},
		{unitView{state: "running", wanted: true, health: "stalled", reason: "stalled", detail: "no progress for 60s"}, unitWaits, "running, stalled: no progress for 60s"},
		{unitView{state: "restarting", wanted: true, health: "down", reason: "exit-code", detail: "exit code 1\nmore"}, unitWaits, "restarting: exit code 1"},
		{unitView{state: "stopping", reason: "requested"}, unitWaits, "stopping: requested"},
		{unitView{state: "zombie", reason: "stuck"}, unitWaits, "zombie: stuck"},
		{unitView{state: "stopped", reason: "requested"}, unitStopped, "stopped: requested"},
		{unitView{state: "failed", wanted: true, reason: "no-program", detail: "evil \x1b[31m"}, unitFailed, `failed: evil \x1b[31m`},
		{unitView{state: "failed", reason: "restart-limit"}, unitFailed, "failed: restart-limit"},
	} {
		if got := c.v.verdict(); got != c.want {
			t.Errorf("%+v: verdict %d, want %d", c.v, got, c.want)
		}
		if got := c.v.status(); got != c.status {
			t.Errorf("%+v: %q, want %q", c.v, got, c.status)
		}
	}
}

func TestChangedPropertiesAreTakenOver(t *testing.T) {
	v := unitView{state: "running", health: "ok", detail: "old", wanted: true}
	v.change(map[string]any{"State": "stopped", "Detail": "", "Wanted": false, "PID": uint32(0), "Reason": 7})
	if v != (unitView{state: "stopped", health: "ok"}) {
		t.Errorf("%+v", v)
	}
}

func TestInstanceNamesOfStreams(t *testing.T) {
	for instance, want := range map[string]string{
		"cam1":                    "cam1",
		`cam\x2d1`:                "cam-1",
		"cam-1":                   "cam-1",
		`camera\x40192.168.7.21`:  "camera@192.168.7.21",
		"camera@192.168.7.21":     "camera@192.168.7.21",
		`\x2ehidden`:              ".hidden",
		`a\x2D1`:                  "a-1",
		`evil\x1b\x5b31m\x0a\x00`: "evil\x1b[31m\n\x00", // no stream's, and so the keeper will say
	} {
		if got, err := streamOfInstance(instance); err != nil || got != want {
			t.Errorf("%s: %q, %v", instance, got, err)
		}
	}
	for _, bad := range []string{"", `\`, `\x`, `\x2`, `cam\y2d`, `\xzz`, `\\x2d`} {
		if got, err := streamOfInstance(bad); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func FuzzInstanceNameComesBack(f *testing.F) {
	for _, s := range []string{"cam1", "cam-1", "camera@192.168.7.21", "-", "--", ".x", "_", "a\\x2d", "ä\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		// Of the spellings of an instance that are taken, each is some stream's.
		if stream, err := streamOfInstance(name); err == nil {
			if again, err := streamOfInstance(instanceOfStream(stream)); err != nil || again != stream {
				t.Errorf("%q is stream %q, which comes back as %q, %v", name, stream, again, err)
			}
		}
		if name == "" || strings.Contains(name, "/") {
			return // systemd's - is a /; no stream has one
		}
		escaped := instanceOfStream(name)
		if got, err := streamOfInstance(escaped); err != nil || got != name {
			t.Errorf("%q is %q, and comes back as %q, %v", name, escaped, got, err)
		}
		// go-systemd writes one digit for bytes below 16, which is a mistake.
		if !strings.ContainsFunc(name, func(r rune) bool { return r < 16 }) && escaped != unit.UnitNameEscape(name) {
			t.Errorf("%q: %q, go-systemd says %q", name, escaped, unit.UnitNameEscape(name))
		}
	})
}

// instanceOfStream is systemd-escape (unit_name_escape in systemd's
// src/basic/unit-name.c) of a name without a slash.
func instanceOfStream(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if isPlain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(":_.", c) >= 0; isPlain && (i > 0 || c != '.') {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return b.String()
}
