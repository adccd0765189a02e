package pump

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The benchmarks' writers are a process of their own, this test binary again,
// so that only reading is counted.
const writersEnv = "PUMP_TEST_WRITERS"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(writersEnv)); err == nil {
		writeOnceASecond(n, os.Getenv(writersEnv+"_FLOOD") != "")
	}
	os.Exit(m.Run())
}

// writeOnceASecond writes one progress block a second to each of n pipes
// from fd 3 on, evenly spread, and floods one more, until they are closed.
func writeOnceASecond(n int, flood bool) {
	if flood {
		go io.Copy(os.NewFile(uintptr(3+n), "flood"), zeros{})
	}
	block := make([]byte, 180)
	start := time.Now()
	for i := 0; ; i++ {
		due := time.Duration(i) * time.Second / time.Duration(n)
		time.Sleep(due - time.Since(start))
		if _, err := unix.Write(3+i%n, block); err != nil {
			os.Exit(0)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// 600 pipes with a progress block a second each, as 300 streams have them
// together with a stderr line each. Reported: CPU time of this process per
// second, and context switches per second.
func BenchmarkSixHundredPipes(b *testing.B) {
	readers := []struct {
		name string
		read func(b *testing.B, pipes []*os.File) (stop func())
	}{
		{"pump", readWithPump},
		{"goroutines", readWithGoroutines},
	}
	for _, r := range readers {
		b.Run(r.name, func(b *testing.B) { benchmarkPipes(b, 600, false, r.read) })
	}
	for _, r := range readers {
		b.Run(r.name+"-and-flood", func(b *testing.B) { benchmarkPipes(b, 600, true, r.read) })
	}
}

func benchmarkPipes(b *testing.B, n int, flood bool, read func(*testing.B, []*os.File) func()) {
	const seconds = 3
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), writersEnv+"="+strconv.Itoa(n))
	if flood {
		cmd.Env = append(cmd.Env, writersEnv+"_FLOOD=1")
	}
	var readers []*os.File
	for range n + 1 {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		readers = append(readers, r)
		cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for _, w := range cmd.ExtraFiles {
		w.Close()
	}
	stop := read(b, readers)
	var cpu time.Duration
	var switches int64
	for b.Loop() {
		var from, to unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &from)
		time.Sleep(seconds * time.Second)
		unix.Getrusage(unix.RUSAGE_SELF, &to)
		cpu += time.Duration(to.Utime.Nano() + to.Stime.Nano() - from.Utime.Nano() - from.Stime.Nano())
		switches += int64(to.Nvcsw + to.Nivcsw - from.Nvcsw - from.Nivcsw)
	}
	cmd.Process.Kill()
	cmd.Wait()
	stop()
	passed := float64(b.N * seconds)
	b.ReportMetric(cpu.Seconds()*1000/passed, "cpu-ms/s")
	b.ReportMetric(float64(switches)/passed, "switches/s")
}

func readWithPump(b *testing.B, pipes []*os.File) func() {
	p, err := New()
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range pipes {
		var s *Source
		known := make(chan struct{})
		s, err = p.Add(r, 0, func() {
			<-known
			for data, eof := s.Take(nil); !eof && len(data) > 0; {
				data, eof = s.Take(data)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		close(known)
	}
	return func() { p.Close() }
}

func readWithGoroutines(b *testing.B, pipes []*os.File) func() {
	var done sync.WaitGroup
	for _, r := range pipes {
		done.Go(func() {
			defer r.Close()
			for buf := make([]byte, 4096); ; {
				if _, err := r.Read(buf); err != nil {
					return
				}
			}
		})
	}
	return done.Wait
}

// BenchmarkIdleSources reports what a source costs that says nothing.
func BenchmarkIdleSources(b *testing.B) {
	for b.Loop() {
		p := newPump(b)
		const n = 3000
		before := heap()
		sources := make([]*source, n)
		for i := range sources {
			sources[i] = add(b, p, 0)
			sources[i].write(b, "x")
		}
		for _, s := range sources {
			s.wait(b)
			data, _ := s.Take(nil)
			s.Take(data)
		}
		b.ReportMetric(float64(heap()-before)/n, "B/source")
		p.Close()
		for _, s := range sources {
			s.w.Close()
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // a sync.Pool lets go at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
