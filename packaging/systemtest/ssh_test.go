package systemtest

import (
	"strings"
	"testing"
	"time"
)

// Real sshd, twice, as two hosts: one lets root in, one an ordinary user.
func TestOtherHostsBySSH(t *testing.T) {
	h := serving(t, map[string]string{
		"cam1": "[Stream]\nType=simple\nExecStart=sleep 1000\n",
		"idle": "[Stream]\nType=simple\nExecStart=sleep 1000\nAutostart=no\n",
	}, map[string]string{
		"/root/.ssh/config": "StrictHostKeyChecking no\nLogLevel ERROR\n",
	})
	h.Run("sh", "-ec", `
useradd --create-home --shell /bin/bash ann
ssh-keygen -q -A
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
chmod 700 /root/.ssh
chmod 600 /root/.ssh/config
cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
install -d -o ann -g ann -m 700 ~ann/.ssh
install -o ann -g ann -m 600 /root/.ssh/id_ed25519.pub ~ann/.ssh/authorized_keys
for port in 2201 2202; do
  systemd-run -q --unit=sshd-$port -p RuntimeDirectory=sshd -p RuntimeDirectoryPreserve=yes /usr/sbin/sshd -D -p $port
done
# One that takes the connection and says nothing.
systemd-run -q --unit=silent /usr/bin/python3 -c 'import signal, socket; s = socket.create_server(("127.0.0.1", 2204)); signal.pause()'`)
	for _, port := range []string{"2201", "2202", "2204"} {
		h.Eventually(20*time.Second, "somebody listens on "+port, func() string {
			return h.Exec("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port).failure()
		})
	}
	const root, ann, nobody, silent = "127.0.0.1:2201", "ann@127.0.0.1:2202", "127.0.0.1:2203", "127.0.0.1:2204"

	if out := h.Run("ffkeeperctl", "-H", root, "list"); !strings.Contains(out, "cam1") || strings.Contains(out, "HOST") {
		t.Errorf("list of one host:\n%s", out)
	}
	h.Run("ffkeeperctl", "-H", root, "start", "idle")
	if got := h.streamState("idle"); got != "running" {
		t.Errorf("started from another host it is %s", got)
	}
	// What counts is who one is there.
	if out := h.Run("ffkeeperctl", "-H", ann, "is-active", "idle"); out != "running" {
		t.Errorf("ann reads %q", out)
	}
	if r := h.Exec("ffkeeperctl", "-H", ann, "stop", "idle"); r.Code != 4 {
		t.Errorf("ann stops a stream: %v", r)
	}
	if r := h.Exec("ffkeeperctl", "-H", nobody, "status", "idle"); r.Code != 4 || !strings.Contains(r.Stderr, "Connection refused") {
		t.Errorf("nobody listens: %v", r)
	}

	r := h.Exec("ffkeeperctl", "-H", strings.Join([]string{root, nobody, silent, ann}, ","), "list")
	if r.Code != 1 || !strings.Contains(r.Stdout, "6 streams: 4 running, 2 stopped; 2 hosts unreachable.") {
		t.Errorf("list of several hosts: %v", r)
	}
	for _, want := range [][]string{
		{root, "● cam1", "running"},
		{ann, "● idle", "running"},
		{nobody, "× -", "unreachable", "Connection refused"},
		{silent, "× -", "unreachable", "timed out"},
	} {
		found := false
		for line := range strings.Lines(r.Stdout) {
			rest, is := strings.CutPrefix(line, want[0]+" ")
			for _, word := range want[1:] {
				is = is && strings.Contains(rest, word)
			}
			found = found || is
		}
		if !found {
			t.Errorf("no line of %v in\n%s", want, r.Stdout)
		}
	}
	// Whoever stops the keeper there is told what to do there.
	h.Run("systemctl", "stop", "ffkeeper")
	if r := h.Exec("ffkeeperctl", "-H", root, "list"); r.Code != 1 || !strings.Contains(r.Stderr, "ffkeeperd is not running on "+root) {
		t.Errorf("without a keeper: %v", r)
	}
	// No bridge outlives its connection.
	h.Eventually(20*time.Second, "no bridge is left", func() string {
		if out := h.Exec("pgrep", "-x", "-l", "systemd-stdio-b").Stdout; out != "" {
			return out
		}
		return ""
	})
}
