package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// crash kills one child again and again and has its successor report itself.
func (b *bench) crash(kinds []starter) error {
	return b.crashes(kinds, "crash to new process", nil)
}

// flood is the same beside a child that floods stderr at full speed.
func (b *bench) flood(kinds []starter) error {
	return b.crashes(kinds[:1], "crash to new process beside a flood of stderr", []child{
		{name: "flood", command: b.fake + " -fake flood -progress pipe:3 -f lavfi -i x -f null -", ffmpeg: true},
	})
}

func (b *bench) crashes(kinds []starter, what string, beside []child) error {
	for _, start := range kinds {
		var p50, p99 []time.Duration
		var name string
		for range b.runs {
			took, peer, err := b.crashRun(start, beside)
			if err != nil {
				return err
			}
			name = peer
			p50, p99 = append(p50, percentile(took, 50)), append(p99, percentile(took, 99))
		}
		b.out.set(what+", p50", "≤ 5 ms", name, ms(median(p50)))
		b.out.set(what+", p99", "≤ 20 ms", name, ms(median(p99)))
	}
	return nil
}

func (b *bench) crashRun(start starter, beside []child) (took []time.Duration, name string, err error) {
	dir, err := os.MkdirTemp(b.dir, "crash-")
	if err != nil {
		return nil, "", err
	}
	fifo, script := filepath.Join(dir, "fifo"), filepath.Join(dir, "child")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $$ >"+fifo+"\nexec sleep 100000\n"), 0o755); err != nil {
		return nil, "", err
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	p, err := start(b, append([]child{{name: "crasher", command: script}}, beside...))
	if err != nil {
		return nil, "", err
	}
	defer p.stop()
	if err := p.startAll(); err != nil {
		return nil, "", err
	}
	n := 100
	if p.name() != "ffkeeper" {
		n = 5 // it waits a second before each
	}
	next := func() (int, error) {
		if !lines.Scan() {
			return 0, fmt.Errorf("no child reports itself: %w", lines.Err())
		}
		return strconv.Atoi(strings.TrimSpace(lines.Text()))
	}
	pid, err := next()
	if err != nil {
		return nil, "", err
	}
	for range n {
		begun := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return nil, "", err
		}
		if pid, err = next(); err != nil {
			return nil, "", err
		}
		took = append(took, time.Since(begun))
	}
	return took, p.name(), nil
}

// loads measures many streams at their ordinary work, and their start and
// stop.
func (b *bench) loads(kinds []starter) error {
	for _, size := range []struct {
		n             int
		cpu, rss      string
		start, stop   string
		peers, timing bool
	}{
		{300, "≤ 2 %", "≤ 40 MB", "≤ 600 ms", "≤ 500 ms", true, true},
		{1000, "≤ 7 %", "≤ 90 MB", "", "", false, false},
	} {
		for i, start := range kinds {
			if i > 0 && !size.peers {
				continue
			}
			var cpu, rss []float64
			var threads []int
			var starts, stops []time.Duration
			var name string
			for range b.runs {
				r, err := b.loadRun(start, size.n)
				if err != nil {
					return err
				}
				name = r.name
				cpu, rss, threads = append(cpu, r.cpu), append(rss, r.rss), append(threads, r.threads)
				starts, stops = append(starts, r.start), append(stops, r.stop)
			}
			what := fmt.Sprintf("%d streams: ", size.n)
			b.out.set(what+"CPU of one core", size.cpu, name, figure{median(cpu), "%.2f %%"})
			b.out.set(what+"RSS", size.rss, name, figure{median(rss), "%.1f MB"})
			b.out.set(what+"threads", "≤ 24", name, figure{float64(median(threads)), "%.0f"})
			if size.timing {
				b.out.set(what+"start all", size.start, name, ms(median(starts)))
				b.out.set(what+"stop all", size.stop, name, ms(median(stops)))
			}
		}
		if !size.timing {
			continue
		}
		var starts []time.Duration
		for range b.runs {
			took, err := b.bareStart(size.n)
			if err != nil {
				return err
			}
			starts = append(starts, took)
		}
		b.out.set(fmt.Sprintf("%d streams: start all", size.n), size.start, bareLoop, ms(median(starts)))
	}
	return nil
}

