package shim

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// installed is a shim that was started by a symbolic link, as a package's file
// that is about to be replaced.
type installed struct {
	*linger
	t      *testing.T
	link   string
	copies int
}

func startInstalled(t *testing.T, prepare func(*exec.Cmd)) *installed {
	t.Helper()
	l := newLinger(t)
	i := &installed{linger: l, t: t, link: filepath.Join(filepath.Dir(l.path), "ffkeeper-shim")}
	if err := os.Symlink(i.copy(), i.link); err != nil {
		t.Fatal(err)
	}
	l.cmd.Path, l.cmd.Args[0] = i.link, i.link
	if prepare != nil {
		prepare(l.cmd)
	}
	l.start(t)
	return i
}

// copy makes another copy of the program.
func (i *installed) copy() string {
	i.t.Helper()
	i.copies++
	path := fmt.Sprintf("%s.%d", i.link, i.copies)
	if out, err := exec.Command("cp", shimProgram(i.t), path).CombinedOutput(); err != nil {
		i.t.Fatalf("%v: %s", err, out)
	}
	return path
}

// replace puts another program in the place of the one that runs.
func (i *installed) replace(program string) {
	i.t.Helper()
	if err := os.Symlink(program, i.link+".new"); err != nil {
		i.t.Fatal(err)
	}
	if err := os.Rename(i.link+".new", i.link); err != nil {
		i.t.Fatal(err)
	}
}

// runs waits until the shim is that program.
func (i *installed) runs(program string) {
	i.t.Helper()
	until(i.t, "it goes on as "+program, func() bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", i.cmd.Process.Pid))
		return err == nil && exe == program
	})
}

func (i *installed) hup() { unix.Kill(i.cmd.Process.Pid, unix.SIGHUP) }

func TestHUPUpgradesInPlace(t *testing.T) {
	i := startInstalled(t, nil)
	r := i.dial(t)
	c := r.start(SpawnRequest{Stream: "cam1", Argv: []string{"sh", "-c", "while read x; do echo $x >&2; done; exit 9"}, Stdin: Socket, Stderr: Pipe})
	ask := func(word string) {
		t.Helper()
		fmt.Fprintln(c.Stdin, word)
		if got := line(t, c.Stderr); got != word {
			t.Errorf("%q, want %q", got, word)
		}
	}
	ask("before")
	// With a keeper, which notices nothing.
	program := i.copy()
	i.replace(program)
	i.hup()
	i.runs(program)
	if err := r.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	ask("with a keeper")
	select {
	case e := <-r.events:
		t.Errorf("%#v", e)
	default:
	}
	// Without one.
	r.leaveAlone()
	fmt.Fprintln(c.Stdin, "drained before")
	until(t, "it was drained", func() bool { return pipeEmpty(c.Stderr) })
	program = i.copy()
	i.replace(program)
	i.hup()
	i.runs(program)
	fmt.Fprintln(c.Stdin, "drained after")
	r = i.dial(t)
	h := r.Hello().Children
	if len(h) != 1 || h[0].PID != c.PID || r.Hello().PID != i.cmd.Process.Pid {
		t.Fatalf("%+v", h)
	}
	unix.Shutdown(int(mustFD(t, c.Stdin)), unix.SHUT_WR)
	if e := next[Exited](r); e.Code != 9 {
		t.Errorf("%+v", e)
	}
	next[Empty](r)
	if got := string(h[0].Drained[Stderr].Data) + available(h[0].Stderr); got != "drained before\ndrained after\n" {
		t.Errorf("%q", got)
	}
}

