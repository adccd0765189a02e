package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leaveAlone ends a keeper's connection without a word, as its death does.
func (r *rig) leaveAlone() {
	r.t.Helper()
	r.Close()
}

func TestHelloHandsOverEverything(t *testing.T) {
	l := startLinger(t)
	first := l.dial(t)
	lives := first.start(SpawnRequest{
		Stream: "lives", Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true, StdoutLog: true,
		Argv: []string{"sh", "-c", "echo before; read x; echo out $x; echo err $x >&2; echo progress $x >&3; read x; echo again; exit 4"},
	})
	if got := line(t, lives.Stdout); got != "before" {
		t.Errorf("%q", got)
	}
	ended := first.start(SpawnRequest{Stream: "ended", Argv: []string{"sh", "-c", "read x; echo last words >&2; exit 42"}, Stdin: Socket, Stderr: Pipe})
	forgotten := first.start(SpawnRequest{Stream: "forgotten", Argv: []string{"true"}})
	if e := first.ends(forgotten); e.Code != 0 {
		t.Errorf("%+v", e)
	}
	if err := first.Note("lives", []byte("a note\x00\xff")); err != nil {
		t.Error(err)
	}
	first.Note("gone", []byte("x"))
	first.Note("gone", nil)
	if err := first.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	first.leaveAlone()
	lives.Stdin.Write([]byte("meanwhile\n"))
	ended.Stdin.Write([]byte("\n"))
	until(t, "the one child has ended", func() bool { return !exists(ended.PID) })

	second := l.dial(t)
	h := second.Hello()
	if h.Protocol != Version || h.Version != "dev" || h.PID != l.cmd.Process.Pid {
		t.Errorf("%+v", h)
	}
	if len(h.Notes) != 1 || string(h.Notes["lives"]) != "a note\x00\xff" {
		t.Errorf("notes %q", h.Notes)
	}
	if len(h.Children) != 2 || h.Children[0].ID != lives.ID || h.Children[1].ID != ended.ID {
		t.Fatalf("children %+v", h.Children)
	}
	a, b := h.Children[0], h.Children[1]
	if a.Stream != "lives" || a.PID != lives.PID || !a.Started.Equal(lives.Started) || a.Exited != nil || a.Empty {
		t.Errorf("%+v, was %+v", a, lives)
	}
	if b.Exited == nil || b.Exited.Code != 42 || b.Exited.PID != ended.PID || !b.Empty || time.Since(b.Exited.At) > time.Minute {
		t.Errorf("%+v %+v", b, b.Exited)
	}
	if got := string(b.Drained[Stderr].Data) + readAll(t, b.Stderr); got != "last words\n" {
		t.Errorf("of the ended child %q", got)
	}
	// What was drained and what is still in the pipe make the whole.
	a.Stdin.Write([]byte("\n"))
	for end, want := range map[End]string{Stdout: "out meanwhile\nagain\n", Stderr: "err meanwhile\n", Progress: "progress meanwhile\n"} {
		f := map[End]*os.File{Stdout: a.Stdout, Stderr: a.Stderr, Progress: a.Progress}[end]
		if got := string(a.Drained[end].Data) + readAll(t, f); got != want || a.Drained[end].Dropped != 0 {
			t.Errorf("%s: %q, want %q", end, got, want)
		}
	}
	if e := next[Exited](second); e.ID != a.ID || e.Code != 4 {
		t.Errorf("%+v", e)
	}
	next[Empty](second)
	second.Forget(a.ID)
	second.Forget(b.ID)
	second.Ping(t.Context())
	second.leaveAlone()
	if h := l.dial(t).Hello(); len(h.Children) != 0 {
		t.Errorf("forgotten children are still held: %+v", h.Children)
	}
}

func TestDataOnStdoutIsNeverDrained(t *testing.T) {
	l := startLinger(t)
	first := l.dial(t)
	c := first.start(SpawnRequest{Stream: "s", Argv: []string{"sh", "-c", "read x; echo data; echo log >&2; exec sleep 1000"}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe})
	first.leaveAlone()
	c.Stdin.Write([]byte("\n"))
	if got := line(t, c.Stdout); got != "data" {
		t.Errorf("%q", got)
	}
	held := l.dial(t).Hello().Children[0]
	if _, ok := held.Drained[Stdout]; ok {
		t.Errorf("drained %+v", held.Drained)
	}
}

