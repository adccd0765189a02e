package notify_test

import (
	"slices"
	"strings"
	"testing"
)

func TestNotifierOnSystemd(t *testing.T) {
	h := boot(t, map[string]string{
		services + "plain.service":  unit("plain", "", ""),
		services + "dog.service":    unit("dog", "", "WatchdogSec=3\nRestart=no"),
		services + "slow.service":   unit("slow", "", "TimeoutStopSec=1\nEnvironment=STOP_TAKES=3s"),
		services + "silent.service": unit("silent", "", "UnsetEnvironment=NOTIFY_SOCKET\nRestart=no\nTimeoutStartSec=1"),
	})

	h.run("systemctl", "start", "plain.service") // waits for READY=1
	h.becomes("plain.service", "StatusText", "serving")
	h.run("systemctl", "kill", "-s", "HUP", "plain.service")
	h.becomes("plain.service", "ActiveState", "reloading")
	h.run("systemctl", "kill", "-s", "USR1", "plain.service")
	h.becomes("plain.service", "ActiveState", "active")

	h.run("systemctl", "start", "dog.service")
	last := "0"
	for range 3 { // pings arrive
		h.leaves("dog.service", "WatchdogTimestampMonotonic", last)
		last = h.run("systemctl", "show", "dog.service", "-P", "WatchdogTimestampMonotonic")
	}
	if state := h.run("systemctl", "show", "dog.service", "-P", "SubState"); state != "running" {
		t.Errorf("pinging, and yet %s", state)
	}
	h.run("systemctl", "kill", "-s", "USR2", "dog.service")
	h.becomes("dog.service", "Result", "watchdog")

	h.run("systemctl", "start", "slow.service")
	h.run("systemctl", "stop", "slow.service")
	if result := h.run("systemctl", "show", "slow.service", "-P", "Result"); result != "success" {
		t.Errorf("a stop that takes longer than TimeoutStopSec=: %s", result)
	}

	// Shows that the others started because systemd had been told.
	if out, err := h.command("systemctl", "start", "silent.service"); err == nil {
		t.Errorf("started although it told nobody: %s", out)
	}

	for _, name := range []string{"plain", "dog", "slow", "silent"} {
		if i := slices.IndexFunc(h.lines(name), func(l string) bool { return strings.Contains(l, "error") }); i >= 0 {
			t.Errorf("%s: %s", name, h.lines(name)[i])
		}
	}
}
