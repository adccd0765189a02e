//go:build vmtest

package inside

import "testing"

// hog eats memory over its limit, in one process of two; and then waits to be
// started again for as long as the test lasts, or is not.
const (
	hog = `[Stream]
Type=simple
MemoryMax=32M
ExecStart=sh -c "sleep 1234 & exec tail /dev/zero"
`
	patientHog = hog + "RestartSec=1h\n"
	finalHog   = hog + "Restart=no\n"
	// partHog is a wrapper that would survive its part.
	partHog = `[Stream]
Type=simple
MemoryMax=32M
Restart=no
ExecStart=sh -c "tail /dev/zero; sleep 1234"
`
)

func TestOOMIsNamedAndHitsNobodyElse(t *testing.T) {
	m := serving(t, map[string]string{"cam1": recording})
	m.delivering("cam1")
	cam1, shim := m.pid("cam1"), m.Property("ffkeeper-streams.service", "MainPID")
	for _, hog := range []struct{ name, text, state string }{
		{"patient", patientHog, "restarting"},
		{"final", finalHog, "failed"},
		{"part", partHog, "failed"},
	} {
		t.Run(hog.name, func(t *testing.T) {
			m := m.in(t)
			m.write(hog.name, hog.text)
			m.Run("systemctl", "reload", "ffkeeper")
			if exited := m.event(hog.name, "exited"); exited["FFKEEPER_REASON"] != "oom-kill" || exited["FFKEEPER_EXIT_CODE"] != "-9" {
				t.Errorf("the journal says\n%v", exited)
			}
			m.event(hog.name, hog.state)
			if state, reason := m.property(hog.name, "State"), m.property(hog.name, "Reason"); state != hog.state || reason != "oom-kill" {
				t.Errorf("it is %s, reason %s", state, reason)
			}
		})
	}
	m.onlyCgroups("cam1")
	if left := m.processes("sleep 1234"); len(left) > 0 {
		t.Errorf("the other process of a killed one is left: %v", left)
	}
	m.Run("ffkeeperctl", "health", "cam1")
	if got := m.pid("cam1"); got != cam1 {
		t.Errorf("cam1's pid was %s and is %s", cam1, got)
	}
	if got := m.Property("ffkeeper-streams.service", "MainPID"); got != shim {
		t.Errorf("the shim's pid was %s and is %s", shim, got)
	}
}
