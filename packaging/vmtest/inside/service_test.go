//go:build vmtest

package inside

import (
	"strings"
	"testing"
)

func TestStreamDeliversOnceServiceIsStarted(t *testing.T) {
	m := serving(t, map[string]string{"cam1": recording})
	m.delivering("cam1")
	m.Run("ffkeeperctl", "health", "cam1")
	if got := m.Run("stat", "-c", "%U", "/proc/"+m.pid("cam1")); got != "ffkeeper-streams" {
		t.Errorf("the stream's process is %s's", got)
	}
	if got := m.Property("ffkeeper.service", "StatusText"); got != "1 stream: 1 ok" {
		t.Errorf("the unit says %q", got)
	}
}

func TestStopFinishesRecordingsAndLeavesNothing(t *testing.T) {
	m := serving(t, map[string]string{"cam1": recording, "cam2": limitedRecording})
	m.delivering("cam1", "cam2")
	m.Run("systemctl", "stop", "ffkeeper")
	playable(t, glob(t, outDir+"cam1-*.mp4"))
	playable(t, glob(t, outDir+"cam2-*.mp4"))
	m.Eventually(patience, "the shim has left", func() string {
		if state := m.Property("ffkeeper-streams.service", "ActiveState"); state != "inactive" {
			return state
		}
		return ""
	})
	for _, unit := range []string{"ffkeeper.service", "ffkeeper-streams.service"} {
		if got := m.Property(unit, "Result"); got != "success" {
			t.Errorf("the result of %s is %s", unit, got)
		}
	}
	if left := m.Exec("pgrep", "-l", "-u", "ffkeeper,ffkeeper-streams").Stdout; left != "" {
		t.Errorf("processes are left: %s", left)
	}
}

func TestSystemdShowsStreamsByName(t *testing.T) {
	m := serving(t, map[string]string{"cam1": recording, "part": detached})
	m.delivering("cam1")
	m.event("part", "started")
	for _, command := range [][]string{
		{"systemctl", "status", "--no-pager", "ffkeeper-streams"},
		{"systemd-cgls", "--no-pager", "--unit", "ffkeeper-streams.service"},
	} {
		got := m.Run(command...)
		for _, want := range []string{"cam1.stream", "part.stream", "shim", "sleep 1234", m.pid("cam1") + " ffmpeg"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", strings.Join(command, " "), want, got)
			}
		}
	}
}
