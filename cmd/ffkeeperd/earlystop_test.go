package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAStopDuringTheStartStopsTheStreams: whoever stops a keeper that is still
// taking over what an earlier one left means its streams, too. The shim is held
// up, so that the signal comes in the middle of it.
func TestAStopDuringTheStartStopsTheStreams(t *testing.T) {
	t.Parallel()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "shim")
	shim := exec.Command(filepath.Join(bin, "ffkeeper-shim"), "--linger", socket)
	if err := shim.Start(); err != nil {
		t.Fatal(err)
	}
	shimEnded := make(chan struct{})
	go func() { shim.Wait(); close(shimEnded) }()
	t.Cleanup(func() { shim.Process.Kill(); <-shimEnded })

	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the shim does not come up")
		}
	}
	d := startDaemon(t, map[string]string{"a": "Type=simple\nExecStart=sleep 1000"},
		func(c *exec.Cmd) { c.Env = append(c.Env, "FFKEEPER_SHIM="+socket) })
	d.eventually("the stream", func() bool { return d.health("a").State == "running" })
	pid := d.health("a").PID
	d.cmd.Process.Kill()
	<-d.ended

	shim.Process.Signal(syscall.SIGSTOP)
	next := exec.Command(d.cmd.Path)
	next.Env = d.cmd.Env
	next.Stdout, next.Stderr = d.log, d.log
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	nextEnded := make(chan struct{})
	go func() { next.Wait(); close(nextEnded) }()
	t.Cleanup(func() { next.Process.Kill(); <-nextEnded })
	d.eventually("the connection to the shim", func() bool { return hasSocket(next.Process.Pid) })
	next.Process.Signal(syscall.SIGTERM)
	shim.Process.Signal(syscall.SIGCONT)

	for what, ended := range map[string]chan struct{}{"the keeper": nextEnded, "the shim": shimEnded} {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("%s does not end; the log:\n%s", what, d.log)
		}
	}
	if code := next.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the keeper ended with %s", next.ProcessState)
	}
	if !gone(pid) {
		t.Errorf("the stream's process %d is left", pid)
	}
}

// hasSocket says whether a process holds any socket.
func hasSocket(pid int) bool {
	links, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	for _, l := range links {
		if target, _ := os.Readlink(l); strings.HasPrefix(target, "socket:") {
			return true
		}
	}
	return false
}
