package chaos

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// proc is one file of a process below /proc, "" where it is gone.
func proc(pid int, file string) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	return string(b)
}

// children are those of all threads of a process.
func children(pid int) (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for _, c := range strings.Fields(string(b)) {
			n, _ := strconv.Atoi(c)
			pids = append(pids, n)
		}
	}
	return pids
}

// procState is the letter of /proc/PID/stat, 0 where the process is gone.
func procState(pid int) byte {
	stat := proc(pid, "stat")
	if i := strings.LastIndex(stat, ") "); i >= 0 && len(stat) > i+2 {
		return stat[i+2]
	}
	return 0
}

// zombies are the dead children of a process that nobody has waited for.
func zombies(pid int) (pids []int) {
	for _, c := range children(pid) {
		if procState(c) == 'Z' {
			pids = append(pids, c)
		}
	}
	return pids
}

// descriptors counts the open files of a process.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// settledDescriptors is descriptors, as soon as many looks in a row agree: the
// shim closes what was a child's when it is told to forget it, a moment after
// everybody has seen the end.
func settledDescriptors(t *testing.T, pid int) (n int) {
	t.Helper()
	same := 0
	eventually(t, "the same number of descriptors many times", func() string {
		now := descriptors(t, pid)
		if same++; now != n {
			n, same = now, 0
		}
		if same < 20 {
			return fmt.Sprint(now)
		}
		return ""
	})
	return n
}

// noLeak waits until a process has as few descriptors as it had.
func noLeak(t *testing.T, pid, had int) {
	t.Helper()
	eventually(t, "the shim's descriptors", func() string {
		if n := descriptors(t, pid); n > had {
			return fmt.Sprintf("it had %d files open and has %d:\n%s", had, n, openFiles(pid))
		}
		return ""
	})
}

// openFiles tells what they are, for a test that failed.
func openFiles(pid int) string {
	var b bytes.Buffer
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		fmt.Fprintf(&b, "%s %s\n", filepath.Base(fd), target)
	}
	return b.String()
}

// streamOf is FFKEEPER_STREAM of a process's environment.
func streamOf(pid int) string {
	for v := range strings.SplitSeq(proc(pid, "environ"), "\x00") {
		if name, ok := strings.CutPrefix(v, "FFKEEPER_STREAM="); ok {
			return name
		}
	}
	return ""
}

// loneWatch looks all the time whether a stream has two processes. Streams of
// shell pipelines or command builders are not for it.
type loneWatch struct {
	stop chan struct{}
	done chan struct{}

	looks int // these after done only
	twice []string
}

// watchLone watches the children of a shim until the returned function is
// called, which fails the test if there ever were two.
func watchLone(t *testing.T, shim int, except ...string) (end func()) {
	w := &loneWatch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look(shim, except)
			select {
			case <-tick.C:
			case <-w.stop:
				return
			}
		}
	}()
	var once sync.Once
	end = func() {
		once.Do(func() { close(w.stop); <-w.done })
		t.Helper()
		if len(w.twice) > 0 {
			t.Errorf("two processes of one stream, seen %d times, first: %s", len(w.twice), w.twice[0])
		}
		t.Logf("looked %d times for two processes of one stream", w.looks)
	}
	t.Cleanup(func() { once.Do(func() { close(w.stop); <-w.done }) })
	return end
}

func (w *loneWatch) look(shim int, except []string) {
	w.looks++
	seen := map[string]int{}
	for _, pid := range children(shim) {
		name := streamOf(pid)
		if name == "" || procState(pid) == 'Z' {
			continue
		}
		if other := seen[name]; other != 0 && !slices.Contains(except, name) && alive(other) && alive(pid) {
			w.twice = append(w.twice, fmt.Sprintf("%s: %d (%q) and %d (%q)", name, other, proc(other, "cmdline"), pid, proc(pid, "cmdline")))
		}
		seen[name] = pid
	}
}

// alive: it is there, and more than a zombie.
func alive(pid int) bool {
	return syscall.Kill(pid, 0) == nil && procState(pid) != 'Z' && procState(pid) != 'X'
}
