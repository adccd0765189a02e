package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

// BenchmarkFakeStart is from exec to the first block and the end: real time an
// operation, and what the fake itself takes of a CPU.
func BenchmarkFakeStart(b *testing.B) {
	path := ffmpegtest.Build(b)
	args := strings.Fields("-nostats -progress pipe:1 -stats_period 1 -loglevel quiet -f lavfi -i testsrc -fake blocks=1 -f null -")
	var cpu time.Duration
	for b.Loop() {
		cmd := exec.Command(path, args...)
		if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), "progress=end") {
			b.Fatalf("%v: %q", err, out)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	b.ReportMetric(cpu.Seconds()*1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkFakeSecond is what a hundred that run take in a second each, with a
// block and a line a second: CPU of one, in microseconds.
func BenchmarkFakeSecond(b *testing.B) {
	const n = 100
	path := ffmpegtest.Build(b)
	args := strings.Fields("-nostats -progress pipe:1 -stats_period 1 -loglevel repeat+level+info -f lavfi -i testsrc -fake lines=info,q-at-once -f flv rtmp://host/app/key")
	var fakes []*exec.Cmd
	var ends []func() error
	for range n {
		cmd := exec.Command(path, args...)
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = nil, nil
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		fakes = append(fakes, cmd)
		ends = append(ends, func() error { _, err := in.Write([]byte("q")); return err })
	}
	b.ResetTimer()
	for range b.N {
		time.Sleep(time.Second)
	}
	b.StopTimer()
	var cpu time.Duration
	for i, cmd := range fakes {
		if err := ends[i](); err != nil {
			b.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	b.ReportMetric(float64(cpu.Microseconds())/n/float64(b.N), "cpu-us/s")
}
