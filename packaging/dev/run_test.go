// Package dev tests the scripts behind the Makefile.
package dev

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runScript prepares "run" so that whatever it leaves behind can be found: its
// files in a directory of its own, its orphans as our children.
func runScript(t *testing.T, args ...string) (*exec.Cmd, func()) {
	t.Helper()
	// The bus's socket is below, and its path must be short.
	tmp, err := os.MkdirTemp("/tmp", "run")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // it builds first
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "./run", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal has it
	return cmd, func() {
		t.Helper()
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("files are left: %v, %v", left, err)
		}
		threads, err := filepath.Glob("/proc/self/task/*/children")
		if err != nil || len(threads) == 0 {
			t.Errorf("cannot look for processes: %v", err)
		}
		for _, thread := range threads {
			if children, _ := os.ReadFile(thread); len(bytes.TrimSpace(children)) > 0 {
				t.Errorf("processes are left: %s", children)
			}
		}
	}
}

func TestRunForATimeTellsWhatItSaw(t *testing.T) {
	cmd, clean := runScript(t, "12s")
	out, err := cmd.CombinedOutput()
	clean()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"crasher exited ", "stalls was seen stalled ", "Healthy, as they should be: testcard tone."} {
		if !strings.Contains(string(out), want) {
			t.Errorf("lacks %q in\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "stalled 0 times") || strings.Contains(string(out), "exited 0 times") {
		t.Errorf("nothing of what goes wrong was seen:\n%s", out)
	}
}

func TestRunEndsCleanlyAtInterrupt(t *testing.T) {
	cmd, clean := runScript(t)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "testcard") {
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	clean()
}

func TestRunRefusesTimeItDoesNotUnderstand(t *testing.T) {
	cmd, clean := runScript(t, "soon")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "FOR=15s") {
		t.Errorf("%v\n%s", err, out)
	}
	clean()
}
