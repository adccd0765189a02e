package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSpawnGivesWhatIsAskedFor(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		before := time.Now().Add(-time.Second)
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer read.Close()
		c := r.start(SpawnRequest{
			Stream: "cam1",
			Argv:   []string{"sh", "-c", `echo out; echo err >&2; echo progress >&3; echo extra >&4; echo $PWD $FFKEEPER_STREAM $A; cat; exit 7`},
			Env:    []string{"PATH=" + os.Getenv("PATH"), "A=b\xff"},
			Dir:    "/usr", Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true,
		}, write)
		write.Close()
		if c.Stream != "cam1" || c.PID <= 1 || c.Started.Before(before) || c.Started.After(time.Now()) {
			t.Errorf("%+v", c)
		}
		if _, err := c.Stdin.Write([]byte("in\n")); err != nil {
			t.Error(err)
		}
		// A socket ends at a shutdown whoever else holds it.
		raw, _ := c.Stdin.SyscallConn()
		raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
		if got, want := line(t, c.Stdout), "out"; got != want {
			t.Errorf("stdout %q, want %q", got, want)
		}
		if got, want := line(t, c.Stdout), "/usr cam1 b\xff"; got != want {
			t.Errorf("environment %q, want %q", got, want)
		}
		if got, want := line(t, c.Stdout), "in"; got != want {
			t.Errorf("stdin %q, want %q", got, want)
		}
		for f, want := range map[*os.File]string{c.Stderr: "err", c.Progress: "progress", read: "extra"} {
			if got := line(t, f); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		e := r.ends(c)
		if e.Code != 7 || e.Signal != 0 || e.Unknown || e.PID != c.PID || e.Stream != "cam1" || e.At.Before(c.Started) {
			t.Errorf("%+v", e)
		}
	})
}

func TestSpawnedEndIsEndOfFileOnItsPipes(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.sh("echo a; echo b")
		if got := readAll(t, c.Stdout); got != "a\nb\n" {
			t.Errorf("stdout %q", got)
		}
		r.ends(c)
	})
}

func TestChildHasItsOwnSessionAndCleanState(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.start(SpawnRequest{
			Stream: "s", Argv: []string{"cat", "/proc/self/status", "/proc/self/limits", "-"}, Stdin: Pipe, Stdout: Pipe,
		})
		st, err := readStat(c.PID)
		if err != nil || st.session != c.PID || st.group != c.PID {
			t.Errorf("%+v, %v: not the leader of a session", st, err)
		}
		c.Stdin.Close()
		if err := r.CloseEnd(c.ID, Stdin); err != nil { // the shim holds it, too
			t.Fatal(err)
		}
		out := readAll(t, c.Stdout)
		for _, name := range []string{"SigBlk", "SigIgn", "SigCgt"} {
			if signalSet(t, out, name) != 0 {
				t.Errorf("%s is not empty in\n%s", name, out)
			}
		}
		// Go raises the soft limit for itself; children get the original.
		var own string
		if data, err := os.ReadFile("/proc/" + strconv.Itoa(os.Getppid()) + "/limits"); err == nil {
			own = limitLine(string(data), "Max open files")
		}
		if got := limitLine(out, "Max open files"); got != own {
			t.Errorf("limit of open files %q, this test was started with %q", got, own)
		}
		r.ends(c)
	})
}

func limitLine(limits, name string) string {
	for l := range strings.Lines(limits) {
		if strings.HasPrefix(l, name) {
			return strings.Join(strings.Fields(l), " ")
		}
	}
	return ""
}

func TestChildInheritsNoIgnoredSignal(t *testing.T) {
	program := filepath.Join(t.TempDir(), "nohup-shim")
	script := "#!/bin/sh\ntrap '' HUP INT QUIT PIPE TSTP TTIN TTOU USR1 CHLD\nexec " + shimProgram(t) + ` "$@"` + "\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(h Handler) (*Client, error) { return Launch(program, h, StopWait(time.Second)) })
	c := r.start(SpawnRequest{Stream: "s", Argv: []string{"grep", "SigIgn", "/proc/self/status"}, Stdout: Pipe})
	if out := readAll(t, c.Stdout); signalSet(t, out, "SigIgn") != 0 {
		t.Errorf("got %q, want none", out)
	}
	if e := r.ends(c); e.Code != 0 || e.Unknown {
		t.Errorf("%+v", e)
	}
}