// bareStart is how long a loop takes to start the same processes and does
// nothing with them.
func (b *bench) bareStart(n int) (took time.Duration, err error) {
	var started []*exec.Cmd
	defer func() {
		for _, cmd := range started {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	begun := time.Now()
	for _, c := range b.fleet(n) {
		argv := strings.Fields(c.command)
		cmd := exec.CommandContext(b.ctx, argv[0], argv[1:]...)
		in, err := cmd.StdinPipe() // a fake ffmpeg ends with its stdin
		if err != nil {
			return 0, err
		}
		defer in.Close()
		cmd.ExtraFiles = []*os.File{null} // for its progress
		cmd.Env = append(os.Environ(), childEnv)
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		started = append(started, cmd)
	}
	return time.Since(begun), nil
}

type loadResult struct {
	name        string
	cpu, rss    float64
	threads     int
	start, stop time.Duration
}

// fleet is of children that say one line a second and no more: at the level of
// warnings ffmpeg leaves out the ten lines it begins with.
func (b *bench) fleet(n int) []child {
	children := make([]child, n)
	for i := range children {
		children[i] = child{
			name:    fmt.Sprintf("s%04d", i),
			command: b.fake + " -fake lines=warning,q-at-once -nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+warning -n -f lavfi -i x -f null /dev/null",
			ffmpeg:  true,
		}
	}
	return children
}

func (b *bench) loadRun(start starter, n int) (r loadResult, err error) {
	p, err := start(b, b.fleet(n))
	if err != nil {
		return r, err
	}
	defer p.stop()
	r.name = p.name()
	begun := time.Now()
	if err := p.startAll(); err != nil {
		return r, err
	}
	r.start = time.Since(begun)
	// The first seconds are the children's own start.
	if err := b.pause(5 * time.Second); err != nil {
		return r, err
	}
	before, err := useOf(p.processes())
	if err != nil {
		return r, err
	}
	if err := b.pause(b.load); err != nil {
		return r, err
	}
	after, err := useOf(p.processes())
	if err != nil {
		return r, err
	}
	r.cpu = 100 * (after.cpu - before.cpu) / b.load.Seconds()
	r.rss, r.threads = float64(after.rss)/(1<<20), after.threads
	begun = time.Now()
	if err := p.stopAll(); err != nil {
		return r, err
	}
	r.stop = time.Since(begun)
	return r, nil
}

func (b *bench) pause(d time.Duration) error {
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// calls measures GetHealth over the bus at 300 streams.
func (b *bench) calls([]starter) error {
	var p50, p99 []time.Duration
	for range b.runs {
		took, err := b.callRun(300, 2000)
		if err != nil {
			return err
		}
		p50, p99 = append(p50, percentile(took, 50)), append(p99, percentile(took, 99))
	}
	b.out.set("GetHealth at 300 streams, p50", "≤ 0.4 ms", "ffkeeper", ms(median(p50)))
	b.out.set("GetHealth at 300 streams, p99", "≤ 3 ms", "ffkeeper", ms(median(p99)))
	return nil
}

func (b *bench) callRun(streams, n int) (took []time.Duration, err error) {
	p, err := startKeeper(b, b.fleet(streams))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if err := p.startAll(); err != nil {
		return nil, err
	}
	if err := b.pause(3 * time.Second); err != nil {
		return nil, err
	}
	c, err := client.Dial("private", filepath.Join(p.(*keeper).dir, "state"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for i := range n {
		begun := time.Now()
		if _, err := c.Health(b.ctx, fmt.Sprintf("s%04d", i%streams)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}
