package systemtest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The keeper of this test is built with a signal that deadlocks the goroutine
// of one stream. Bus and main loop go on; yet systemd must see it.
func TestWatchdogSeesDeadlockedStream(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ffkeeperd")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-tags", "ffkeeper_deadlock", "-o", program, "../../cmd/ffkeeperd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	files := dropIn("WatchdogSec=3s")
	for name, text := range map[string]string{"cam1": hlsStream, "cam2": hlsStream} {
		files[streamFile(name)] = text
	}
	h := installed(t, files)
	h.Run("rm", "/usr/bin/ffkeeperd")
	h.copyIn(program, "/usr/bin/ffkeeperd")
	h.Run("systemctl", "start", "ffkeeper")
	h.waitHealthy("cam1", "cam2")

	h.Run("systemctl", "kill", "-s", "USR2", "--kill-who=main", "ffkeeper")
	r := h.WaitJournal(20*time.Second, "-u", "ffkeeper", "-g", "not alive")
	if !strings.Contains(r["MESSAGE"], "cam1") || r["PRIORITY"] != "2" {
		t.Errorf("the record of what hangs is\n%v", r)
	}
	h.WaitJournal(20*time.Second, "UNIT=ffkeeper.service", "-g", "Watchdog timeout")
	h.Eventually(30*time.Second, "all healthy under a new keeper", func() string {
		if h.Property("ffkeeper.service", "NRestarts") != "1" {
			return "it has not been restarted"
		}
		return h.Exec("ffkeeperctl", "health", "cam1", "cam2").failure()
	})
}

// Without any fault the pings come, also while nothing happens.
func TestWatchdogIsContentWithHealthyKeeper(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, dropIn("WatchdogSec=2s"))
	h.waitHealthy("cam1")
	time.Sleep(5 * time.Second) // two and a half of its intervals
	if got := h.Property("ffkeeper.service", "NRestarts"); got != "0" {
		t.Errorf("the watchdog has struck %s times", got)
	}
}
