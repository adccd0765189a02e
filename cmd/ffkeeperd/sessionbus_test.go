package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// busSocket is where a bus may be: nothing is there yet. Not in TempDir, for a
// socket's path has at most 107 bytes.
func busSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ffk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "bus")
}

// startSessionBus starts a dbus-daemon as a login session has it.
func startSessionBus(t *testing.T, socket string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog", "--print-address=3", "--address=unix:path="+socket)
	cmd.ExtraFiles = []*os.File{w}
	said := &buffer{}
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatalf("dbus-daemon does not come up: %s", said)
	}
}
