package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/shim/shimtest"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

func TestACommandThatIgnoresEverythingIsKilledWithAllItsProcesses(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nTimeoutStopSec=500ms\n" +
		`ExecStart=sh -c "trap '' TERM INT HUP; (trap '' TERM; sleep 1001) & setsid sh -c 'echo $$$$ > @WORK@/escaped; trap \"\" TERM; sleep 1002' & echo up; while :; do sleep 1003; done"`})
	pid := k.start("s")
	var escaped int
	k.until("s", "its processes", func(s *stream.Snapshot) bool {
		escaped = readPID(k.path("escaped"))
		return escaped > 0 && len(s.Lines) > 0
	})
	s := k.stop("s")
	if alive(pid) || alive(escaped) {
		t.Errorf("main alive %v, escaped alive %v", alive(pid), alive(escaped))
	}
	if !k.log.has("s", stream.KindForced) || s.Detail == "" || !slices.Equal(s.ExitCodes, []int{-9}) {
		t.Errorf("%q, %v, %v", s.Detail, s.ExitCodes, k.log.events("s"))
	}
}

// TestAnUnkillableProcessIsFollowedUntilItIsGone freezes a process: a task in
// the freezer of cgroup v1 sleeps uninterruptibly and heeds no KILL.
func TestAnUnkillableProcessIsFollowedUntilItIsGone(t *testing.T) {
	t.Parallel()
	freezer := shimtest.NewFreezer(t)
	k := newKeeper(t, map[string]string{"s": "Type=simple\nTimeoutStopSec=300ms\nExecStart=sleep 1000"})
	pid := k.start("s")
	freezer.Freeze(pid)
	err := k.Stop(k.ctx(), "s", service.CallOptions{})
	if kindOf(err) != service.Busy {
		t.Errorf("stop: %v", err)
	}
	if s := k.snap("s"); s.State != stream.StateZombie || s.Reason != stream.ReasonStuck {
		t.Fatalf("%s/%s", s.State, s.Reason)
	}
	if _, err := k.Start(k.ctx(), "s", service.CallOptions{}); kindOf(err) != service.Busy {
		t.Errorf("start: %v", err)
	}
	if s := k.snap("s"); s.State != stream.StateZombie || s.PID != pid {
		t.Fatalf("doubled: %s, pid %d", s.State, s.PID)
	}
	freezer.Thaw()
	s := k.until("s", "a new process", func(s *stream.Snapshot) bool { return s.State == stream.StateRunning })
	if s.PID == pid || alive(pid) {
		t.Errorf("pid %d, was %d", s.PID, pid)
	}
}

// TestOrphansDieWithTheirStream: what a wrapper left running is ended before
// the stream is started anew, and reaped.
func TestOrphansDieWithTheirStream(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nRestartSec=10ms\n" +
		`ExecStart=sh -c "sleep 1000 & echo $$! > @WORK@/orphan; exit 1"`})
	k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	var first int
	k.until("s", "an orphan", func(*stream.Snapshot) bool { first = readPID(k.path("orphan")); return first > 0 })
	k.until("s", "a restart", func(s *stream.Snapshot) bool { return s.RestartCount > 0 })
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", first)); err == nil {
		t.Errorf("the orphan %d of the first run is there still, or a zombie", first)
	}
}

// TestALostShimTakesItsStreamsAlongAndTheyAreStartedAnew kills a shim that is
// the keeper's child.
func TestALostShimTakesItsStreamsAlongAndTheyAreStartedAnew(t *testing.T) {
	program := buildShim(t)
	var client atomic.Pointer[shim.Client]
	k := newKeeper(t, map[string]string{
		"a":    "Type=simple\nExecStart=sleep 1000",
		"pipe": "Type=simple\nExecStart=sh -c \"sleep 1001 | sleep 1002\"",
		"off":  "Type=simple\nAutostart=no\nExecStart=sleep 1000",
	}, func(o *service.Options) {
		o.Shim = launcher(program, &client)
	})
	k.Autostart(k.ctx())
	pids := map[string]int{}
	for _, name := range []string{"a", "pipe"} {
		pids[name] = k.untilState(name, stream.StateRunning).PID
	}
	k.until("pipe", "the pipeline", func(*stream.Snapshot) bool { return count(t, "sleep 1001") == 1 })
	proc, _ := os.FindProcess(client.Load().Hello().PID)
	proc.Kill()
	for name, old := range pids {
		s := k.until(name, "a new process", func(s *stream.Snapshot) bool { return s.PID != 0 && s.PID != old })
		if alive(old) {
			t.Errorf("%s: the old process %d lives", name, old)
		}
		if !k.log.has(name, stream.KindShimLost) || s.ConsecutiveFailures != 0 {
			t.Errorf("%s: %v, %d failures", name, k.log.events(name), s.ConsecutiveFailures)
		}
	}
	if s := k.snap("off"); s.State != stream.StateStopped {
		t.Errorf("off: %s", s.State)
	}
	k.until("pipe", "one pipeline", func(*stream.Snapshot) bool { return count(t, "sleep 1001") == 1 })
}

