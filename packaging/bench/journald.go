package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// journald is a real one of the bench's own: an instance with directories of
// its own in a mount namespace, as the system's may be absent or busy.
type journald struct {
	cmd *exec.Cmd
	dir string // of its sockets
}

const journaldProgram = "/lib/systemd/systemd-journald"

func startJournal(dir string) (*journald, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("root is needed, for a journald in a namespace of its own")
	}
	j := &journald{dir: filepath.Join(dir, "sock")}
	for _, d := range []string{"run/journald@bench.conf.d", "sock", "log/journal"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	conf := "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n"
	if err := os.WriteFile(filepath.Join(dir, "run/journald@bench.conf.d/bench.conf"), []byte(conf), 0o644); err != nil {
		return nil, err
	}
	// max_dgram_qlen is what systemd sets at boot; it belongs to the network
	// namespace.
	j.cmd = exec.Command("unshare", "--mount", "--net", "--propagation", "private", "sh", "-euc", `
		echo 512 > /proc/sys/net/unix/max_dgram_qlen
		mkdir -p /run/systemd
		mount --bind "$1/run" /run/systemd
		mount --bind "$1/log" /var/log
		exec `+journaldProgram+` bench`, "sh", dir)
	j.cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+j.dir)
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := j.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(j.dir, "socket")); err == nil {
			return j, nil
		}
	}
	j.stop()
	return nil, fmt.Errorf("%s does not come up", journaldProgram)
}

func (j *journald) stop() {
	j.cmd.Process.Signal(syscall.SIGTERM)
	j.cmd.Wait()
}

// command is a program for which j is the system's journald.
func (j *journald) command(program string) *exec.Cmd {
	return exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-euc", `
		mount -t tmpfs tmpfs /run
		mkdir -p /run/systemd/journal
		mount --bind "$1" /run/systemd/journal
		exec "$2"`, "sh", j.dir, program)
}
