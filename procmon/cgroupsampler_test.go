package procmon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// newCgroup makes a cgroup of version 2 that is removed at the end.
func newCgroup(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(cgroup2Mount(t), "procmon-test-")
	if err != nil {
		t.Fatalf("cannot make a cgroup (this test needs root): %v", err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	return dir
}

// runIn starts a command in a cgroup, on one CPU; it is killed at the end.
func runIn(t testing.TB, dir string, command string) *exec.Cmd {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	cmd := exec.Command("taskset", "-c", "0", "sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(d.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	return cmd
}

// On the real kernel: three loops that share one CPU wait for it, a sleeper
// beside them waits for nothing.
func TestPressureNamesTheCgroupThatWaits(t *testing.T) {
	busy, idle := newCgroup(t), newCgroup(t)
	if ReadPressure(busy).CPU == nil {
		t.Skip("this kernel has no pressure stall information")
	}
	for range 3 {
		runIn(t, busy, "while :; do :; done")
	}
	runIn(t, idle, "exec sleep 1000")
	b, i := NewCgroupSampler(busy), NewCgroupSampler(idle)
	if u := b.Sample(); u.HasCPU {
		t.Errorf("CPU %.1f %% after one sample", u.CPUPercent)
	}
	i.Sample()
	var used float64
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		u := b.Sample()
		used += u.CPUPercent
		if waited, known := Waited(u.Pressure.CPU); known && waited > 30 && u.HasCPU && used > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("still %+v, %+v", u, u.Pressure.CPU.Some)
		}
	}
	u := i.Sample()
	waited, known := Waited(u.Pressure.CPU)
	if !known || waited > 10 || !u.HasCPU || u.CPUPercent > 10 {
		t.Errorf("idle: %+v, waited %v", u, waited)
	}
	if u.Pressure.Memory == nil || u.Pressure.IO == nil {
		t.Errorf("idle: %+v", u.Pressure)
	}
	if _, err := os.Stat(filepath.Join(idle, memoryCurrent)); u.HasMemory != (err == nil) || u.HasMemory && u.Memory == 0 {
		t.Errorf("memory %d %v; the file: %v", u.Memory, u.HasMemory, err)
	}
}

func TestSampleOfAGoneCgroupKnowsNothingAndBeginsAnew(t *testing.T) {
	dir := newCgroup(t)
	s := NewCgroupSampler(dir)
	s.Sample()
	if u := s.Sample(); !u.HasCPU {
		t.Errorf("%+v", u)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if u := s.Sample(); u != (CgroupUsage{}) {
		t.Errorf("of a cgroup that is gone: %+v", u)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if u := s.Sample(); u.HasCPU {
		t.Errorf("the counters of another cgroup were compared: %+v", u)
	}
}

func cpuStat(periods, throttled int) map[string]string {
	return map[string]string{"cpu.stat": "usage_usec 1\nuser_usec 1\nsystem_usec 0\nnr_periods " + strconv.Itoa(periods) +
		"\nnr_throttled " + strconv.Itoa(throttled) + "\nthrottled_usec 9\n"}
}

func TestThrottlingIsThatSinceTheSampleBefore(t *testing.T) {
	dir := t.TempDir()
	s := NewCgroupSampler(dir)
	for _, step := range []struct {
		periods, throttled int
		want               float64
	}{
		{1000, 900, 0}, // who knows when
		{1050, 945, 90},
		{1100, 945, 0},
		{1100, 945, 0}, // nothing ran
		{10, 9, 0},     // a new quota
		{20, 19, 100},
	} {
		write(t, dir, cpuStat(step.periods, step.throttled))
		if u := s.Sample(); u.ThrottledPercent != step.want {
			t.Errorf("after %+v: %v", step, u.ThrottledPercent)
		}
	}
}

func TestMemoryLimitIsNamedWhileMemoryIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	s := NewCgroupSampler(dir)
	for i, step := range []struct {
		waited, events string
		want           bool
	}{
		{"0.00", "low 0\nhigh 5\nmax 0\noom 0\noom_kill 0\n", false},
		{"60.00", "low 0\nhigh 6\nmax 0\noom 0\noom_kill 0\n", false}, // who knows when
		{"60.00", "low 0\nhigh 6\nmax 0\noom 0\noom_kill 0\n", false},
		{"60.00", "low 0\nhigh 7\nmax 0\noom 0\noom_kill 0\n", true},
		{"60.00", "low 0\nhigh 7\nmax 1\noom 0\noom_kill 0\n", true},
		{"0.00", "low 0\nhigh 9\nmax 9\noom 0\noom_kill 0\n", false},
	} {
		write(t, dir, map[string]string{"memory.current": "4096\n", "memory.events": step.events, "memory.pressure": psi(step.waited, "0.00")})
		u := s.Sample()
		if u.MemoryLimited != step.want || !u.HasMemory || u.Memory != 4096 {
			t.Errorf("step %d: %+v", i, u)
		}
	}
}

func BenchmarkCgroupSample(b *testing.B) {
	dir := newCgroup(b)
	runIn(b, dir, "exec sleep 1000")
	s := NewCgroupSampler(dir)
	b.ReportAllocs()
	for b.Loop() {
		s.Sample()
	}
}
