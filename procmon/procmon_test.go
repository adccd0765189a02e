package procmon

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

// run starts a command in a process group of its own, which is killed at the
// end of the test.
func run(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	return cmd
}

// until samples until enough says so: the kernel has no event for what a
// process has used.
func until(t testing.TB, s *Sampler, enough func(Usage) bool) Usage {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		u, err := s.Sample()
		if err != nil {
			t.Fatal(err)
		}
		if enough(u) {
			return u
		}
		if time.Now().After(end) {
			t.Fatalf("still %+v", u)
		}
	}
}

// exits waits until a process is a zombie, which leaves it unreaped.
func exits(t testing.TB, pid int) {
	t.Helper()
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}

const encode = "ffmpeg -nostdin -loglevel error -f lavfi -i testsrc2 -c:v libx264 -threads 2 -f mpegts pipe:1"

func TestShellShowsWhatItsPipelineUses(t *testing.T) {
	cmd := run(t, "sh", "-c", encode+" | ffmpeg -nostdin -loglevel error -f mpegts -i pipe:0 -c copy -f null -; true")
	s := NewSampler(cmd.Process.Pid)
	first, err := s.Sample()
	if err != nil {
		t.Fatal(err)
	}
	if first.HasCPU {
		t.Error("CPU percent after one sample")
	}
	until(t, s, func(u Usage) bool { return u.Processes == 3 })
	other := NewSampler(cmd.Process.Pid)
	before := time.Now()
	began, err := other.Sample()
	if err != nil {
		t.Fatal(err)
	}
	between := time.Now()
	u := until(t, s, func(u Usage) bool { return u.CPU > began.CPU+time.Second })
	after := time.Now()
	whole, err := other.Sample()
	if err != nil {
		t.Fatal(err)
	}
	used := 100 * (whole.CPU - began.CPU).Seconds()
	least, most := used/time.Since(before).Seconds(), used/after.Sub(between).Seconds()
	if !whole.HasCPU || whole.CPU-began.CPU < time.Second/2 || whole.CPUPercent < least || whole.CPUPercent > most {
		t.Errorf("CPU %.1f %%, not between %.1f and %.1f, in all %v", whole.CPUPercent, least, most, whole.CPU)
	}
	if u.RSS < 40<<20 || u.Threads < 5 {
		t.Errorf("RSS %d, %d threads", u.RSS, u.Threads)
	}

	// What the kernel says once all have been waited for is the measure.
	all, err := Descendants(cmd.Process.Pid)
	if err != nil || len(all) != 2 {
		t.Fatalf("descendants %v, %v", all, err)
	}
	for _, pid := range all {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	last, err := s.Sample()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range all {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	cmd.Wait()
	kernel := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if d := kernel - last.CPU; d < -30*time.Millisecond || d > kernel/10+100*time.Millisecond {
		t.Errorf("CPU %v, the kernel says %v", last.CPU, kernel)
	}
}

// A shell whose commands end sooner than anyone looks.
func TestShortLivedChildrenCountAndNothingIsNegative(t *testing.T) {
	cmd := run(t, "sh", "-c", "while :; do head -c 3000000 /dev/zero | sha1sum >/dev/null; done")
	s := NewSampler(cmd.Process.Pid)
	last := time.Duration(0)
	until(t, s, func(u Usage) bool {
		if u.CPU < last || u.CPUPercent < 0 {
			t.Fatalf("CPU %v (%.1f %%) after %v", u.CPU, u.CPUPercent, last)
		}
		last = u.CPU
		return u.CPU > 2*time.Second
	})
	syscall.Kill(cmd.Process.Pid, syscall.SIGSTOP)
	u, err := s.Sample()
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
	kernel := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if d := kernel - u.CPU; d < -100*time.Millisecond || d > kernel/2 {
		t.Errorf("CPU %v, the kernel says %v", u.CPU, kernel)
	}
}

func TestOrphanBelongsToTheStreamItWasFoundIn(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sh -c 'sleep 1000 & echo $!; read x'; read y; exit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	sleeper, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSampler(cmd.Process.Pid)
	until(t, s, func(u Usage) bool { return u.Processes == 3 })
	if _, err := in.Write([]byte("\n")); err != nil { // ends the inner shell
		t.Fatal(err)
	}
	until(t, s, func(u Usage) bool { return u.Processes == 2 })
	until(t, s, func(Usage) bool { // the inner shell has been waited for
		all, err := Descendants(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == 0
	})
	if u, err := s.Sample(); err != nil || u.Processes != 2 {
		t.Errorf("%+v, %v", u, err)
	}
	syscall.Kill(sleeper, syscall.SIGKILL)
	until(t, s, func(u Usage) bool { return u.Processes == 1 })
}

func TestChildOfAnyThreadIsFound(t *testing.T) {
	cmd := startFromOtherThread(t)
	all, err := Descendants(os.Getpid())
	if err != nil || !slices.Contains(all, cmd.Process.Pid) {
		t.Errorf("%d is not among %v, %v", cmd.Process.Pid, all, err)
	}
	s := NewSampler(os.Getpid())
	for range 20 { // also by a sample that need not ask every thread
		u, err := s.Sample()
		if err != nil || u.Processes < 2 {
			t.Fatalf("%+v, %v", u, err)
		}
	}
}

// startFromOtherThread starts a child from a thread that is not the main one
// and lives on until the end of the test.
func startFromOtherThread(t *testing.T) *exec.Cmd {
	cmd := exec.Command("sleep", "1000")
	started, end := make(chan error), make(chan struct{})
	var try func()
	try = func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if unix.Gettid() == os.Getpid() {
			go try() // the main thread is held here meanwhile
			<-end
			return
		}
		started <- cmd.Start()
		<-end
	}
	go try()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		close(end)
	})
	return cmd
}

