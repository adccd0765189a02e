package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// use is what processes have cost so far.
type use struct {
	cpu     float64 // seconds
	rss     int     // bytes
	threads int
}

func useOf(pids []int) (u use, err error) {
	for _, pid := range pids {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return u, err
		}
		stat, err := p.Stat()
		if err != nil {
			return u, err
		}
		u.cpu += stat.CPUTime()
		u.rss += stat.ResidentMemory()
		u.threads += stat.NumThreads
	}
	return u, nil
}

func childrenOf(pid int) (out []int) {
	tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	for _, t := range tasks {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + t.Name() + "/children")
		for _, f := range strings.Fields(string(b)) {
			n, _ := strconv.Atoi(f)
			out = append(out, n)
		}
	}
	return out
}

func commandOf(pid int) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return strings.ReplaceAll(string(b), "\x00", " ")
}

// eventually waits until cond holds.
func eventually(ctx context.Context, limit time.Duration, cond func() bool) error {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if cond() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return errors.New("time is over")
}
