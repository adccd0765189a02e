package systemtest

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// stopsStreams stops the keeper, which cannot do it, and sees that the streams
// are finished and gone all the same, and that the journal says by whom.
func (h *Host) stopsStreams() {
	h.t.Helper()
	if h.processes() == "" {
		h.t.Fatal("no stream runs that could be stopped")
	}
	h.Run("systemctl", "stop", "ffkeeper")
	h.Eventually(30*time.Second, "the streams have been stopped", func() string { return h.processes() })
	h.probeMP4("cam1")
	if r := h.WaitJournal(10*time.Second, "-u", "ffkeeper-stopped", "-g", "could not stop its streams"); r["PRIORITY"] != "3" {
		h.t.Errorf("the record is\n%v", r)
	}
	h.Eventually(10*time.Second, "the shim has left", func() string {
		if s := h.Property("ffkeeper-streams.service", "ActiveState"); s != "inactive" {
			return "its unit is " + s
		}
		return ""
	})
}

func (h *Host) killKeeper() {
	h.t.Helper()
	h.Run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "ffkeeper")
}

func TestAStopWhileACrashedKeeperWaitsForItsRestartStopsTheStreams(t *testing.T) {
	h := serving(t, map[string]string{"cam1": mp4Stream}, dropIn("RestartSec=1h"))
	h.waitHealthy("cam1")
	h.killKeeper()
	h.becomes("SubState", "auto-restart")
	h.stopsStreams()
}

// TestAStopOfAKeeperThatDoesNotRunYetStopsTheStreams: systemd still prepares its
// process, and has nobody to tell.
func TestAStopOfAKeeperThatDoesNotRunYetStopsTheStreams(t *testing.T) {
	h := serving(t, map[string]string{"cam1": mp4Stream}, dropIn("TimeoutStartSec=1h\nExecStartPre=sh -c 'test ! -e /etc/hold || sleep 3600'"))
	h.waitHealthy("cam1")
	h.write("/etc/hold", "")
	h.killKeeper()
	h.becomes("SubState", "start-pre")
	h.stopsStreams()
}

// TestAStopOfAKeeperThatHangsStopsTheStreams: it asks systemd for more time only
// as long as it is alive.
func TestAStopOfAKeeperThatHangsStopsTheStreams(t *testing.T) {
	h := installed(t, map[string]string{
		streamFile("cam1"): mp4Stream,
		"/etc/systemd/system/ffkeeper.service.d/test.conf": "[Service]\nWatchdogSec=0\nTimeoutStopSec=3s\n",
	})
	program := filepath.Join(t.TempDir(), "ffkeeperd")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-tags", "ffkeeper_deadlock", "-o", program, "../../cmd/ffkeeperd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	h.Run("rm", "/usr/bin/ffkeeperd")
	h.copyIn(program, "/usr/bin/ffkeeperd")
	h.Run("systemctl", "start", "ffkeeper")
	h.waitHealthy("cam1")
	h.Run("systemctl", "kill", "-s", "USR2", "--kill-who=main", "ffkeeper")
	h.stopsStreams()
	h.WaitJournal(5*time.Second, "-u", "ffkeeper", "-g", "the stop hangs.*cam1")
}

// TestAStopWithoutTheBusStopsTheStreams: the keeper cannot ask what its end is
// for, and leaves them to the next one.
func TestAStopWithoutTheBusStopsTheStreams(t *testing.T) {
	h := serving(t, map[string]string{"cam1": mp4Stream}, nil)
	h.waitHealthy("cam1")
	h.Run("systemctl", "stop", "dbus.socket", "dbus.service")
	h.stopsStreams()
}

// TestStreamsRunOnWhereNobodyStoppedTheKeeper: it is restarted, it is told to end
// by a signal, a wrong setting keeps it from running.
func TestStreamsRunOnWhereNobodyStoppedTheKeeper(t *testing.T) {
	h := serving(t, map[string]string{"cam1": mp4Stream}, nil)
	h.waitHealthy("cam1")
	before := h.pid("cam1")
	keeper := func() string { return h.Property("ffkeeper.service", "MainPID") }
	first := keeper()
	h.Run("systemctl", "restart", "ffkeeper")
	second := keeper()
	h.Run("systemctl", "kill", "-s", "TERM", "--kill-who=main", "ffkeeper")
	h.Eventually(20*time.Second, "a third keeper", func() string {
		if p := keeper(); p == "0" || p == first || p == second {
			return "it is " + p
		}
		return ""
	})
	h.waitHealthy("cam1")
	h.write("/etc/default/ffkeeper", "FFKEEPER_LOG_LEVEL=loud\n")
	h.killKeeper()
	h.becomes("SubState", "failed")
	// Each time its unit has come by, and is at rest again.
	h.Eventually(20*time.Second, "nothing more to be done", func() string { return h.Run("systemctl", "list-jobs", "--no-legend") })
	h.write("/etc/default/ffkeeper", "")
	h.Run("systemctl", "start", "ffkeeper")
	h.waitHealthy("cam1")
	if after := h.pid("cam1"); after != before {
		t.Errorf("cam1 was process %s and is %s", before, after)
	}
	if said := h.Run("journalctl", "-q", "--no-pager", "-u", "ffkeeper-stopped"); said != "" {
		t.Errorf("ffkeeper-stopped.service has said\n%s", said)
	}
}