func TestEndedProcessIsGone(t *testing.T) {
	cmd := run(t, "sleep", "1000")
	pid := cmd.Process.Pid
	s := NewSampler(pid)
	if _, err := s.Sample(); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	exits(t, pid)
	if _, err := s.Sample(); !errors.Is(err, ErrGone) {
		t.Errorf("zombie: %v", err)
	}
	if all, err := Descendants(os.Getpid()); err != nil || !slices.Contains(all, pid) {
		t.Errorf("zombie %d is not among the descendants %v, %v", pid, all, err)
	}
	cmd.Wait()
	for name, err := range map[string]error{
		"Sample":             func() error { _, err := s.Sample(); return err }(),
		"Sample of the dead": func() error { _, err := NewSampler(pid).Sample(); return err }(),
		"Descendants":        func() error { _, err := Descendants(pid); return err }(),
		"StartTime":          func() error { _, err := StartTime(pid); return err }(),
		"CgroupOf":           func() error { _, err := CgroupOf(pid); return err }(),
	} {
		if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnotherProcessWithOurPidIsNotOurs(t *testing.T) {
	s := NewSampler(os.Getpid())
	if _, err := s.Sample(); err != nil {
		t.Fatal(err)
	}
	s.start-- // as if it had been another that was started before
	if _, err := s.Sample(); !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
}

// One without descriptors must not take its child for ended.
func TestSampleRecoversFromTooManyOpenFiles(t *testing.T) {
	cmd := run(t, "sh", "-c", "while :; do :; done & wait")
	s := NewSampler(cmd.Process.Pid)
	before := until(t, s, func(u Usage) bool { return u.Processes == 2 && u.CPU > 100*time.Millisecond })
	syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP)

	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Sample()
	unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("without descriptors: %v", err)
	}
	after, err := s.Sample()
	if err != nil || after.Processes != 2 || after.CPU > before.CPU+5*time.Second {
		t.Errorf("%+v, %v; before %+v", after, err, before)
	}
}

func TestStartTimeTellsProcessesApart(t *testing.T) {
	own, err := StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	init, err := StartTime(1)
	if err != nil || own <= init {
		t.Errorf("own %d, init's %d, %v", own, init, err)
	}
	if now := uint64(sinceBoot() / tick); own > now || own+uint64(time.Hour/tick) < now {
		t.Errorf("started at %d, it is %d", own, now)
	}
}

func FuzzChildrenListCutAnywhere(f *testing.F) {
	f.Add("12 345 ", 3)
	f.Add("4194304 1 \n", 0)
	f.Add("rubbish 12", 9)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		var whole, cutUp pidList
		want := whole.feed([]byte(text), nil)
		cut = min(max(cut, 0), len(text))
		got := cutUp.feed([]byte(text[cut:]), cutUp.feed([]byte(text[:cut]), nil))
		if !slices.Equal(got, want) {
			t.Errorf("%v, cut %v", want, got)
		}
	})
}

func BenchmarkSample(b *testing.B) {
	for name, command := range map[string]string{
		"plain":    "exec sleep 1000",
		"ffmpeg":   "exec ffmpeg -nostdin -loglevel quiet -re -f lavfi -i testsrc -c:v libx264 -threads 4 -f null -",
		"pipeline": strings.Replace(encode, "-f lavfi", "-re -f lavfi", 1) + " | ffmpeg -nostdin -loglevel quiet -i pipe:0 -c copy -f null -; true",
	} {
		b.Run(name, func(b *testing.B) {
			s := NewSampler(run(b, "sh", "-c", command).Process.Pid)
			until(b, s, func(u Usage) bool { return name == "plain" || u.CPU > 200*time.Millisecond })
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sample(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
