package systemtest

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shimCgroup is where the shim's unit is in the tree of control groups.
const shimCgroup = "/ffkeeper.slice/ffkeeper-streams.service"

// cgroup is the control group of a process, by its line in /proc.
func (h *Host) cgroup(pid string) string {
	h.t.Helper()
	for line := range strings.Lines(h.Run("cat", "/proc/"+pid+"/cgroup") + "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path)
		}
	}
	h.t.Fatalf("pid %s is in no cgroup v2", pid)
	return ""
}

func (h *Host) mainPID(unit string) string {
	h.t.Helper()
	return h.Property(unit, "MainPID")
}

func TestStreamsHaveControlGroupsThatSystemdShows(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream, "cam2": hlsStream}, nil)
	h.waitHealthy("cam1", "cam2")
	for name, pid := range map[string]string{
		"shim": h.mainPID("ffkeeper-streams"), "cam1.stream": h.pid("cam1"), "cam2.stream": h.pid("cam2"),
	} {
		if got := h.cgroup(pid); !strings.HasSuffix(got, shimCgroup+"/"+name) {
			t.Errorf("%s is in %s", name, got)
		}
	}
	for _, command := range [][]string{
		{"systemctl", "status", "--no-pager", "ffkeeper-streams.service"},
		{"systemd-cgls", "--no-pager", "--unit", "ffkeeper-streams.service"},
	} {
		shown := h.Run(command...)
		for _, name := range []string{"─shim", "─cam1.stream", "─cam2.stream"} {
			if !strings.Contains(shown, name) {
				t.Errorf("no %s in %s:\n%s", name, strings.Join(command, " "), shown)
			}
		}
	}
	// Nothing stays of a stream that has been stopped.
	h.Run("ffkeeperctl", "stop", "cam1")
	h.Eventually(10*time.Second, "the control group of cam1 is gone", func() string {
		shown := h.Run("systemd-cgls", "--no-pager", "--unit", "ffkeeper-streams.service")
		if strings.Contains(shown, "cam1.stream") {
			return shown
		}
		return ""
	})
}

// The children of a shim whose unit hides clone3 are in their control groups
// too.
func TestControlGroupsUnderRestrictNamespaces(t *testing.T) {
	files := map[string]string{
		"/etc/systemd/system/ffkeeper-streams.service.d/test.conf": "[Service]\nRestrictNamespaces=yes\n",
		streamFile("cam1"): hlsStream,
	}
	h := installed(t, files)
	h.Run("systemctl", "start", "ffkeeper")
	h.waitHealthy("cam1")
	if got := h.cgroup(h.pid("cam1")); !strings.HasSuffix(got, shimCgroup+"/cam1.stream") {
		t.Errorf("cam1 is in %s", got)
	}
	h.WaitJournal(5*time.Second, "-u", "ffkeeper-streams", "-g", "clone3: function not implemented")
}

// A process of a stream that has left session, parents and environment is ended
// with the stream.
func TestStopEndsWhatHidesFromItsStream(t *testing.T) {
	h := serving(t, map[string]string{"hiding": `[Stream]
Type=simple
TimeoutStopSec=2s
ExecStart=sh -c "(setsid env -i /bin/sh -c '(setsid env -i /bin/sleep 98765 &)' &) ; exec sleep 1000"
`}, nil)
	find := func() string {
		return strings.TrimSpace(h.Exec("pgrep", "-f", "^/bin/sleep 98765").Stdout)
	}
	h.Eventually(10*time.Second, "the hidden process is there", func() string {
		if find() == "" {
			return "it is not"
		}
		return ""
	})
	if got := h.cgroup(find()); !strings.HasSuffix(got, shimCgroup+"/hiding.stream") {
		t.Errorf("it is in %s", got)
	}
	h.Run("ffkeeperctl", "stop", "hiding")
	if left := find(); left != "" {
		t.Errorf("after the stop pid %s is still there", left)
	}
}

// systemctl reload puts a new program in the place of the old one, with the
// same process and streams; one that does not start is refused.
func TestReloadOfTheShimUpgradesItInPlace(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	shim, stream := h.mainPID("ffkeeper-streams"), h.pid("cam1")
	program := func() string { return h.Run("stat", "-L", "-c", "%i", "/proc/"+shim+"/exe") }
	before := program()

	// As a package does: a new file by that name.
	h.Run("sh", "-c", "cd /usr/bin && cp ffkeeper-shim new && mv new ffkeeper-shim")
	h.Run("systemctl", "reload", "ffkeeper-streams")
	h.Eventually(10*time.Second, "the shim is the new program", func() string {
		if program() == before {
			return "it is the old one"
		}
		return ""
	})
	before = program()
	h.Run("sh", "-c", "cd /usr/bin && mv ffkeeper-shim good && printf '#!/bin/sh\\nexit 3\\n' >new && chmod 755 new && mv new ffkeeper-shim")
	h.Run("systemctl", "reload", "ffkeeper-streams")
	h.WaitJournal(15*time.Second, "-u", "ffkeeper", "-g", "cannot go on as .*exit status 3")
	if got := program(); got != before {
		t.Error("a program that does not start has taken over")
	}
	if a, b := h.mainPID("ffkeeper-streams"), h.pid("cam1"); a != shim || b != stream {
		t.Errorf("the shim was pid %s, is %s; cam1 was %s, is %s", shim, a, stream, b)
	}
	if got := filepath.Base(h.cgroup(stream)); got != "cam1.stream" {
		t.Errorf("cam1 is in %s", got)
	}
	h.Run("ffkeeperctl", "health", "cam1")
	h.Run("mv", "/usr/bin/good", "/usr/bin/ffkeeper-shim")
	// The process that systemd has started is still the one it follows.
	h.Run("systemctl", "stop", "ffkeeper")
	h.Eventually(10*time.Second, "the shim has left", func() string {
		if s := h.Property("ffkeeper-streams.service", "ActiveState"); s != "inactive" {
			return "its unit is " + s
		}
		return ""
	})
	if got := h.Property("ffkeeper-streams.service", "Result"); got != "success" {
		t.Errorf("its result is %s", got)
	}
}

// A shim killed with its streams takes all of them along, those that hide too,
// and the next one has the same control groups.
func TestKilledShimLeavesNoControlGroupBehind(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	before := h.pid("cam1")
	h.Run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "ffkeeper-streams")
	h.Eventually(20*time.Second, "cam1 delivers in a new process", func() string {
		if h.pid("cam1") == before {
			return "it is still the old one"
		}
		return h.Exec("ffkeeperctl", "health", "cam1").failure()
	})
	if got := h.cgroup(h.pid("cam1")); !strings.HasSuffix(got, shimCgroup+"/cam1.stream") {
		t.Errorf("cam1 is in %s", got)
	}
	if r := h.Exec("test", "-e", "/proc/"+before); r.Code == 0 {
		t.Error("the old process has outlived its shim")
	}
}
