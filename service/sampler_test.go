package service_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/procmon"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// withCgroups makes a keeper whose shim, as under systemd, has a cgroup of its
// own in which it makes one for each stream.
func withCgroups(t *testing.T, files map[string]string) *keeper {
	t.Helper()
	dir := delegated(t)
	program := filepath.Join(t.TempDir(), "shim")
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s/cgroup.procs && exec %s --cgroup \"$@\"\n", dir, buildShim(t))
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return newKeeper(t, files, func(o *service.Options) {
		o.Shim = func(_ context.Context, h shim.Handler) (*shim.Client, error) { return shim.Launch(program, h) }
	})
}

// delegated makes a cgroup of version 2; it and what is below it are removed
// once the keeper has ended.
func delegated(t *testing.T) string {
	t.Helper()
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var s unix.Statfs_t
		if unix.Statfs(mount, &s) != nil || s.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(mount, "ffkeeper-test-")
		if err != nil {
			t.Skipf("cannot make a cgroup: %v", err)
		}
		t.Cleanup(func() {
			for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				below, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
				for _, procs := range below {
					os.Remove(filepath.Dir(procs))
				}
				err := os.Remove(dir)
				if err == nil {
					return
				}
				if time.Now().After(end) {
					t.Errorf("cannot remove the cgroup: %v", err)
					return
				}
			}
		})
		if procmon.ReadPressure(dir).CPU == nil {
			t.Skip("this kernel has no pressure stall information")
		}
		return dir
	}
	t.Skip("cgroup version 2 is mounted nowhere")
	return ""
}

func TestHealthHasTheFiguresOfTheWholeControlGroup(t *testing.T) {
	t.Parallel()
	k := withCgroups(t, map[string]string{"s": "HealthCheckSec=1\nExecStart=ffmpeg -re " + testPicture +
		" -c:v libx264 -preset ultrafast -c:a aac -f mpegts -y @WORK@/x.ts"})
	k.start("s")
	s := k.until("s", "all figures", func(s *stream.Snapshot) bool {
		u := s.Usage
		return u != nil && u.HasCgroupCPU && u.CgroupCPUPercent > 0
	})
	if u := s.Usage; !u.HasPressureCPU || !u.HasPressureMemory || !u.HasPressureIO || u.PressureCPU < 0 || u.PressureCPU > 100 {
		t.Errorf("usage %+v", u)
	}
	_, err := os.Stat(filepath.Join(s.Cgroup, "memory.current"))
	if u := s.Usage; u.HasCgroupMemory != (err == nil) || u.HasCgroupMemory && u.CgroupMemory == 0 {
		t.Errorf("memory %d, %v; the file: %v", u.CgroupMemory, u.HasCgroupMemory, err)
	}
}

// Two streams deliver nothing on a host that is busy: one because its own
// processes have to share a CPU, the other because its input has died.
func TestAStalledStreamSaysWhetherTheHostOrTheInputIsToBlame(t *testing.T) {
	t.Parallel()
	ts := source(t)
	port := listen(t, func(c net.Conn) { c.Write(ts) })
	// Twice as long as the average takes from nothing to a half.
	const options = "HealthCheckSec=1h\nActivityTimeoutSec=14\nOnStall=log\nTimeoutStopSec=2\n"
	k := withCgroups(t, map[string]string{
		"busy": options + "Type=simple\nCPUAffinity=0\nExecStart=sh -c \"echo on air; for i in 1 2 3; do while :; do :; done & done; wait\"",
		"dead": options + fmt.Sprintf("ExecStart=ffmpeg -re -probesize 50000 -analyzeduration 500000 -i tcp://127.0.0.1:%d -c copy -f null /dev/null", port),
	})
	want := map[string]string{
		"busy": "of the last 10 s: the host is too slow",
		"dead": "an input may have stopped sending",
	}
	for name := range want {
		k.start(name)
	}
	for name, text := range want {
		s := k.until(name, "a verdict", func(s *stream.Snapshot) bool { return s.Health == stream.HealthStalled })
		if s.Reason != stream.ReasonStalled || !strings.Contains(s.Detail, text) {
			t.Errorf("%s: %s, %q; want %q", name, s.Reason, s.Detail, text)
		}
	}
}
