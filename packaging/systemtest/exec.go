package systemtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// commandTime bounds every command on a host.
const commandTime = 90 * time.Second

// Result is how a command on a host ended.
type Result struct {
	Stdout, Stderr string
	Code           int // -1: it was killed
}

// Path is where a file of the host is found from here.
func (h *Host) Path(path string) string {
	if h.leader == 0 {
		return path
	}
	return "/proc/" + strconv.Itoa(h.leader) + "/root" + path
}

// Command prepares a command that runs on the host as root, with a clean
// environment, outside all of its units.
func (h *Host) Command(ctx context.Context, argv ...string) *exec.Cmd {
	args := append([]string{"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}, argv...)
	if h.leader == 0 {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.WaitDelay = time.Second
		return cmd
	}
	args = append([]string{"-t", strconv.Itoa(h.leader), "--all", "--root", "--wd", "--"}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	// nsenter forks to be in the host's process namespace, so the command is
	// its child. Were nsenter killed first, its child would fall to this
	// machine's init, and where that is slow to reap, the host, which waits
	// for all of its processes, would be slow to end.
	cmd.Cancel = func() error {
		child, err := onlyChild(cmd.Process.Pid)
		if err != nil {
			return cmd.Process.Kill()
		}
		return syscall.Kill(child, syscall.SIGKILL)
	}
	cmd.WaitDelay = time.Second
	return cmd
}

// Exec runs a command and says how it ended.
func (h *Host) Exec(argv ...string) Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := h.Command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	if ctx.Err() != nil {
		h.t.Fatalf("%s: still running after %v; stdout %q, stderr %q", strings.Join(argv, " "), commandTime, out.String(), errs.String())
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// Run runs a command that must succeed and answers its output without the
// last newline.
func (h *Host) Run(argv ...string) string {
	h.t.Helper()
	r := h.Exec(argv...)
	if r.Code != 0 {
		h.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(argv, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// Eventually asks until cond answers "", for what has no event to wait for,
// and fails with its last answer after limit.
func (h *Host) Eventually(limit time.Duration, what string, cond func() string) {
	h.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		answer := cond()
		if answer == "" {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within %v: %s", what, limit, answer)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Property is one property of a unit, as systemctl show has it.
func (h *Host) Property(unit, property string) string {
	h.t.Helper()
	return h.Run("systemctl", "show", unit, "-P", property)
}

func (r Result) String() string {
	return fmt.Sprintf("exit code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
}
