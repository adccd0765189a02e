//go:build vmtest

package inside

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// limitedRecording and detached are what keeper and shim are killed under.
const (
	limitedRecording = recording + "MemoryMax=300M\nCPUQuota=180%\n"
	// detached has a process that no signal to the group reaches, and that
	// therefore has to be killed.
	detached = `[Stream]
Type=simple
TimeoutStopSec=2s
TasksMax=20
ExecStart=sh -c "setsid env -i sleep 1234 & exec sleep 1235"
`
)

func TestKilledKeeperLeavesStreamsAndLimitsInForce(t *testing.T) {
	m := serving(t, map[string]string{"cam1": limitedRecording, "part": detached})
	m.delivering("cam1")
	m.event("part", "started")
	cam1, part := m.pid("cam1"), m.pid("part")

	m.Run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "ffkeeper")
	m.Eventually(patience, "the keeper is back", func() string {
		if n := m.Property("ffkeeper.service", "NRestarts"); n != "1" {
			return n + " restarts"
		}
		return m.Exec("ffkeeperctl", "list").Stderr
	})
	m.Eventually(patience, "its streams are well", func() string { return m.failure("health") })
	for name, before := range map[string]string{"cam1": cam1, "part": part} {
		if got := m.pid(name); got != before {
			t.Errorf("the pid of %s was %s and is %s", name, before, got)
		}
		if n := m.count(name, "started"); n != 1 {
			t.Errorf("%s was started %d times", name, n)
		}
	}
	for file, want := range map[string]string{"memory.max": "314572800", "cpu.max": "180000 100000"} {
		if got := m.cgroup("cam1", file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if got := m.cgroup("part", "pids.max"); got != "20" {
		t.Errorf("pids.max is %q", got)
	}
	m.onlyCgroups("cam1", "part")

	// What was adopted can be stopped properly, and what it was started for
	// ends with it.
	m.Run("ffkeeperctl", "stop", "cam1", "part")
	playable(t, glob(t, outDir+"cam1-*.mp4"))
	m.onlyCgroups()
	if left := m.processes("sleep 123[45]"); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// failure is "" where ffkeeperctl succeeds.
func (m *machine) failure(args ...string) string {
	m.t.Helper()
	if r := m.Exec(append([]string{"ffkeeperctl"}, args...)...); r.Code != 0 {
		return r.String()
	}
	return ""
}

func TestKilledShimTakesStreamsAlongAndEachComesBackOnce(t *testing.T) {
	m := serving(t, map[string]string{"cam1": limitedRecording, "part": detached})
	m.delivering("cam1")
	m.event("part", "started")
	cam1, part := m.pid("cam1"), m.pid("part")
	before := append(m.processes("sleep 123[45]"), cam1)

	m.Run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "ffkeeper-streams")
	m.Eventually(patience, "every stream runs anew", func() string {
		for name, old := range map[string]string{"cam1": cam1, "part": part} {
			if pid := m.pid(name); pid == old || pid == "0" {
				return name + " has the pid " + pid
			}
		}
		return m.failure("health")
	})
	for _, name := range []string{"cam1", "part"} {
		if n := m.count(name, "started"); n != 2 {
			t.Errorf("%s was started %d times", name, n)
		}
	}
	for _, pid := range before {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s has outlived its shim", pid)
		}
	}
	if now := m.processes("sleep 123[45]"); len(now) != 2 {
		t.Errorf("part runs as %v", now)
	}
	if now := m.Exec("pgrep", "-u", "ffkeeper-streams", "-x", "ffmpeg").Stdout; strings.TrimSpace(now) != m.pid("cam1") {
		t.Errorf("ffmpeg runs as %q", now)
	}

	m.onlyCgroups("cam1", "part")
	enabled := strings.Fields(m.Run("cat", m.cgroups()+"/cgroup.subtree_control"))
	for _, controller := range []string{"cpu", "io", "memory", "pids"} {
		if !slices.Contains(enabled, controller) {
			t.Errorf("%s is not among the enabled controllers %v", controller, enabled)
		}
	}
	if got := m.cgroup("cam1", "memory.max"); got != "314572800" {
		t.Errorf("memory.max is %q", got)
	}
	if got := m.Property("ffkeeper.service", "NRestarts"); got != "0" {
		t.Errorf("the keeper was restarted %s times", got)
	}
}
