package systemtest

import (
	"strings"
	"testing"
	"time"
)

func TestBusRestartLeavesStreamsAlone(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	before := h.pid("cam1")
	h.Run("systemctl", "restart", "dbus.service")
	h.Eventually(20*time.Second, "the keeper is back on the bus", func() string {
		return h.Exec("busctl", "status", "org.ffkeeper1").failure()
	})
	if after := h.pid("cam1"); after != before {
		t.Errorf("the bus took cam1 with it: pid %s, then %s", before, after)
	}
	if got := h.Property("ffkeeper.service", "NRestarts"); got != "0" {
		t.Errorf("the keeper was restarted %s times", got)
	}
	h.Run("ffkeeperctl", "restart", "cam1")
}

// Restarting the units that the keeper needs must not stop it, and so all
// streams, by way of dependencies.
func TestRestartOfSocketUnitsLeavesStreamsAlone(t *testing.T) {
	h := serving(t, map[string]string{"cam1": hlsStream}, nil)
	h.waitHealthy("cam1")
	before := h.pid("cam1")
	// systemd refuses this one half-way, for the shim is running.
	h.Exec("systemctl", "restart", "ffkeeper-streams.socket")
	h.Exec("systemctl", "restart", "dbus.socket", "dbus.service")
	h.Eventually(20*time.Second, "the keeper is back on the bus", func() string {
		return h.Exec("busctl", "status", "org.ffkeeper1").failure()
	})
	if after := h.pid("cam1"); after != before {
		t.Errorf("cam1 was restarted: pid %s, then %s", before, after)
	}
	// Nobody listens until systemd has the socket back, which it takes with a
	// start of the keeper after the old shim has left.
	h.Exec("systemctl", "restart", "ffkeeper")
	h.Eventually(20*time.Second, "cam1 healthy under the next keeper", func() string {
		return h.Exec("ffkeeperctl", "health", "cam1").failure()
	})
}

func TestReadingIsFreeAndChangingIsNot(t *testing.T) {
	h := serving(t, map[string]string{"cam1": "[Stream]\nType=simple\nExecStart=sleep 1000\n"}, nil)
	as := func(user string, argv ...string) Result {
		return h.Exec(append([]string{"runuser", "-u", user, "--"}, argv...)...)
	}
	manager := func(argv ...string) []string {
		return append([]string{"busctl", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager"}, argv...)
	}
	if r := as("nobody", "ffkeeperctl", "list"); r.Code != 0 || !strings.Contains(r.Stdout, "cam1") {
		t.Errorf("nobody may not list: %v", r)
	}
	for _, call := range [][]string{
		{"Stop", "sa{sv}", "cam1", "0"},
		{"Start", "sa{sv}", "cam1", "0"},
		{"Kill", "si", "cam1", "9"},
		{"Reload"},
		{"WriteStdin", "say", "cam1", "1", "113"},
	} {
		if r := as("nobody", manager(call...)...); r.Code == 0 {
			t.Errorf("nobody may %s", call[0])
		} else if !strings.Contains(r.Stderr, "Access denied") && !strings.Contains(r.Stderr, "nteractive auth") {
			t.Errorf("%s is refused, but not for lack of rights: %v", call[0], r)
		}
	}
	// What a stream runs may not even read.
	if r := as("ffkeeper-streams", manager("ListStreams")...); r.Code == 0 {
		t.Error("the streams' own user may read")
	}
	h.Run("ffkeeperctl", "health", "cam1")

	// A rule of the administrator opens one action to one user.
	h.write("/etc/polkit-1/rules.d/50-test.rules", `polkit.addRule(function(action, subject) {
  if (action.id == "org.ffkeeper1.manage-streams" && subject.user == "nobody") return polkit.Result.YES;
});
`)
	h.Eventually(10*time.Second, "the rule is in force", func() string {
		return as("nobody", manager("Stop", "sa{sv}", "cam1", "0")...).failure()
	})
	if r := as("nobody", manager("Reload")...); r.Code == 0 {
		t.Error("a rule for one action has opened another")
	}
}

func TestBusActivatesEnabledKeeperOnly(t *testing.T) {
	h := installed(t, nil)
	list := []string{"busctl", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "ListStreams"}
	if r := h.Exec(list...); r.Code == 0 {
		t.Error("a call has started a keeper that is not enabled")
	}
	h.Run("systemctl", "enable", "ffkeeper")
	h.Run(list...)
	if got := h.Property("ffkeeper.service", "ActiveState"); got != "active" {
		t.Errorf("after a call the unit is %s", got)
	}
}
