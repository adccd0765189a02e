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

// A stream file decides what runs: from where others than root could put one,
// nothing is taken, and what runs is left alone.
func TestStreamFilesThatOthersMayWriteAreRefused(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	before := h.pid("cam1")
	h.Run("chmod", "777", "/etc/ffkeeper/streams.d")
	h.Run("runuser", "-u", "nobody", "--", "sh", "-c", "printf '[Stream]\\nType=simple\\nExecStart=sleep 1\\n' >"+streamFile("planted"))
	if r := h.Exec("systemctl", "reload", "ffkeeper"); r.Code == 0 {
		t.Error("the reload succeeds")
	}
	const remedy = "streams.d .mode 0777.*chmod go-w /etc/ffkeeper/streams.d"
	h.WaitJournal(10*time.Second, "-u", "ffkeeper", "-g", remedy)
	if r := h.Exec("ffkeeperctl", "verify", "--all"); r.Code != 1 || !strings.Contains(r.Stderr, "streams.d (mode 0777)") {
		t.Errorf("verify: %v", r)
	}
	h.Run("systemctl", "restart", "ffkeeper")
	if after := h.pid("cam1"); after != before {
		t.Errorf("cam1 is pid %s, was %s", after, before)
	}
	if strings.Contains(h.Run("ffkeeperctl", "list"), "planted") {
		t.Error("there is a stream that anybody wrote")
	}
	h.Run("chmod", "755", "/etc/ffkeeper/streams.d")
	if r := h.Exec("systemctl", "reload", "ffkeeper"); r.Code == 0 {
		t.Error("the reload succeeds with somebody's file")
	}
	h.WaitJournal(10*time.Second, "-u", "ffkeeper", "-g", "planted.stream belongs to nobody.*chown root")
	h.Run("rm", streamFile("planted"))
	h.Run("systemctl", "reload", "ffkeeper")
	if after := h.pid("cam1"); after != before {
		t.Errorf("in the end cam1 is pid %s, was %s", after, before)
	}
	// The keeper's own user may have files, and it is said.
	h.Run("chown", "ffkeeper", streamFile("cam1"))
	h.Run("systemctl", "reload", "ffkeeper")
	h.WaitJournal(10*time.Second, "-u", "ffkeeper", "-g", "keeper's own user's")
	h.Run("ffkeeperctl", "verify", "--all")
}
