// Package shimtest makes processes that the kernel will not let go, for tests
// of what follows a child in uninterruptible sleep.
package shimtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Freezer is a cgroup (v1, controller freezer) whose processes take no signal,
// SIGKILL included, until they are thawed.
type Freezer struct {
	dir string
	t   testing.TB
}

// NewFreezer makes one that lives as long as the test, which is skipped where
// the machine has none. At the end it is thawed
// and what is in it is killed.
func NewFreezer(t testing.TB) *Freezer {
	t.Helper()
	dir, err := os.MkdirTemp("/sys/fs/cgroup/freezer", "ffkeeper-test-")
	if err != nil {
		t.Skipf("SKIPPED: THIS MACHINE HAS NO cgroup v1 FREEZER TO MAKE A PROCESS UNKILLABLE WITH: %v", err)
	}
	f := &Freezer{dir: dir, t: t}
	t.Cleanup(func() {
		f.Thaw()
		for _, pid := range f.pids() {
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill()
			}
		}
		f.until("it is empty", func() bool { return len(f.pids()) == 0 })
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return f
}

// Freeze puts a process, with all its threads, into the freezer and waits until
// it is frozen. Its children stay where they are.
func (f *Freezer) Freeze(pid int) {
	f.t.Helper()
	f.write("cgroup.procs", strconv.Itoa(pid))
	f.write("freezer.state", "FROZEN")
	f.until("it is frozen", func() bool { return f.read("freezer.state") == "FROZEN" })
}

// Thaw lets everything in the freezer go on: signals sent meanwhile arrive.
func (f *Freezer) Thaw() {
	f.t.Helper()
	f.write("freezer.state", "THAWED")
}

func (f *Freezer) pids() []int {
	var pids []int
	for _, s := range strings.Fields(f.read("cgroup.procs")) {
		if pid, err := strconv.Atoi(s); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (f *Freezer) read(name string) string {
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Error(err)
	}
	return strings.TrimSpace(string(data))
}

func (f *Freezer) write(name, value string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(value), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// until polls: the kernel has no event for this.
func (f *Freezer) until(what string, cond func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: waited in vain until %s", f.dir, what)
		}
	}
}
