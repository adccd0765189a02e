package shim

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHelperSetsWhatIsAskedFor(t *testing.T) {
	cpu := runtime.NumCPU() - 1
	forms(t, func(t *testing.T, r *rig) {
		c := r.start(SpawnRequest{
			Stream: "s", Argv: []string{"sh", "-c", "umask; cat /proc/self/stat /proc/self/oom_score_adj; grep Cpus_allowed_list /proc/self/status; cat /proc/self/limits; echo $PWD $FFKEEPER_STREAM $0; cat; exit 3", "a\xffb"},
			Dir: "/usr", Stdin: Socket, Stdout: Pipe,
			Nice: ptr(7), UMask: ptr[uint32](0o123), OOMScoreAdj: ptr(321), CPUAffinity: []int{cpu},
			Limits: map[string]Limit{
				"NOFILE": {100, 200}, "CORE": {0, 0}, "AS": {1 << 31, ^uint64(0)}, "STACK": {4 << 20, 8 << 20}, "FSIZE": {1 << 30, 1 << 31},
			},
		})
		c.Stdin.Write([]byte("last\n"))
		raw, _ := c.Stdin.SyscallConn()
		raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
		if _, err := os.Stat("/proc/self/autogroup"); err == nil {
			if group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", c.PID)); err == nil && !strings.HasSuffix(string(group), " nice 7\n") {
				t.Errorf("autogroup %q", group)
			}
		}
		out := readAll(t, c.Stdout)
		lines := strings.Split(out, "\n")
		if lines[0] != "0123" {
			t.Errorf("umask %q", lines[0])
		}
		stat := strings.Fields(lines[1][strings.LastIndexByte(lines[1], ')')+2:])
		if stat[19-3] != "7" {
			t.Errorf("nice %s", stat[19-3])
		}
		if lines[2] != "321" {
			t.Errorf("OOM score %q", lines[2])
		}
		if lines[3] != fmt.Sprintf("Cpus_allowed_list:\t%d", cpu) {
			t.Errorf("CPU affinity %q, want %d", lines[3], cpu)
		}
		for name, want := range map[string]string{
			"Max open files": "100 200 files", "Max core file size": "0 0 bytes", "Max address space": "2147483648 unlimited bytes",
			"Max stack size": "4194304 8388608 bytes", "Max file size": "1073741824 2147483648 bytes",
		} {
			if got := limitLine(out, name); got != name+" "+want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if !strings.HasSuffix(out, "\n/usr s a\xffb\nlast\n") {
			t.Errorf("ends in %q", out[max(0, len(out)-30):])
		}
		if e := r.ends(c); e.Code != 3 || e.PID != c.PID {
			t.Errorf("%+v", e)
		}
	})
}

func TestHelperSaysWhatItCannotSet(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		for op, req := range map[string]SpawnRequest{
			"set CPU affinity to [1000]": {CPUAffinity: []int{1000}},
			"set limit NOFILE":           {Limits: map[string]Limit{"NOFILE": {1, ^uint64(0)}}}, // above fs.nr_open
		} {
			req.Stream, req.Argv = "s", []string{"true"}
			_, err := r.spawn(req)
			var spawn *SpawnError
			var errno syscall.Errno
			if !errors.As(err, &spawn) || spawn.Op != op || spawn.NoProgram || !errors.As(err, &errno) {
				t.Errorf("%s: %#v", op, err)
			}
		}
	})
}

func TestWithoutAHelperItSaysSo(t *testing.T) {
	r := newRig(t, func(h Handler) (*Client, error) { return InProcess(h) })
	r.ends(r.sh("exit 0"))
	before := fdCount(t, os.Getpid())
	_, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"true"}, Nice: ptr(1), Stdout: Pipe})
	if err == nil || !strings.Contains(err.Error(), "exec helper") {
		t.Errorf("%v", err)
	}
	until(t, "no more descriptors are open than before", func() bool { return fdCount(t, os.Getpid()) <= before })
}

// A helper that dies, or is none, is an error and not a mysterious exit.
func TestDeadHelperIsASpawnError(t *testing.T) {
	for name, program := range map[string]string{"dies": "/bin/false", "is another program": "/bin/echo", "is not there": "/nowhere"} {
		t.Run(name, func(t *testing.T) {
			r := inProcess(t, Helper(program))
			_, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"true"}, Nice: ptr(1)})
			var spawn *SpawnError
			if !errors.As(err, &spawn) || spawn.NoProgram || !strings.Contains(err.Error(), "exec helper") {
				t.Errorf("%#v", err)
			}
			r.ends(r.sh("exit 0")) // and there is no event of the other
		})
	}
}

// What is started for a keeper that dies meanwhile is either held for the next
// or, if that came too early to be told, gone.
func TestKeeperDiesWhileTheHelperStarts(t *testing.T) {
	l := startLinger(t)
	for range 10 {
		r := l.dial(t)
		for range 5 {
			r.Spawn(SpawnRequest{Stream: "s", Argv: []string{"sh", "-c", "echo x >&2; sleep 1000"}, Stderr: Pipe, UMask: ptr[uint32](0)}, nil, func(*Child, error) {})
		}
		r.leaveAlone()
	}
	var r *rig
	var held []Held
	until(t, "all are held or gone", func() bool {
		r = l.dial(t)
		held = r.Hello().Children
		for i := range held {
			held[i].close()
		}
		if len(held) == len(childrenOf(r.shim)) {
			return true
		}
		r.leaveAlone()
		return false
	})
	for _, h := range held {
		r.Kill(h.ID)
	}
	for range held {
		if e := next[Exited](r); e.Signal != int(unix.SIGKILL) {
			t.Errorf("%+v", e)
		}
	}
}