// Without a keeper a child that writes at full speed is never blocked, and what
// was dropped is counted in whole lines.
func TestNobodyBlocksWithoutAKeeper(t *testing.T) {
	l := startLinger(t)
	first := l.dial(t)
	const lines = 200000
	script := fmt.Sprintf(`$| = 1; for my $i (1..%d) { print STDERR "line $i of the flood\n"; } open(P, ">&=3"); print P "frame=$_\n" for 1..50000; close P; <STDIN>;`, lines)
	c := first.start(SpawnRequest{Stream: "s", Argv: []string{"perl", "-e", script}, Stdin: Socket, Stderr: Pipe, Progress: true})
	first.leaveAlone()
	until(t, "the child has written all and waits", func() bool {
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(c.PID) + "/wchan")
		st, err := readStat(c.PID)
		return err == nil && st.state == 'S' && (strings.Contains(string(data), "unix_stream") || blockedOnStdin(c.PID))
	})
	held := l.dial(t).Hello().Children[0]
	d := held.Drained[Stderr]
	all := string(d.Data) + available(held.Stderr)
	got := strings.Split(strings.TrimSuffix(all, "\n"), "\n")
	total := 0
	for i := 1; i <= lines; i++ {
		total += len(fmt.Sprintf("line %d of the flood\n", i))
	}
	if uint64(total) != d.Dropped+uint64(len(all)) {
		t.Errorf("%d bytes written, %d dropped and %d kept", total, d.Dropped, len(all))
	}
	for i, want := range got {
		if want != fmt.Sprintf("line %d of the flood", lines-len(got)+1+i) {
			t.Fatalf("line %d of %d kept is %q", i, len(got), want)
		}
	}
	if len(got) < 100 {
		t.Errorf("only %d lines were kept", len(got))
	}
	p := held.Drained[Progress]
	if !bytes.HasSuffix(p.Data, []byte("frame=50000\n")) && p.Dropped == 0 {
		t.Errorf("progress ends in %.50q", p.Data[max(0, len(p.Data)-50):])
	}
}

// available reads what is in a pipe, without waiting.
func available(f *os.File) string {
	buf := make([]byte, 1<<20)
	n := 0
	if raw, err := f.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), buf) })
	}
	return string(buf[:max(n, 0)])
}

// blockedOnStdin: the process sleeps in read(0).
func blockedOnStdin(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/syscall")
	return err == nil && strings.HasPrefix(string(data), fmt.Sprintf("%d 0x0 ", unix.SYS_READ))
}

// A keeper that dies while it takes over has taken nothing.
func TestDrainedSurvivesAKeeperThatDiesInHello(t *testing.T) {
	l := startLinger(t)
	first := l.dial(t)
	c := first.start(SpawnRequest{Stream: "s", Argv: []string{"sh", "-c", "read x; echo one >&2; read x; echo two >&2; exec sleep 1000"}, Stdin: Socket, Stderr: Pipe})
	first.leaveAlone()
	c.Stdin.Write([]byte("\n"))
	until(t, "it was drained", func() bool { return pipeEmpty(c.Stderr) })

	fd, err := dialSocket(t.Context(), l.path)
	if err != nil {
		t.Fatal(err)
	}
	dying, err := newConn(fd, "dying keeper")
	if err != nil {
		t.Fatal(err)
	}
	dying.send(&message{Type: msgHello, Hello: &helloBody{Min: 1, Max: 1}}, nil)
	for {
		m, fds, err := dying.receive()
		if err != nil {
			t.Fatal(err)
		}
		closeAll(fds)
		if m.Type == msgHelloEnd {
			break
		}
	}
	dying.close()
	c.Stdin.Write([]byte("\n"))
	until(t, "it was drained again", func() bool {
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(c.PID) + "/comm")
		return string(name) == "sleep\n" && pipeEmpty(c.Stderr)
	})
	// And to what is told now belongs what was told to the dead.
	if got := string(l.dial(t).Hello().Children[0].Drained[Stderr].Data); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
}

// pipeEmpty: there is nothing to read from f, and something was.
func pipeEmpty(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	empty := false
	raw.Control(func(fd uintptr) {
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		empty = err == nil && n == 0
	})
	return empty
}

func TestOneKeeperAtATime(t *testing.T) {
	l := startLinger(t)
	first := l.dial(t)
	_, err := Dial(t.Context(), l.path, func(Event) {})
	if !errors.Is(err, ErrBusy) {
		t.Errorf("a second keeper got %v", err)
	}
	if err := first.Ping(t.Context()); err != nil {
		t.Errorf("the first keeper suffered: %v", err)
	}
}

