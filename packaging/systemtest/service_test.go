package systemtest

import (
	"strings"
	"testing"
	"time"
)

// dropIn changes the keeper's unit for a test.
func dropIn(lines string) map[string]string {
	return map[string]string{"/etc/systemd/system/ffkeeper.service.d/test.conf": "[Service]\n" + lines + "\n"}
}

func TestStatusTextFollowsStreams(t *testing.T) {
	h := serving(t, map[string]string{
		"cam1":  hlsStream,
		"cam2":  mp4Stream,
		"later": "[Stream]\nType=simple\nAutostart=no\nExecStart=sleep 1000\n",
	}, map[string]string{"/etc/ffkeeper/streams.d/testcard.stream": ""})
	h.Run("rm", "/etc/ffkeeper/streams.d/testcard.stream")
	h.Run("systemctl", "reload", "ffkeeper")
	h.statusBecomes("3 streams: 2 ok, 1 stopped")
	h.Run("ffkeeperctl", "stop", "cam2")
	h.statusBecomes("3 streams: 1 ok, 2 stopped")
	if got := h.Property("ffkeeper.service", "ActiveState"); got != "active" {
		t.Errorf("the unit is %s", got)
	}
}

func (h *Host) statusBecomes(want string) {
	h.t.Helper()
	h.becomes("StatusText", want)
}

// becomes waits until a property of the keeper's unit has a value.
func (h *Host) becomes(property, want string) {
	h.t.Helper()
	h.Eventually(30*time.Second, property+" "+want, func() string {
		if got := h.Property("ffkeeper.service", property); got != want {
			return "it is " + got
		}
		return ""
	})
}

func TestReloadIsSynchronousAndLeavesStreamsAlone(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	before := h.pid("cam1")

	h.write(streamFile("cam2"), mp4Stream)
	h.Run("systemctl", "reload", "ffkeeper")
	if got := h.Run("ffkeeperctl", "list"); !strings.Contains(got, "cam2") {
		t.Errorf("right after the reload the list is\n%s", got)
	}
	h.waitHealthy("cam2")
	if after := h.pid("cam1"); after != before {
		t.Errorf("the reload has restarted cam1: pid %s, then %s", before, after)
	}
}

func TestReloadOfBrokenFileFailsAndNamesLine(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream, "cam2": mp4Stream}, nil)
	h.waitHealthy("cam1", "cam2")
	before := h.pid("cam1")

	h.write(streamFile("cam1"), "[Stream]\nExecStrat=ffmpeg\n")
	if r := h.Exec("systemctl", "reload", "ffkeeper"); r.Code == 0 {
		t.Error("systemctl reload succeeds with a broken file")
	}
	r := h.WaitJournal(10*time.Second, "-u", "ffkeeper", "-g", "cam1.stream:2")
	if !strings.Contains(r["MESSAGE"], "ExecStart") {
		t.Errorf("no hint at the right key in %q", r["MESSAGE"])
	}
	if got := h.Property("ffkeeper.service", "ActiveState"); got != "active" {
		t.Errorf("after a failed reload the unit is %s", got)
	}
	if after := h.pid("cam1"); after != before {
		t.Errorf("a broken file has taken cam1 down: pid %s, then %s", before, after)
	}
	h.Run("ffkeeperctl", "health", "cam2")

	h.write(streamFile("cam1"), hlsStream)
	h.Run("systemctl", "reload", "ffkeeper")
}

func TestStopFinishesFilesAndLeavesNothingRunning(t *testing.T) {
	h := serving(t, map[string]string{"cam1": mp4Stream, "hls": hlsStream}, nil)
	h.waitHealthy("cam1", "hls")
	h.Run("systemctl", "stop", "ffkeeper")
	if got := h.Property("ffkeeper.service", "Result"); got != "success" {
		t.Errorf("the stop's result is %s", got)
	}
	h.probeMP4("cam1")
	if got := h.Run("tail", "-n1", "/var/lib/ffkeeper-streams/hls.m3u8"); got != "#EXT-X-ENDLIST" {
		t.Errorf("the playlist ends with %q", got)
	}
	h.Eventually(10*time.Second, "the shim has left", func() string {
		if s := h.Property("ffkeeper-streams.service", "ActiveState"); s != "inactive" {
			return "its unit is " + s
		}
		return ""
	})
	if left := h.processes(); left != "" {
		t.Errorf("processes run on: %s", left)
	}
}