func TestChildInheritsNoSignalThatTheProgramIgnores(t *testing.T) {
	signal.Ignore(unix.SIGUSR1, unix.SIGPIPE)
	defer signal.Reset(unix.SIGUSR1, unix.SIGPIPE)
	r := inProcess(t)
	c := r.start(SpawnRequest{Stream: "s", Argv: []string{"grep", "SigIgn", "/proc/self/status"}, Stdout: Pipe})
	if out := readAll(t, c.Stdout); signalSet(t, out, "SigIgn") != 0 {
		t.Errorf("got %q, want none", out)
	}
	r.ends(c)
}

func TestChildHoldsItsDescriptorsOnly(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		for range 3 { // there are others' pipes around then
			r.sh("exec sleep 1000")
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		c := r.start(SpawnRequest{Stream: "s", Argv: []string{"sleep", "1000"}, Stdin: Pipe, Stdout: Pipe, Stderr: Pipe}, null)
		checkDescriptors(t, c.PID, "0 pipe, 1 pipe, 2 pipe, 4 /dev/null")
		c = r.start(SpawnRequest{
			Stream: "s", Argv: []string{"sleep", "1000"}, Stdin: Socket, Stdout: Pipe, Progress: true, UMask: ptr[uint32](0o77),
		})
		checkDescriptors(t, c.PID, "0 socket, 1 pipe, 2 /dev/null, 3 pipe")
	})
}

// checkDescriptors waits until the descriptors of a process are as wanted: while
// it starts it has others. All must be in blocking mode.
func checkDescriptors(t *testing.T, pid int, want string) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("descriptors %s; want %s", last, want)
		}
	}()
	until(t, "the descriptors are "+want, func() bool {
		var got []string
		for fd := range 64 {
			link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
			if err != nil {
				continue
			}
			kind, _, _ := strings.Cut(link, ":")
			got = append(got, fmt.Sprint(fd, " ", kind))
		}
		last = strings.Join(got, ", ")
		return last == want
	})
	for d := range strings.SplitSeq(want, ", ") {
		fd, _, _ := strings.Cut(d, " ")
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
		if err != nil {
			t.Fatal(err)
		}
		var pos, flags int
		if _, err := fmt.Sscanf(string(info), "pos: %d\nflags: %o", &pos, &flags); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("descriptor %s: flags %#o, %v", d, flags, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestFilesOfAChildAreNonBlocking(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		c := r.start(SpawnRequest{Stream: "s", Argv: []string{"sleep", "1000"}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true})
		for _, f := range []*os.File{c.Stdin, c.Stdout, c.Stderr, c.Progress, c.PIDFD} {
			raw, err := f.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			raw.Control(func(fd uintptr) {
				flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
				if err != nil || flags&unix.O_NONBLOCK == 0 {
					t.Errorf("%s: flags %#x, %v", f.Name(), flags, err)
				}
			})
		}
		r.Kill(c.ID)
		if e := r.ends(c); e.Signal != int(unix.SIGKILL) {
			t.Errorf("%+v", e)
		}
	})
}