func TestDeadKeeperIsReplaced(t *testing.T) {
	l := startLinger(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		cmd := exec.Command(self, "child-dial", l.path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if got := line(t, out.(*os.File)); got != "connected" {
			t.Fatalf("%q", got)
		}
		// Somebody else still holds the dead keeper's connection.
		number(t, out.(*os.File))
		cmd.Process.Kill()
		cmd.Wait()
		c, err := Dial(t.Context(), l.path, func(Event) {})
		if err != nil {
			t.Fatalf("after the death of the keeper: %v", err)
		}
		for _, h := range c.Hello().Children {
			c.Kill(h.ID)
			c.Forget(h.ID)
			h.close()
		}
		c.Close()
	}
}

func TestOtherUsersAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	l := startLinger(t, "--allow-user", "65533")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(l.path), "keeper")
	if out, err := exec.Command("cp", self, program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for dir := filepath.Dir(l.path); dir != "/tmp" && len(dir) > 1; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o777)
	}
	for uid, want := range map[uint32]string{65534: "may not use this shim", 65533: "connected"} {
		cmd := exec.Command(program, "child-dial", l.path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdin.Close()
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("uid %d: %q (%v), want %q", uid, out, err, want)
		}
	}
}

func TestNotesAreBounded(t *testing.T) {
	l := startLinger(t)
	r := l.dial(t)
	if err := r.Note("s", make([]byte, maxNote+1)); err == nil {
		t.Error("a note over 4 MiB was taken")
	}
	if err := r.Note("s", bytes.Repeat([]byte{0xff}, maxNote)); err != nil {
		t.Error(err)
	}
	r.Note("", []byte("x"))
	if w := next[Warning](r); !strings.Contains(w.Text, "stream name") {
		t.Errorf("%+v", w)
	}
	r.leaveAlone()
	if h := l.dial(t).Hello(); len(h.Notes) != 1 || len(h.Notes["s"]) != maxNote {
		t.Errorf("%d notes", len(h.Notes))
	}
}

// A keeper that has hung is given all it asked for when it reads again, and the
// shim serves its children meanwhile.
func TestKeeperThatDoesNotReadLosesNothing(t *testing.T) {
	l := startLinger(t)
	fd, err := dialSocket(t.Context(), l.path)
	if err != nil {
		t.Fatal(err)
	}
	k, err := newConn(fd, "slow keeper")
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	k.send(&message{Type: msgHello, Hello: &helloBody{Min: 1, Max: 1}}, nil)
	k.send(&message{Type: msgReady}, nil)
	const n = 600
	for i := range n {
		k.send(&message{Type: msgSpawn, Seq: uint64(i + 1), Spawn: (&SpawnRequest{
			Stream: "s", Path: "/bin/true", Argv: []string{"true"}, Stdin: Socket, Stderr: Pipe,
		}).body()}, nil)
	}
	until(t, "all have ended and were reaped, or wait for the keeper", func() bool {
		return len(zombies(l.cmd.Process.Pid)) == 0 && len(childrenOf(l.cmd.Process.Pid)) == 0
	})
	spawned, exited, empty := 0, 0, 0
	for empty < n {
		k.file.SetReadDeadline(time.Now().Add(patience))
		m, fds, err := k.receive()
		if err != nil {
			t.Fatalf("after %d spawned, %d exited, %d empty: %v", spawned, exited, empty, err)
		}
		switch m.Type {
		case msgSpawned:
			spawned++
			if len(fds) < 2 {
				t.Errorf("%d descriptors, %v", len(fds), m.FDs)
			}
		case msgExited:
			exited++
		case msgEmpty:
			empty++
		case msgError:
			t.Errorf("%+v", m.Error)
		}
		closeAll(fds)
	}
	if spawned != n || exited != n {
		t.Errorf("%d spawned, %d exited, %d empty", spawned, exited, empty)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, t.TempDir()+"/nothing", func(Event) {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	path := t.TempDir() + "/mute"
	fd, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := Dial(ctx, path, func(Event) {}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestListenReplacesADeadSocketOnly(t *testing.T) {
	path := t.TempDir() + "/control"
	first, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, 0o600); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("beside a live one: %v", err)
	}
	unix.Close(first)
	second, err := Listen(path, 0o600)
	if err != nil {
		t.Errorf("after a dead one: %v", err)
	}
	unix.Close(second)
}
