package systemtest

import (
	"strings"
	"testing"
	"time"
)

const (
	unitOfCam1   = "ffkeeper-stream@cam1.service"
	unitLimit    = 30 * time.Second
	manualStream = "[Stream]\nType=simple\nExecStart=sleep 1000\nAutostart=no\nRestart=no\n"
)

// waitUnit waits until systemd has the unit in this state.
func (h *Host) waitUnit(unit, state string) {
	h.t.Helper()
	h.Eventually(unitLimit, unit+" "+state, func() string {
		if got := h.Property(unit, "ActiveState"); got != state {
			return "it is " + got
		}
		return ""
	})
}

func (h *Host) waitStatus(unit, text string) {
	h.t.Helper()
	h.Eventually(unitLimit, unit+" with status "+text, func() string {
		if got := h.Property(unit, "StatusText"); got != text {
			return "it is " + got
		}
		return ""
	})
}

func (h *Host) streamState(name string) string {
	h.t.Helper()
	return strings.TrimSpace(h.Exec("ffkeeperctl", "is-active", name).Stdout)
}

// withUnits is a host with streams that nobody starts but units, and units
// that need them. The keeper does not run yet.
func withUnits(t *testing.T) *Host {
	return installed(t, map[string]string{
		streamFile("cam1"):     hlsStream + "Autostart=no\n",
		streamFile("cam-2"):    manualStream,
		streamFile("clock"):    manualStream,
		streamFile("dies"):     manualStream,
		streamFile("silent"):   "[Stream]\nExecStart=ffmpeg -f s16le -i /var/lib/ffkeeper-streams/fifo -f null -\nAutostart=no\nTimeoutStartSec=infinity\n",
		streamFile("hopeless"): "[Stream]\nExecStart=ffmpeg -i /nosuch -f null -\nAutostart=no\nRestart=no\n",
		"/etc/systemd/system/needs.service": `[Unit]
Requires=` + unitOfCam1 + `
After=` + unitOfCam1 + `
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ffkeeperctl is-healthy cam1
`,
		"/etc/systemd/system/bound.service": `[Unit]
BindsTo=` + unitOfCam1 + `
After=` + unitOfCam1 + `
[Service]
ExecStart=sleep 1000
`,
		"/etc/systemd/system/needs-hopeless.service": `[Unit]
Requires=ffkeeper-stream@hopeless.service
After=ffkeeper-stream@hopeless.service
[Service]
ExecStart=sleep 1000
`,
		"/etc/systemd/system/ffkeeper-stream@dies.service.d/alarm.conf": "[Unit]\nOnFailure=alarm.service\n",
		"/etc/systemd/system/alarm.service":                             "[Service]\nType=oneshot\nExecStart=echo the alarm rings\n",
		"/etc/systemd/system/ffkeeper-stream@clock.timer":               "[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n",
		"/etc/systemd/system/clock-off.service":                         "[Unit]\nConflicts=ffkeeper-stream@clock.service\n[Service]\nType=oneshot\nExecStart=true\n",
	})
}

func TestStreamIsAUnitThatOthersRequire(t *testing.T) {
	h := withUnits(t)
	h.Run("systemctl", "mask", "--now", "polkit.service") // nobody's permission is needed
	// The keeper comes along, and needs.service finds the stream healthy.
	h.Run("systemctl", "start", "needs.service", "bound.service")
	if got := h.Property("ffkeeper.service", "ActiveState"); got != "active" {
		t.Errorf("the keeper is %s", got)
	}
	h.waitStatus(unitOfCam1, "running, ok")
	pid := h.Property(unitOfCam1, "MainPID")
	if got := h.Run("stat", "-c", "%U", "/proc/"+pid); got != "ffkeeper" {
		t.Errorf("the unit runs as %s", got)
	}
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		h.Run("grep", "-q", set+":\t0000000000000000$", "/proc/"+pid+"/status")
	}

	stream := h.pid("cam1")
	for _, what := range [][]string{
		{"systemctl", "restart", "ffkeeper"},
		{"systemctl", "kill", "-s", "KILL", "ffkeeper"},
		{"systemctl", "restart", "dbus.service"},
	} {
		h.Run(what...)
		h.Eventually(unitLimit, "the keeper is back", func() string { return h.Exec("ffkeeperctl", "health", "cam1").failure() })
		h.waitStatus(unitOfCam1, "running, ok")
		if now := h.Property(unitOfCam1, "MainPID"); now != pid || h.Property("bound.service", "ActiveState") != "active" {
			t.Errorf("%v: the unit's process was %s and is %s", what, pid, now)
		}
	}
	if now := h.pid("cam1"); now != stream {
		t.Errorf("the stream was %s and is %s", stream, now)
	}
	h.Run("ffkeeperctl", "restart", "--wait-ok", "cam1")
	h.waitStatus(unitOfCam1, "running, ok")
	if now := h.Property(unitOfCam1, "MainPID"); now != pid {
		t.Errorf("a restart of the stream: the unit's process was %s and is %s", pid, now)
	}

	// Stopped behind systemd's back: nothing has failed.
	h.Run("ffkeeperctl", "stop", "cam1")
	h.waitUnit(unitOfCam1, "inactive")
	h.waitUnit("bound.service", "inactive")
	if got := h.Property(unitOfCam1, "Result"); got != "success" {
		t.Errorf("a stop by ffkeeperctl is a %s", got)
	}

	// A stop of the unit is one of the stream, with its files finished.
	h.Run("systemctl", "start", unitOfCam1)
	h.Run("systemctl", "stop", unitOfCam1)
	if got := h.streamState("cam1"); got != "stopped" {
		t.Errorf("with the unit stopped the stream is %s", got)
	}
	h.Run("grep", "-q", "EXT-X-ENDLIST", "/var/lib/ffkeeper-streams/cam1.m3u8")
	if got := h.Property(unitOfCam1, "Result"); got != "success" {
		t.Errorf("a stop is a %s", got)
	}

	// The service of all streams is stopped.
	h.Run("systemctl", "start", unitOfCam1)
	h.Run("systemctl", "stop", "ffkeeper.service")
	h.waitUnit(unitOfCam1, "inactive")
	if got := h.Property(unitOfCam1, "Result"); got != "success" {
		t.Errorf("a stop of the keeper is a %s", got)
	}
}

