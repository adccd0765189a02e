package systemtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHostBootsWithSeedAndVanishes(t *testing.T) {
	seed := t.TempDir()
	if err := os.WriteFile(filepath.Join(seed, "hello"), []byte("from the seed"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := Boot(t, seed)
	if got := h.Run("cat", "/hello"); got != "from the seed" {
		t.Errorf("the seed reads %q", got)
	}
	if got := h.Property("dbus.service", "ActiveState"); got != "active" {
		t.Errorf("dbus.service is %s", got)
	}
	if r := h.Exec("sh", "-c", "echo out; echo err >&2; exit 3"); r != (Result{"out\n", "err\n", 3}) {
		t.Errorf("Exec: %v", r)
	}
	h.Run("sh", "-c", "echo 'a line' | systemd-cat -t tester -p warning")
	if r := h.WaitJournal(10*time.Second, "-t", "tester"); r["MESSAGE"] != "a line" || r["PRIORITY"] != "4" {
		t.Errorf("journal has\n%v", r)
	}
	cgroups, err := os.ReadFile(filepath.Join(h.dir, "cgroups"))
	if err != nil {
		t.Fatal(err)
	}
	h.Stop()
	if _, err := os.Stat("/hello"); err == nil {
		t.Error("the seed has reached this machine")
	}
	if left, _ := os.ReadDir(filepath.Join(h.dir, "mnt")); len(left) > 0 {
		t.Errorf("mounts are left: %v", left)
	}
	for _, dir := range strings.Fields(string(cgroups)) {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("cgroup %s is left", dir)
		}
	}
}

func TestTwoHostsAtOnce(t *testing.T) {
	a, b := Boot(t, ""), Boot(t, "")
	if a.Run("hostname") == b.Run("hostname") {
		t.Error("both are the same host")
	}
	a.Stop()
	if got := b.Run("systemctl", "is-active", "dbus"); got != "active" {
		t.Errorf("with the other stopped, dbus is %s", got)
	}
}
