package shim

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkSpawn300 starts 300 children at once through a launched shim, the
// time until the last has answered.
func BenchmarkSpawn300(b *testing.B) {
	benchmarkSpawn(b, launched(b), sleeper())
}

// BenchmarkSpawn300Cgroup does so with a shim that makes a cgroup for each.
func BenchmarkSpawn300Cgroup(b *testing.B) {
	l, _ := startInCgroup(b)
	benchmarkSpawn(b, l.dial(b), sleeper())
}

func sleeper() SpawnRequest {
	return SpawnRequest{Stream: "s", Path: "/bin/sleep", Argv: []string{"sleep", "1000"}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true}
}

// BenchmarkSpawn300Helper does so by way of the exec helper.
func BenchmarkSpawn300Helper(b *testing.B) {
	req := sleeper()
	req.UMask = ptr[uint32](0o22)
	benchmarkSpawn(b, launched(b), req)
}

func benchmarkSpawn(b *testing.B, r *rig, req SpawnRequest) {
	const n = 300
	var spawning, killing time.Duration
	for range b.N {
		begin := time.Now()
		done := make(chan *Child, n)
		for range n {
			r.Spawn(req, nil, func(c *Child, err error) {
				if err != nil {
					b.Error(err)
				}
				done <- c
			})
		}
		var children []*Child
		for range n {
			children = append(children, <-done)
		}
		spawning += time.Since(begin)
		begin = time.Now()
		for _, c := range children {
			r.Signal(c.ID, unix.SIGTERM, Group)
		}
		for range n {
			e := next[Empty](r)
			r.Forget(e.ID)
		}
		killing += time.Since(begin)
		for _, c := range children {
			c.close()
		}
	}
	b.ReportMetric(float64(spawning.Microseconds())/float64(b.N)/1000, "ms/300-spawns")
	b.ReportMetric(float64(killing.Microseconds())/float64(b.N)/1000, "ms/300-ends")
}

// BenchmarkCrashToNewProcess is the shim's share of a restart without delay:
// from the death of a child to the answer with the next one.
func BenchmarkCrashToNewProcess(b *testing.B) { benchmarkCrash(b, launched(b)) }

func BenchmarkCrashToNewProcessCgroup(b *testing.B) {
	l, _ := startInCgroup(b)
	benchmarkCrash(b, l.dial(b))
}

func benchmarkCrash(b *testing.B, r *rig) {
	req := sleeper()
	c := r.start(req)
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		unix.Kill(c.PID, unix.SIGKILL)
		next[Empty](r)
		r.Forget(c.ID)
		fresh := r.start(req)
		took = append(took, time.Since(begin))
		c.close()
		c = fresh
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}

// BenchmarkThousandChildren says what a shim with 1,000 children costs: memory,
// threads, and processor time while nothing happens, with a keeper and, while
// all of them write a block and a line a second, without.
func BenchmarkThousandChildren(b *testing.B) {
	const n = 1000
	for range b.N {
		l := startLinger(b)
		r := l.dial(b)
		req := SpawnRequest{Stream: "s", Argv: []string{"/bin/sh", "-c", `while read x; do while :; do echo frame=1 fps=25 progress=continue >&3; echo "[info] a line" >&2; /bin/sleep 1; done; done`}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true}
		var children []*Child
		for i := range n {
			req.Stream = "cam" + strconv.Itoa(i)
			children = append(children, r.start(req))
		}
		pid := l.cmd.Process.Pid
		before := cpuTime(b, pid)
		time.Sleep(10 * time.Second)
		b.ReportMetric(float64((cpuTime(b, pid)-before).Milliseconds())/10, "ms/s-idle")
		tids, _ := threads(pid)
		b.ReportMetric(float64(len(tids)), "threads")
		b.ReportMetric(rss(b, pid), "MB")
		r.leaveAlone()
		for _, c := range children {
			c.Stdin.Write([]byte("\n"))
		}
		time.Sleep(5 * time.Second)
		before = cpuTime(b, pid)
		time.Sleep(10 * time.Second)
		b.ReportMetric(float64((cpuTime(b, pid)-before).Milliseconds())/10, "ms/s-alone")
		b.ReportMetric(rss(b, pid), "MB-alone")
		r = l.dial(b)
		for _, h := range r.Hello().Children {
			r.Kill(h.ID)
			r.Forget(h.ID)
			h.close()
		}
		for _, c := range children {
			c.close()
		}
		for range n {
			next[Empty](r)
		}
	}
}

// cpuTime is what a process has used.
func cpuTime(t testing.TB, pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+2:]))
	user, _ := strconv.Atoi(f[14-3])
	system, _ := strconv.Atoi(f[15-3])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// rss is the resident memory of a process in MB.
func rss(t testing.TB, pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kb) / 1024
		}
	}
	return 0
}