func TestUnitFailsWithItsStream(t *testing.T) {
	h := withUnits(t)
	if r := h.Exec("systemctl", "start", "ffkeeper-stream@hopeless"); r.Code == 0 {
		t.Error("a stream that cannot run was started")
	}
	h.WaitJournal(unitLimit, "-u", "ffkeeper-stream@hopeless", "-t", "ffkeeperctl", "-g", "hopeless: failed: .*exit")
	if r := h.Exec("systemctl", "start", "needs-hopeless"); r.Code == 0 || !strings.Contains(r.Stderr, "dependency") {
		t.Errorf("what requires it: %v", r)
	}
	if r := h.Exec("systemctl", "start", "ffkeeper-stream@nosuch"); r.Code == 0 {
		t.Error("a stream that does not exist was started")
	}
	h.WaitJournal(unitLimit, "-u", "ffkeeper-stream@nosuch", "-g", `start nosuch: .*no .*stream`)

	// One whose input never sends anything. systemd's own time-out, shortened,
	// ends the stream, too.
	h.Run("runuser", "-u", "ffkeeper-streams", "--", "mkfifo", "/var/lib/ffkeeper-streams/fifo")
	h.Run("mkdir", "-p", "/run/systemd/system/ffkeeper-stream@silent.service.d")
	h.write("/run/systemd/system/ffkeeper-stream@silent.service.d/time.conf", "[Service]\nTimeoutStartSec=3\n")
	h.Run("systemctl", "daemon-reload")
	if r := h.Exec("systemctl", "start", "ffkeeper-stream@silent"); r.Code == 0 {
		t.Error("a stream that delivers nothing was started")
	}
	if got := h.Property("ffkeeper-stream@silent.service", "Result"); got != "timeout" {
		t.Errorf("its unit's result is %s", got)
	}
	h.Eventually(unitLimit, "its stream is stopped", func() string {
		if got := h.streamState("silent"); got != "stopped" {
			return "it is " + got
		}
		return ""
	})

	// One that fails later, and OnFailure= as any unit has it.
	h.Run("systemctl", "start", "ffkeeper-stream@dies")
	h.Run("ffkeeperctl", "kill", "-s", "KILL", "dies")
	h.waitUnit("ffkeeper-stream@dies.service", "failed")
	h.WaitJournal(unitLimit, "-u", "alarm", "-g", "the alarm rings")

	// A failed unit starts again.
	h.Run("systemctl", "start", "ffkeeper-stream@dies")
	if got := h.streamState("dies"); got != "running" {
		t.Errorf("started again it is %s", got)
	}
	if r := h.Exec("runuser", "-u", "nobody", "--", "systemctl", "--no-ask-password", "stop", "ffkeeper-stream@dies"); r.Code == 0 {
		t.Error("nobody may stop the unit")
	}
}

func TestTimersStartAndStopStreams(t *testing.T) {
	h := withUnits(t)
	h.Run("systemctl", "start", "ffkeeper-stream@clock.timer")
	h.waitUnit("ffkeeper-stream@clock.service", "active")
	if got := h.streamState("clock"); got != "running" {
		t.Errorf("the timer's stream is %s", got)
	}
	h.Run("systemctl", "start", "clock-off.service")
	if got := h.streamState("clock"); got != "stopped" {
		t.Errorf("after the unit that conflicts the stream is %s", got)
	}

	// Both spellings of a name with a -.
	escaped := h.Run("systemd-escape", "--template=ffkeeper-stream@.service", "cam-2")
	if want := `ffkeeper-stream@cam\x2d2.service`; escaped != want {
		t.Errorf("systemd-escape says %s", escaped)
	}
	for _, unit := range []string{escaped, "ffkeeper-stream@cam-2.service"} {
		h.Run("systemctl", "start", unit)
		if got := h.streamState("cam-2"); got != "running" {
			t.Errorf("%s is started, and the stream %s", unit, got)
		}
		h.Run("systemctl", "stop", unit)
		if got := h.streamState("cam-2"); got != "stopped" {
			t.Errorf("%s is stopped, and the stream %s", unit, got)
		}
	}

	if out := h.Run("systemd-analyze", "verify", unitOfCam1); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	t.Log(lastLine(h.Exec("systemd-analyze", "security", "--no-pager", unitOfCam1).Stdout))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