// mustFD duplicates the descriptor of a file, whose own mode is left alone.
func mustFD(t *testing.T, f *os.File) int {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	raw.Control(func(n uintptr) { fd, err = dup(int(n)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestHUPRefusesABadProgram(t *testing.T) {
	i := startInstalled(t, nil)
	r := i.dial(t)
	c := r.sh("read x; exit 9")
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	i.replace(bad)
	i.hup()
	if w := next[Warning](r); !strings.Contains(w.Text, "cannot go on as") || !strings.Contains(w.Text, "exit status 3") {
		t.Errorf("%+v", w)
	}
	// It is no obstacle to the next try.
	program := i.copy()
	i.replace(program)
	i.hup()
	i.runs(program)
	c.Stdin.Write([]byte("\n"))
	if e := r.ends(c); e.Code != 9 {
		t.Errorf("%+v", e)
	}
}

// However many come, and whatever else goes on.
func TestManyHUPsHurtNobody(t *testing.T) {
	i := startInstalled(t, nil)
	r := i.dial(t)
	c := r.sh("read x; exit 9")
	r.leaveAlone()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				i.hup()
			}
		}
	}()
	// Keepers come, have a child started, and go without a word.
	codes := map[int]bool{}
	for n := range 20 {
		r := i.dial(t)
		for _, h := range r.Hello().Children {
			if h.Stream == "n" && h.Exited != nil {
				codes[h.Exited.Code] = true
				r.Forget(h.ID)
			}
			if h.Stream == "n" && h.Exited == nil {
				if e := next[Exited](r); e.ID == h.ID {
					codes[e.Code] = true
					r.Forget(h.ID)
				}
			}
			h.close()
		}
		req := SpawnRequest{Stream: "n", Argv: []string{"sh", "-c", fmt.Sprint("exit ", 100+n)}}
		if n%2 == 1 {
			req.UMask = ptr[uint32](0)
		}
		r.Spawn(req, nil, func(*Child, error) {})
		if err := r.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.leaveAlone()
	}
	close(stop)
	<-done
	r = i.dial(t)
	// Once more, so that none is under way when the shim is told to stop.
	until(t, "an upgrade has been made", func() bool { return r.Reexec(t.Context(), "") == nil })
	for _, h := range r.Hello().Children {
		if h.Stream == "n" {
			if h.Exited == nil {
				e := next[Exited](r)
				h.Exited = &e
			}
			codes[h.Exited.Code] = true
		}
	}
	for n := range 20 {
		if !codes[100+n] {
			t.Errorf("the exit of child %d is lost", n)
		}
	}
	c.Stdin.Write([]byte("\n"))
	if e := next[Exited](r); e.ID != c.ID || e.Code != 9 {
		t.Errorf("%+v", e)
	}
}

func TestHUPMeansNothingToALaunchedShim(t *testing.T) {
	r := launched(t)
	c := r.sh("read x; exit 9")
	before, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.shim))
	for range 3 {
		unix.Kill(r.shim, unix.SIGHUP)
	}
	c.Stdin.Write([]byte("\n"))
	if e := r.ends(c); e.Code != 9 {
		t.Errorf("%+v", e)
	}
	if after, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.shim)); after != before {
		t.Errorf("%s, was %s", after, before)
	}
}

// A program from before there were cgroups understands what a shim without them
// leaves, and must never get what one with them does: it would refuse its
// arguments, and its death be the children's.
func TestOlderProgramFollowsOnlyWithoutCgroups(t *testing.T) {
	const older = "ffkeeper-shim protocol 1-1 state 1-1"
	without, with := &Server{}, &Server{cgroups: &cgroupTree{root: "/x"}}
	if err := checkAnswer(older, without.stateVersion()); err != nil {
		t.Errorf("without cgroups: %v", err)
	}
	if err := checkAnswer(older, with.stateVersion()); err == nil {
		t.Error("with cgroups an older program was taken")
	}
	for _, s := range []*Server{without, with} {
		if err := checkAnswer(CheckAnswer(), s.stateVersion()); err != nil {
			t.Error(err)
		}
		st := s.state(0)
		if st.V != s.stateVersion() {
			t.Errorf("state of version %d, announced was %d", st.V, s.stateVersion())
		}
		data, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "cgroup") != (st.V == 2) {
			t.Errorf("version %d: %s", st.V, data)
		}
		if _, err := parseState(data); err != nil {
			t.Error(err)
		}
	}
	// What an older program has left.
	if _, err := parseState([]byte(`{"v":1,"last_id":3,"children":null,"owners":null,"notes":null,"listener":-1,"keeper":-1,"seq":4}`)); err != nil {
		t.Error(err)
	}
}

// A program that does not know our arguments would end at once.
func TestProgramIsCheckedWithItsArguments(t *testing.T) {
	program := filepath.Join(t.TempDir(), "older")
	text := "#!/bin/sh\nfor a; do [ \"$a\" = --linger ] && { echo unknown flag >&2; exit 64; }; done\necho '" + CheckAnswer() + "'\n"
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	r := startLinger(t).dial(t)
	if err := r.Reexec(t.Context(), program); err == nil || !strings.Contains(err.Error(), "exit status 64") {
		t.Errorf("%v", err)
	}
	r.ends(r.sh("exit 0"))
}
