package systemtest

import (
	"strings"
	"testing"
	"time"
)

// The keeper's user reads the files, so what is the administrator's alone is
// an error that says so, and no other stream suffers.
func TestUnreadableFileIsNamedAndHurtsNobodyElse(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	h.write(streamFile("secret"), hlsStream)
	h.Run("chmod", "600", streamFile("secret"))
	if r := h.Exec("systemctl", "reload", "ffkeeper"); r.Code == 0 {
		t.Error("the reload succeeds")
	}
	h.WaitJournal(10*time.Second, "-u", "ffkeeper", "-g", "secret.stream.*permission denied")
	h.Run("ffkeeperctl", "health", "cam1")
	h.Run("chown", "root:ffkeeper", streamFile("secret"))
	h.Run("chmod", "640", streamFile("secret"))
	h.Run("systemctl", "reload", "ffkeeper")
	h.waitHealthy("secret")
}

// A password in an EnvironmentFile= for the keeper alone reaches the command,
// and the streams' user cannot read the file.
func TestEnvironmentFileOfTheKeeperAlone(t *testing.T) {
	h := installed(t, map[string]string{
		"/etc/ffkeeper/cam1.env": "PASSWORD=s3cret\n",
		streamFile("cam1"): `[Stream]
Type=simple
EnvironmentFile=/etc/ffkeeper/cam1.env
ExecStart=sh -c 'test "$$0" = s3cret && echo has it; cat /etc/ffkeeper/cam1.env; exec sleep 1000' ${PASSWORD}
`})
	h.Run("chown", "root:ffkeeper", "/etc/ffkeeper/cam1.env")
	h.Run("chmod", "640", "/etc/ffkeeper/cam1.env")
	h.Run("systemctl", "start", "ffkeeper")
	h.WaitJournal(10*time.Second, "-t", "cam1", "-g", "has it")
	h.WaitJournal(10*time.Second, "-t", "cam1", "-g", "Permission denied")
}

// Who can speak to the shim can run commands as the streams' user.
func TestOnlyTheKeeperReachesTheShim(t *testing.T) {
	h := serving(t, map[string]string{"cam1": "[Stream]\nType=simple\nExecStart=sleep 1000\n"}, nil)
	h.WaitJournal(10*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_EVENT=started")
	connect := `import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("/run/ffkeeper-streams/control")`
	for _, user := range []string{"nobody", "ffkeeper-streams"} {
		r := h.Exec("runuser", "-u", user, "--", "/usr/bin/python3", "-c", connect)
		if r.Code == 0 || !strings.Contains(r.Stderr, "PermissionError") {
			t.Errorf("%s at the shim's socket: %v", user, r)
		}
	}
	h.Run("ffkeeperctl", "is-active", "cam1")
}
