package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
)

// TestTheKeeperServesOnASessionBus, where ffkeeperctl and a client that knows
// nothing of ours find it: those of the same session, and of no other.
func TestTheKeeperServesOnASessionBus(t *testing.T) {
	t.Parallel()
	ctl := filepath.Join(t.TempDir(), "ffkeeperctl")
	if out, err := exec.Command("go", "build", "-o", ctl, "../ffkeeperctl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bus := bustest.Start(t)
	session := func(c *exec.Cmd) {
		c.Env = append(c.Env, "FFKEEPER_BUS=session", "DBUS_SESSION_BUS_ADDRESS="+bus.Address)
	}
	d := launchDaemon(t, map[string]string{"a": "Type=simple\nAutostart=no\nExecStart=sleep 1000"}, session)
	d.await(bus.Address)
	if _, err := os.Stat(filepath.Join(d.state, "bus-address")); err == nil {
		t.Error("there is a private bus, too")
	}
	for _, call := range []struct{ command, want string }{
		{ctl + " start a", ""},
		{ctl + " list", "running"},
		{"gdbus call --session --dest org.ffkeeper1 --object-path /org/ffkeeper1/stream/a --method org.freedesktop.DBus.Properties.Get org.ffkeeper1.Stream State", "(<'running'>,)"},
		{"gdbus call --session --dest org.ffkeeper1 --object-path /org/ffkeeper1 --method org.ffkeeper1.Manager.Stop a {}", "()"},
		{"gdbus call --session --dest org.freedesktop.DBus --object-path /org/freedesktop/DBus --method org.freedesktop.DBus.GetConnectionUnixProcessID org.ffkeeper1", fmt.Sprintf("(uint32 %d,)", d.cmd.Process.Pid)},
		{ctl + " status a", "stopped"},
	} {
		words := strings.Fields(call.command)
		c := exec.CommandContext(d.ctx(), words[0], words[1:]...)
		c.Env = append(os.Environ(), "FFKEEPER_STATE_DIR="+d.state)
		session(c)
		out, err := c.CombinedOutput()
		// status ends with 3 for one that does not run, as systemctl does
		if c.ProcessState == nil || err != nil && !strings.Contains(call.command, " status ") || !strings.Contains(string(out), call.want) {
			t.Errorf("%s: %v, %q; want %q", call.command, err, out, call.want)
		}
	}
	c := exec.CommandContext(d.ctx(), ctl, "list")
	c.Env = append(os.Environ(), "FFKEEPER_BUS=session", "DBUS_SESSION_BUS_ADDRESS="+bustest.Start(t).Address)
	if out, err := c.CombinedOutput(); err == nil {
		t.Errorf("another session sees the keeper, too: %s", out)
	}
}
