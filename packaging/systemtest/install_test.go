package systemtest

import (
	"strings"
	"testing"
	"time"
)

// As a new user does it: make install on a running system, enable, start the
// example, uninstall.
func TestInstallOnRunningSystem(t *testing.T) {
	tree, err := sourceTree()
	if err != nil {
		t.Fatal(err)
	}
	h := Boot(t, "")
	h.Run("mkdir", "-p", "/usr/local/src")
	h.copyIn(tree, "/usr/local/src/ffkeeper")
	h.Run("make", "-C", "/usr/local/src/ffkeeper", "install")

	if out := h.Run("systemd-analyze", "verify", "ffkeeper.service", "ffkeeper-stopped.service", "ffkeeper-streams.service", "ffkeeper-streams.socket", "ffkeeper.slice"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	if got := h.Property("ffkeeper.service", "ActiveState"); got != "inactive" {
		t.Errorf("after the installation alone ffkeeper.service is %s", got)
	}
	if got := h.Run("ffkeeperd", "--version"); got != "ffkeeperd test" {
		t.Errorf("the version is %q", got)
	}
	h.Run("systemctl", "enable", "--now", "ffkeeper")
	h.Run("ffkeeperctl", "start", "testcard")
	h.waitHealthy("testcard")
	if out := h.Run("journalctl", "--no-pager", "-x", "FFKEEPER_EVENT=delivering"); !strings.Contains(out, "The whole story: journalctl FFKEEPER_STREAM=testcard") {
		t.Errorf("journalctl -x does not explain the event:\n%s", out)
	}
	h.Eventually(20*time.Second, "the example's playlist", func() string {
		return h.Exec("test", "-s", "/var/lib/ffkeeper-streams/testcard.m3u8").Stderr
	})
	h.Run("ffkeeperctl", "health", "testcard")

	h.Run("systemctl", "enable", "ffkeeper-stream@testcard.service")
	h.write("/etc/default/ffkeeper", "# mine\n")
	h.Run("rm", "/etc/ffkeeper/streams.d/testcard.stream")
	h.Run("sh", "-c", "echo '# mine' > /etc/ffkeeper/streams.d/testcard.stream")
	h.Run("make", "-C", "/usr/local/src/ffkeeper", "install")
	for _, file := range []string{"/etc/default/ffkeeper", "/etc/ffkeeper/streams.d/testcard.stream"} {
		if got := h.Run("cat", file); got != "# mine" {
			t.Errorf("installing again has overwritten %s", file)
		}
	}

	h.Run("make", "-C", "/usr/local/src/ffkeeper", "uninstall")
	if got := h.Exec("systemctl", "list-unit-files", "--no-legend", "ffkeeper*").Stdout; got != "" {
		t.Errorf("after uninstall there is still\n%s", got)
	}
	if left := h.processes(); left != "" {
		t.Errorf("after uninstall processes run on: %s", left)
	}
	if left := h.Run("find", "/usr/local/bin", "/usr/local/lib/systemd", "/usr/share/dbus-1", "/usr/share/polkit-1", "-name", "*ffkeeper*"); left != "" {
		t.Errorf("after uninstall there is still\n%s", left)
	}
	if left := h.Run("find", "/etc/systemd/system", "-name", "*ffkeeper*"); left != "" {
		t.Errorf("after uninstall is still enabled\n%s", left)
	}
	h.Run("test", "-e", "/etc/ffkeeper/streams.d/testcard.stream")
}

// Two users: the streams' processes are not the keeper's, and each is in the
// cgroup of its own unit.
func TestKeeperAndStreamsAreSeparate(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	keeper, shim := h.Property("ffkeeper.service", "MainPID"), h.Property("ffkeeper-streams.service", "MainPID")
	for pid, want := range map[string]string{keeper: "ffkeeper", shim: "ffkeeper-streams", h.pid("cam1"): "ffkeeper-streams"} {
		if got := h.Run("stat", "-c", "%U", "/proc/"+pid); got != want {
			t.Errorf("pid %s is %s's, want %s", pid, got, want)
		}
	}
	if got := h.Run("cat", "/proc/"+h.pid("cam1")+"/cgroup"); !strings.Contains(got, "/ffkeeper.slice/ffkeeper-streams.service") {
		t.Errorf("the stream's cgroup is %s", got)
	}
	if got := h.Run("systemctl", "show", "ffkeeper.service", "ffkeeper-streams.service", "ffkeeper-streams.socket", "-P", "Slice"); strings.ReplaceAll(got, "\n", "") != strings.Repeat("ffkeeper.slice", 3) {
		t.Errorf("slices are %q", got)
	}
}