// count is how many living processes have that command line.
func count(t *testing.T, cmdline string) (n int) {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		b, err := os.ReadFile(d + "/cmdline")
		if err == nil && strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " ")) == cmdline {
			pid, _ := strconv.Atoi(filepath.Base(d))
			if alive(pid) {
				n++
			}
		}
	}
	return n
}

func TestFastStartThatTakesLongerThanTheTimeoutIsFinished(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, map[string]string{"s": "TimeoutStopSec=1s\n" +
		"ExecStart=@FAKE@ -fake slow-finish=2s -progress pipe:3 -f lavfi -i x -y @WORK@/out.mp4"})
	k.startOK("s")
	begun := time.Now()
	if s := k.stop("s"); s.Detail != "" || k.log.has("s", stream.KindForced) {
		t.Errorf("%q, %v", s.Detail, k.log.events("s"))
	}
	if took := time.Since(begun); took < 1500*time.Millisecond {
		t.Errorf("took only %s: nothing was shown", took)
	}
}

// TestBlocksAreNoOutputThatGrows: an ffmpeg that hangs while its blocks go on
// is given no more time than one that is silent.
func TestBlocksAreNoOutputThatGrows(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, map[string]string{"s": "TimeoutStopSec=1s\n" +
		"ExecStart=@FAKE@ -fake freeze,ignore-q,ignore-term,lines=info -stats_period 0.05 -progress pipe:3 -f lavfi -i x -f null /dev/null"})
	k.startOK("s")
	begun := time.Now()
	k.stop("s")
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	if !k.log.has("s", stream.KindForced) {
		t.Errorf("%v", k.log.events("s"))
	}
}

// TestTheLastLineWithoutAnEndIsKept: who dies in the middle of a line says
// there why.
func TestTheLastLineWithoutAnEndIsKept(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nRestart=no\nExecStart=sh -c \"printf 'no disk' >&2; exit 1\""})
	k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	k.untilState("s", stream.StateFailed)
	if s := k.snap("s"); len(s.Lines) != 1 || s.Lines[0].Text != "no disk" {
		t.Errorf("%v", s.Lines)
	}
}

// TestARealFastStartThatTakesLongerThanTheTimeoutIsFinished: the second pass
// of +faststart rewrites the whole file without a progress block. ffmpeg gets
// so little of the processor that this takes longer than TimeoutStopSec=.
func TestARealFastStartThatTakesLongerThanTheTimeoutIsFinished(t *testing.T) {
	t.Parallel()
	ffmpegtest.Real(t)
	slow := throttle(t)
	const timeout = 2 * time.Second
	k := newKeeper(t, map[string]string{"s": "TimeoutStopSec=2s\nExecStart=ffmpeg -f lavfi -i testsrc=size=640x360:rate=25 " +
		"-c:v rawvideo -pix_fmt uyvy422 -movflags +faststart -f mov -y @WORK@/out.mov"})
	size := uint64(64 << 20)
	for try := range 5 {
		pid := k.start("s")
		k.until("s", "a large file", func(s *stream.Snapshot) bool {
			return s.State == stream.StateRunning && s.Progress != nil && s.Progress.TotalBytes > size
		})
		slow(pid)
		begun := time.Now()
		s := k.stop("s")
		took := time.Since(begun)
		if s.Detail != "" || k.log.has("s", stream.KindForced) {
			t.Fatalf("after %s: %q, %v", took, s.Detail, k.log.events("s"))
		}
		playable(t, k.path("out.mov"), 1)
		if took > timeout {
			return
		}
		t.Logf("try %d: %d bytes took only %s", try, size, took)
		size *= 2
	}
	t.Error("never took longer than the time-out: nothing was shown")
}

// throttle answers a function that leaves a process a fortieth of a processor.
func throttle(t *testing.T) func(pid int) {
	t.Helper()
	dir, err := os.MkdirTemp("/sys/fs/cgroup/cpu", "ffkeeper-test-")
	if err != nil {
		t.Skipf("SKIPPED: THIS MACHINE HAS NO cgroup v1 CPU CONTROLLER TO SLOW A PROCESS WITH: %v", err)
	}
	write := func(file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	write("cpu.cfs_period_us", "100000")
	write("cpu.cfs_quota_us", "2500")
	t.Cleanup(func() {
		for range 200 {
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the control group is still in use")
	})
	return func(pid int) { write("cgroup.procs", strconv.Itoa(pid)) }
}