// As at shutdown, keeper and shim are stopped in one transaction: the keeper first, so
// that the shim's own, coarser way of stopping is not needed.
func TestStoppingEverythingAtOnceFinishesFiles(t *testing.T) {
	h := serving(t, map[string]string{"cam1": mp4Stream}, nil)
	h.waitHealthy("cam1")
	h.Run("systemctl", "stop", "ffkeeper.slice")
	h.probeMP4("cam1")
	if r := h.Journal("-t", "cam1", "-g", "command received|received signal"); len(r) != 1 || !strings.Contains(r[0]["MESSAGE"], "[q]") {
		t.Errorf("ffmpeg was stopped by\n%v", r)
	}
	for _, unit := range []string{"ffkeeper.service", "ffkeeper-streams.service"} {
		if got := h.Property(unit, "Result"); got != "success" {
			t.Errorf("the result of %s is %s", unit, got)
		}
	}
}

// The shim alone is enough to stop everything with files finished, as when the
// keeper is broken.
func TestStoppedShimFinishesFilesWithoutKeeper(t *testing.T) {
	h := serving(t, map[string]string{"cam1": mp4Stream}, nil)
	h.waitHealthy("cam1")
	h.Run("systemctl", "kill", "-s", "STOP", "--kill-who=main", "ffkeeper")
	h.Run("systemctl", "stop", "ffkeeper-streams.service")
	h.probeMP4("cam1")
	if got := h.Property("ffkeeper-streams.service", "Result"); got != "success" {
		t.Errorf("the result is %s", got)
	}
	h.Run("systemctl", "kill", "-s", "CONT", "--kill-who=main", "ffkeeper")
}

func (h *Host) probeMP4(name string) {
	h.t.Helper()
	got := h.Run("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", "/var/lib/ffkeeper-streams/"+name+".mp4")
	if got != "h264" {
		h.t.Errorf("ffprobe on the mp4 says %q", got)
	}
}

// A stream that takes longer to end than systemd's patience, as with a large
// file: the keeper asks for more time, and gets it.
func TestSlowStopIsExtended(t *testing.T) {
	h := serving(t, map[string]string{"slow": `[Stream]
Type=simple
TimeoutStopSec=30s
ExecStart=sh -c "trap 'sleep 8; echo finished properly; exit 0' TERM; while :; do sleep 0.1; done"
`}, dropIn("TimeoutStopSec=3s"))
	h.WaitJournal(10*time.Second, "FFKEEPER_STREAM=slow", "FFKEEPER_EVENT=started")
	h.Run("systemctl", "stop", "ffkeeper")
	if got := h.Property("ffkeeper.service", "Result"); got != "success" {
		t.Errorf("the stop's result is %s", got)
	}
	h.WaitJournal(5*time.Second, "-t", "slow", "-g", "finished properly")
}

func TestWrongSettingIsNotRetried(t *testing.T) {
	h := installed(t, map[string]string{"/etc/default/ffkeeper": "FFKEEPER_LOG_LEVEL=loud\n"})
	if r := h.Exec("systemctl", "start", "ffkeeper"); r.Code == 0 {
		t.Error("it starts with a wrong setting")
	}
	if code, restarts := h.Property("ffkeeper.service", "ExecMainStatus"), h.Property("ffkeeper.service", "NRestarts"); code != "78" || restarts != "0" {
		t.Errorf("exit code %s, %s restarts", code, restarts)
	}
	h.WaitJournal(5*time.Second, "-u", "ffkeeper", "-g", "FFKEEPER_LOG_LEVEL=loud is not allowed; allowed: emerg")
}

func TestKilledKeeperComesBack(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	h.Run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "ffkeeper")
	h.Eventually(20*time.Second, "cam1 healthy again", func() string {
		return h.Exec("ffkeeperctl", "health", "cam1").failure()
	})
	if got := h.Property("ffkeeper.service", "NRestarts"); got != "1" {
		t.Errorf("%s restarts", got)
	}
}

// failure is "" for a command that succeeded.
func (r Result) failure() string {
	if r.Code == 0 {
		return ""
	}
	return r.String()
}

func TestKilledShimIsReplaced(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	before := h.pid("cam1")
	h.Run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "ffkeeper-streams")
	h.WaitJournal(20*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_REASON=shim-lost")
	h.Eventually(20*time.Second, "cam1 delivers in a new process", func() string {
		if h.pid("cam1") == before {
			return "it is still the old one"
		}
		return h.Exec("ffkeeperctl", "health", "cam1").failure()
	})
	if got := h.Property("ffkeeper.service", "NRestarts"); got != "0" {
		t.Errorf("the keeper did not survive: %s restarts", got)
	}
	if r := h.Exec("test", "-e", "/proc/"+before); r.Code == 0 {
		t.Error("the old process has outlived its shim")
	}
}