func TestSpawnErrorNamesWhatFailed(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	rubbish := filepath.Join(dir, "rubbish")
	if err := os.WriteFile(rubbish, []byte("\x00\x01rubbish"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		req       SpawnRequest
		errno     syscall.Errno // 0: any error
		op        string
		noProgram bool
	}{
		"missing program":         {SpawnRequest{Argv: []string{"/nowhere/prog"}}, syscall.ENOENT, "exec", true},
		"missing program in PATH": {SpawnRequest{Argv: []string{"no-such-program"}}, syscall.ENOENT, "exec", true},
		"not executable":          {SpawnRequest{Argv: []string{plain}}, syscall.EACCES, "exec", true},
		"not executable in PATH":  {SpawnRequest{Argv: []string{"plain"}, Env: []string{"PATH=" + dir}}, syscall.EACCES, "exec", true},
		"not a program":           {SpawnRequest{Argv: []string{rubbish}}, syscall.ENOEXEC, "exec", true},
		"a directory":             {SpawnRequest{Argv: []string{dir}}, syscall.EACCES, "exec", true},
		"missing directory":       {SpawnRequest{Argv: []string{"true"}, Dir: "/nowhere"}, syscall.ENOENT, "chdir /nowhere", false},
		"a file as directory":     {SpawnRequest{Argv: []string{"true"}, Dir: plain}, syscall.ENOTDIR, "chdir " + plain, false},
		"no argv":                 {SpawnRequest{Path: "/bin/true"}, 0, "check the request", false},
		"NUL byte":                {SpawnRequest{Argv: []string{"true", "a\x00b"}}, syscall.EINVAL, "check the request", false},
		"unknown stdio":           {SpawnRequest{Argv: []string{"true"}, Stdin: "tty"}, 0, "check the request", false},
		"socket stdout":           {SpawnRequest{Argv: []string{"true"}, Stdout: Socket}, 0, "check the request", false},
		"unknown limit":           {SpawnRequest{Argv: []string{"true"}, Limits: map[string]Limit{"FOO": {}}}, syscall.EINVAL, "check the request", false},
		"nice out of range":       {SpawnRequest{Argv: []string{"true"}, Nice: ptr(20)}, syscall.EINVAL, "check the request", false},
		"CPU weight out of range": {SpawnRequest{Argv: []string{"true"}, Cgroup: &CgroupLimits{CPUWeight: ptr[uint64](0)}}, syscall.EINVAL, "check the request", false},
		"arguments too long":      {SpawnRequest{Argv: []string{"true", strings.Repeat("x", 1<<18)}}, syscall.E2BIG, "exec", false},
	} {
		t.Run(name, func(t *testing.T) {
			forms(t, func(t *testing.T, r *rig) {
				for _, helper := range []bool{false, true} {
					req := c.req
					if helper {
						req.OOMScoreAdj = ptr(500)
					}
					req.Stdout, req.Stream = cmpOr(req.Stdout, Pipe), "s"
					child, err := r.spawn(req)
					var spawn *SpawnError
					if !errors.As(err, &spawn) {
						t.Fatalf("helper %v: got %+v, %v; want a SpawnError", helper, child, err)
					}
					if spawn.Op != c.op || spawn.NoProgram != c.noProgram || c.errno != 0 && !errors.Is(err, c.errno) {
						t.Errorf("helper %v: got %#v (%v), want errno %v, op %q, NoProgram %v", helper, spawn, err, c.errno, c.op, c.noProgram)
					}
				}
				// It goes on, and nothing of the failures is left.
				ch := r.sh("exit 0")
				r.ends(ch)
				defer func() {
					if t.Failed() {
						for _, z := range zombies(r.shim) {
							st, _ := readStat(z)
							t.Logf("zombie %+v; our session is %d", st, ownSession())
						}
					}
				}()
				until(t, "the failed helpers are gone", func() bool { return len(zombies(r.shim)) == 0 })
			})
		})
	}
}

func cmpOr(a, b StdioKind) StdioKind {
	if a != "" {
		return a
	}
	return b
}

func TestManyArgumentsOfAnyBytes(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		argv := []string{"printf", "%s\n", "caf\xe9", "\xff\xfe", "a\nb", "\u2028<&>"}
		want := "caf\xe9\n\xff\xfe\na\nb\n\u2028<&>\n"
		for i := range 3000 { // more than a packet
			argv = append(argv, strings.Repeat("y", 100)+strconv.Itoa(i))
			want += strings.Repeat("y", 100) + strconv.Itoa(i) + "\n"
		}
		c := r.start(SpawnRequest{Stream: "s", Argv: argv, Stdout: Pipe})
		c.Stdout.SetReadDeadline(time.Now().Add(patience))
		got, err := io.ReadAll(c.Stdout)
		if err != nil || string(got) != want {
			t.Errorf("got %d bytes, want %d (%v)", len(got), len(want), err)
		}
		r.ends(c)
	})
}

// signalSet is a set of signals in the text of /proc/PID/status, without 32 and
// 33: they are libc's own, no Go program can change them, and GNU make leaves
// them ignored for all it runs.
func signalSet(t *testing.T, status, name string) uint64 {
	t.Helper()
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, name+":\t"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return set &^ (1<<31 | 1<<32)
		}
	}
	t.Fatalf("no %s in %q", name, status)
	return 0
}
