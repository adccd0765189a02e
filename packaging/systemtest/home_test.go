package systemtest

import (
	"encoding/xml"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5/introspect"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The tools of systemd that speak to any service speak to the keeper.
func TestLogLevelAndTargetByServiceUnit(t *testing.T) {
	h := serving(t, map[string]string{"cam1": "[Stream]\nType=simple\nExecStart=sleep 1000\n"}, nil)
	level := func(args ...string) Result {
		return h.Exec(append([]string{"systemctl", "service-log-level", "ffkeeper"}, args...)...)
	}
	target := func(args ...string) Result {
		return h.Exec(append([]string{"systemctl", "service-log-target", "ffkeeper"}, args...)...)
	}
	ok := func(what string, r Result, want string) {
		t.Helper()
		if r.Code != 0 || strings.TrimSpace(r.Stdout) != want {
			t.Errorf("%s: %v", what, r)
		}
	}
	ok("the level at first", level(), "info")
	ok("the target at first", target(), "journal")

	// At once: the next thing that happens is in the journal with its debug
	// records, and without them again.
	debugRecords := func() int {
		h.Run("ffkeeperctl", "restart", "cam1")
		h.Run("journalctl", "--sync")
		return len(h.Journal("-u", "ffkeeper", "_COMM=ffkeeperd", "PRIORITY=7"))
	}
	if n := debugRecords(); n != 0 {
		t.Fatalf("%d debug records at level info", n)
	}
	ok("setting the level", level("warning"), "")
	ok("the level", level(), "warning")
	ok("setting the level", level("debug"), "")
	h.WaitJournal(10*time.Second, "-t", "ffkeeperd", "-g", "the log level is now debug")
	h.Run("systemctl", "restart", "dbus.service")
	h.WaitJournal(10*time.Second, "-t", "ffkeeperd", "-p", "debug", "-g", "serving on the system bus")
	ok("setting the level", level("info"), "")

	ok("setting the target", target("console"), "")
	ok("the target", target(), "console")
	// Still in the journal, by way of standard error, but as text alone.
	r := h.WaitJournal(10*time.Second, "-u", "ffkeeper", "_TRANSPORT=stdout", "-g", "the log goes to the console now")
	if r["SYSLOG_IDENTIFIER"] != "ffkeeperd" {
		t.Errorf("on standard error:\n%v", r)
	}
	ok("setting the target", target("journal"), "")
	h.WaitJournal(10*time.Second, "-u", "ffkeeper", "_TRANSPORT=journal", "-g", "the log goes to the journal now")

	if r := level("loud"); r.Code == 0 {
		t.Error("an unknown level is set")
	}
	if r := target("kmsg"); r.Code == 0 || !strings.Contains(r.Stderr, `none of journal, console`) {
		t.Errorf("an unknown target: %v", r)
	}
	for user, may := range map[string]bool{"ffkeeper": true, "nobody": false, "ffkeeper-streams": false} {
		r := h.Exec("runuser", "-u", user, "--", "busctl", "set-property", "org.ffkeeper1", "/org/freedesktop/LogControl1",
			"org.freedesktop.LogControl1", "LogLevel", "s", "notice")
		if (r.Code == 0) != may {
			t.Errorf("%s sets the level: %v", user, r)
		}
	}
	describedAsBySystemd(t, h)
	ok("the level, read by nobody", h.Exec("runuser", "-u", "nobody", "--", "systemctl", "service-log-level", "ffkeeper"), "notice")
}

// describedAsBySystemd: our description of the interface is that of systemd's
// own services.
func describedAsBySystemd(t *testing.T, h *Host) {
	ours, err := os.ReadFile("../../dbusapi/org.freedesktop.LogControl1.xml")
	if err != nil {
		t.Fatal(err)
	}
	theirs := h.Run("busctl", "--xml-interface", "introspect", "org.freedesktop.systemd1", "/org/freedesktop/LogControl1")
	iface := func(text string) introspect.Interface {
		t.Helper()
		var node introspect.Node
		if err := xml.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		for _, i := range node.Interfaces {
			if i.Name == "org.freedesktop.LogControl1" {
				return i
			}
		}
		t.Fatalf("no such interface in\n%s", text)
		return introspect.Interface{}
	}
	sorted := cmpopts.SortSlices(func(a, b introspect.Property) bool { return a.Name < b.Name })
	if d := cmp.Diff(iface(theirs), iface(string(ours)), cmpopts.EquateEmpty(), sorted); d != "" {
		t.Errorf("systemd's, and ours:\n%s", d)
	}
}
