package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// restartDelay is RestartSec= of ffkeeper.service: what systemd waits before
// it starts a keeper again.
const restartDelay = 100 * time.Millisecond

// survive kills the keeper of 300 streams and measures how long they have
// none, and what they notice of it: the longest distance of two blocks of one
// that writes ten a second, while its keeper dies and while it does not.
func (b *bench) survive([]starter) error {
	const streams = 300
	var adopted []time.Duration
	var quiet, killed []time.Duration
	for range b.runs {
		a, q, k, err := b.surviveRun(streams)
		if err != nil {
			return err
		}
		adopted, quiet, killed = append(adopted, a), append(quiet, q), append(killed, k)
	}
	what := fmt.Sprintf("kill -9 of the keeper, %d streams: ", streams)
	b.out.set(what+"until all are taken over", "≤ 1000 ms", "ffkeeper", ms(median(adopted)))
	b.out.set(what+"two blocks apart, at most", "as below", "ffkeeper", ms(median(killed)))
	b.out.set("two blocks apart, at most, without it", "100 ms", "ffkeeper", ms(median(quiet)))
	return nil
}

func (b *bench) surviveRun(n int) (adopted, quiet, killed time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, 0, err
	}
	ticks := filepath.Join(b.dir, "ticks")
	os.Remove(ticks)
	// Type=simple: fd 3 is there all the same, and any output is activity.
	p, err := startKeeper(b, append(b.fleet(n-1), child{name: "ticker", command: self + " tick " + ticks}))
	if err != nil {
		return 0, 0, 0, err
	}
	defer p.stop()
	k := p.(*keeper)
	if err := k.startAll(); err != nil {
		return 0, 0, 0, err
	}
	if err := b.pause(3 * time.Second); err != nil {
		return 0, 0, 0, err
	}
	before, err := k.pids(b)
	if err != nil {
		return 0, 0, 0, err
	}
	const window = 3 * time.Second
	begun := time.Now()
	if err := b.pause(window); err != nil {
		return 0, 0, 0, err
	}
	died := time.Now()
	k.kill()
	if err := b.pause(restartDelay); err != nil {
		return 0, 0, 0, err
	}
	if err := k.start(); err != nil {
		return 0, 0, 0, err
	}
	after, err := k.pids(b)
	if err != nil {
		return 0, 0, 0, err
	}
	adopted = time.Since(died)
	if len(after) != n || len(before) != n {
		return 0, 0, 0, fmt.Errorf("%d streams ran before, %d after", len(before), len(after))
	}
	for name, pid := range before {
		if after[name] != pid {
			return 0, 0, 0, fmt.Errorf("%s was process %d and is %d", name, pid, after[name])
		}
	}
	if err := b.pause(window - time.Since(died)); err != nil {
		return 0, 0, 0, err
	}
	quiet, err = longest(ticks, begun, died)
	if err == nil {
		killed, err = longest(ticks, died, time.Now())
	}
	return adopted, quiet, killed, err
}

// pids are the processes of all streams that run.
func (k *keeper) pids(b *bench) (map[string]uint32, error) {
	list, err := k.client.Streams(b.ctx)
	if err != nil {
		return nil, err
	}
	pids := make(map[string]uint32, len(list))
	for _, s := range list {
		if s.State == "running" && s.PID != 0 {
			pids[s.Name] = s.PID
		}
	}
	return pids, nil
}

// tick is a child that writes ten blocks and lines a second, and when each
// write was done into a file.
func tick(file string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	progress := os.NewFile(3, "progress")
	for n := range time.Tick(100 * time.Millisecond) {
		fmt.Fprintf(progress, "frame=%d\nprogress=continue\n", n.Unix())
		fmt.Fprintln(os.Stderr, "tick")
		fmt.Fprintln(f, time.Now().UnixNano())
	}
}

// longest is the longest time between two ticks of which the second is in the
// window.
func longest(file string, from, to time.Time) (time.Duration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var last time.Time
	var most time.Duration
	for line := range strings.Lines(string(data)) {
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			continue // being written
		}
		at := time.Unix(0, n)
		if !last.IsZero() && at.After(from) && at.Before(to) {
			most = max(most, at.Sub(last))
		}
		last = at
	}
	if most == 0 {
		return 0, fmt.Errorf("no ticks between %s and %s", from.Format(time.StampMilli), to.Format(time.StampMilli))
	}
	return most, nil
}
