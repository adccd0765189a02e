package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// journald is a real systemd-journald of the test's own, with its directories
// mounted over the system's in a mount namespace. It has a network namespace
// too, for the length of socket queues, which systemd raises at boot, is a
// property of that.
type journald struct {
	t      testing.TB
	dir    string
	socket string
	cmd    *exec.Cmd
	exited chan struct{}
}

const journaldProgram = "/lib/systemd/systemd-journald"

func startJournald(t testing.TB) *journald {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for a journald in namespaces of its own")
	}
	for _, program := range []string{journaldProgram, "unshare", "journalctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs systemd:", err)
		}
	}
	dir, err := os.MkdirTemp("", "ffkeeper-journald") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	j := &journald{t: t, dir: dir, socket: filepath.Join(dir, "sock", "socket")}
	for _, d := range []string{"run/journald@test.conf.d", "sock", "log/journal"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSplitMode=none\nSystemMaxUse=2G\nCompress=no\n"
	if err := os.WriteFile(filepath.Join(dir, "run/journald@test.conf.d/test.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	j.start()
	t.Cleanup(j.stop)
	return j
}

// start starts journald, and returns when it takes records.
func (j *journald) start() {
	j.t.Helper()
	j.cmd = exec.Command("unshare", "--mount", "--net", "--propagation", "private", "sh", "-euc", `
		echo 512 > /proc/sys/net/unix/max_dgram_qlen
		mount --bind "$1/run" /run/systemd
		mount --bind "$1/log" /var/log
		exec `+journaldProgram+` test`, "sh", j.dir)
	j.cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+filepath.Join(j.dir, "sock"))
	var said bytes.Buffer
	j.cmd.Stderr = &said
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := j.cmd.Start(); err != nil {
		j.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = j.cmd.Wait(); close(exited) }()
	j.exited = exited
	waitFor(j.t, "journald", func() bool {
		select {
		case <-exited:
			j.t.Fatalf("journald has ended: %s", said.String())
		default:
		}
		s := newSocket(j.socket)
		defer s.close()
		return s.sendOne([]byte("MESSAGE=ready?\n")) == nil
	})
}

// stop ends journald; a new one may be started then.
func (j *journald) stop() {
	_ = j.cmd.Process.Signal(syscall.SIGCONT)
	_ = j.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-j.exited:
	case <-time.After(20 * time.Second):
		j.t.Error("journald does not end")
		_ = j.cmd.Process.Kill()
		<-j.exited
	}
}

func (j *journald) signal(s syscall.Signal) {
	j.t.Helper()
	if err := j.cmd.Process.Signal(s); err != nil {
		j.t.Fatal(err)
	}
}

// records returns what journalctl finds.
func (j *journald) records(match ...string) []map[string]any {
	j.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(j.dir, "log/journal/*"))
	if err != nil || len(dirs) == 0 {
		return nil
	}
	args := append([]string{"--directory=" + dirs[0], "--output=json", "--all", "--no-pager", "--quiet"}, match...)
	out, err := exec.Command("journalctl", args...).Output()
	if err != nil {
		// it ends with 1 where there are none
		var exit *exec.ExitError
		if !errors.As(err, &exit) || len(exit.Stderr) > 0 {
			j.t.Fatalf("journalctl: %v: %s", err, exit.Stderr)
		}
	}
	var records []map[string]any
	for line := range bytes.Lines(out) {
		var r map[string]any
		if err := json.Unmarshal(line, &r); err != nil {
			j.t.Fatalf("%v in %.200s", err, line)
		}
		for field, value := range r { // bytes that are no text come as numbers
			if list, ok := value.([]any); ok {
				var b strings.Builder
				for _, n := range list {
					if c, ok := n.(float64); ok {
						b.WriteByte(byte(c))
					}
				}
				r[field] = b.String()
			}
		}
		records = append(records, r)
	}
	return records
}

// await waits until journalctl finds so many records.
func (j *journald) await(n int, match ...string) []map[string]any {
	j.t.Helper()
	var got []map[string]any
	waitFor(j.t, fmt.Sprintf("%d records with %q", n, match), func() bool {
		got = j.records(match...)
		return len(got) >= n
	})
	return got
}

// waitFor polls, for what gives no event.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30 s", what)
		}
	}
}
