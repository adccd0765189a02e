package shim

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReexecKeepsEverything(t *testing.T) {
	t.Run("launched", func(t *testing.T) { testReexec(t, launched(t)) })
	t.Run("dialled", func(t *testing.T) { testReexec(t, startLinger(t).dial(t)) })
}

func testReexec(t *testing.T, r *rig) {
	// One of each: alive, ended and not forgotten, with a stray only.
	lives := r.start(SpawnRequest{
		Stream: "lives", Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true,
		Argv: []string{"sh", "-c", "trap 'echo term' TERM; while :; do read x || continue; echo $x; echo p$x >&3; [ $x = end ] && exit 23; done"},
	})
	ended := r.sh("exit 42")
	next[Exited](r)
	next[Empty](r)
	straying, stray := strayOf(t, r)
	r.Note("n", []byte("note"))
	before := fdCount(t, r.shim)

	for i := range 3 {
		if err := r.Reexec(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if err := r.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Go's own descriptors may be others; those of children may not leak.
		if after := fdCount(t, r.shim); after > before+2 {
			t.Errorf("%d descriptors, %d before: %v", after, before, openFDs(t, r.shim))
		}
		fmt.Fprintf(lives.Stdin, "%d\n", i)
		if got := line(t, lives.Stdout); got != fmt.Sprint(i) {
			t.Errorf("%q", got)
		}
		// A shell that is signalled on its way into read tells of it after that.
		line(t, lives.Progress)
		until(t, "the shell reads", func() bool {
			st, err := readStat(lives.PID)
			return err == nil && st.state == 'S'
		})
		r.Signal(lives.ID, unix.SIGTERM, Main)
		if got := line(t, lives.Stdout); got != "term" {
			t.Errorf("%q", got)
		}
		// New children, with numbers not used before.
		c := r.sh("exit 5")
		if c.ID <= straying.ID {
			t.Errorf("child %d after %d", c.ID, straying.ID)
		}
		if e := r.ends(c); e.Code != 5 {
			t.Errorf("%+v", e)
		}
		checkDescriptors(t, lives.PID, "0 socket, 1 pipe, 2 pipe, 3 pipe")
	}
	if !alive(lives.PID) || !stray.lives() {
		t.Fatal("the upgrade has killed")
	}
	// Two upgrades wanted at once: one is refused, none is harmed.
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- r.Reexec(t.Context(), "") }()
	}
	a, b := <-done, <-done
	if (a == nil) == (b == nil) && (a != nil || b != nil) {
		t.Errorf("%v, %v", a, b)
	}
	// The true exit code.
	fmt.Fprintln(lives.Stdin, "end")
	if e := next[Exited](r); e.ID != lives.ID || e.Code != 23 || e.Unknown {
		t.Errorf("%+v", e)
	}
	next[Empty](r)
	// The stray is still known.
	r.Kill(straying.ID)
	if e := next[Empty](r); e.ID != straying.ID {
		t.Errorf("%+v", e)
	}
	if stray.lives() {
		t.Error("the stray survived")
	}
	r.Forget(ended.ID)
	r.Forget(straying.ID)
	r.Forget(lives.ID)
	if z := zombies(r.shim); len(z) > 0 {
		t.Errorf("zombies %v", z)
	}
}

// What was drained and not yet handed over survives too, and exits that happen
// while the program is replaced are not lost.
func TestReexecInTheMiddleOfThings(t *testing.T) {
	l := startLinger(t)
	r := l.dial(t)
	const n = 40
	var children []*Child
	for i := range n {
		children = append(children, r.start(SpawnRequest{
			Stream: "s", Argv: []string{"sh", "-c", fmt.Sprintf("read x; exit %d", i)}, Stdin: Socket,
		}))
	}
	upgraded := make(chan error, 1)
	go func() {
		var err error
		for range 5 {
			if err == nil {
				err = r.Reexec(t.Context(), "")
			}
		}
		upgraded <- err
	}()
	for _, c := range children {
		time.Sleep(5 * time.Millisecond) // to spread the exits over the upgrades
		c.Stdin.Write([]byte("\n"))
	}
	codes := map[ID]int{}
	for range n {
		e := next[Exited](r)
		codes[e.ID] = e.Code
		if e.Unknown {
			t.Errorf("%+v", e)
		}
	}
	for i, c := range children {
		if codes[c.ID] != i {
			t.Errorf("child %d: code %d, want %d", c.ID, codes[c.ID], i)
		}
	}
	if err := <-upgraded; err != nil {
		t.Error(err)
	}
}

func TestReexecRefusesABadProgram(t *testing.T) {
	t.Parallel() // it waits most of its time
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r := startLinger(t).dial(t)
	c := r.sh("read x; exit 1")
	for program, want := range map[string]string{
		filepath.Join(dir, "none"):                                                "no such file",
		script("crash", "#!/bin/sh\nkill -SEGV $$\n"):                             "segmentation fault",
		script("fails", "#!/bin/sh\nexit 1\n"):                                    "exit status 1",
		script("other", "#!/bin/sh\necho ffkeeper-shim 99\n"):                     "answers",
		script("newer", "#!/bin/sh\necho ffkeeper-shim protocol 1-3 state 2-3\n"): "state 2 to 3",
		script("rubbish", "\x7fELF rubbish"):                                      "exec format error",
		script("mute", "#!/bin/sh\nexec >&-; sleep 30 & wait"):                    "not start",
	} {
		t.Run(filepath.Base(program), func(t *testing.T) {
			if filepath.Base(program) == "mute" && testing.Short() {
				t.Skip("takes as long as a program may take to answer")
			}
			err := r.Reexec(t.Context(), program)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	// A program that passes the test and cannot be executed after it.
	err := r.Reexec(t.Context(), script("gone", "#!/bin/sh\nrm \"$0\"; echo '"+CheckAnswer()+"'\n"))
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
	c.Stdin.Write([]byte("\n"))
	if e := r.ends(c); e.Code != 1 {
		t.Errorf("the old one does not go on well: %+v", e)
	}
	checkDescriptors(t, r.start(SpawnRequest{Argv: []string{"sleep", "1000"}}).PID, "0 /dev/null, 1 /dev/null, 2 /dev/null")
}

// A newer program may understand more.
func TestProgramThatUnderstandsUsCanFollow(t *testing.T) {
	for answer, ok := range map[string]bool{
		CheckAnswer(): true, "ffkeeper-shim protocol 1-2 state 1-9": true, "ffkeeper-shim protocol 0-0 state 1-1": false,
		"ffkeeper-shim protocol 2-3 state 1-1": false, "ffkeeper-shim protocol 1-1": false, "": false,
	} {
		if err := checkAnswer(answer, 1); (err == nil) != ok {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestReexecInProcessIsRefused(t *testing.T) {
	r := inProcess(t)
	if err := r.Reexec(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "part of another program") {
		t.Errorf("%v", err)
	}
}

// Drained bytes survive an upgrade whose new keeper comes later.
func TestStateKeepsTheRings(t *testing.T) {
	s := &Server{children: map[ID]*child{}, notes: map[string][]byte{"a\xff": {0, 255}}}
	s.lastID = 7
	s.children[7] = &child{
		id: 7, stream: "s\xff", pid: 1, fd: -1, started: time.Unix(1, 2), ticks: 3, log: true, forgotten: true, termed: true,
		exited: &Exited{ID: 7, Code: 3, At: time.Unix(4, 5)}, empty: true,
		rings: map[End]*ring{Stderr: {data: []byte("x\xff"), dropped: 9}},
		known: map[procKey]bool{{5, 6}: true},
	}
	fd, err := s.state(77).save()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Resume(Config{inProcess: true}, fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.restore(got.resumed); err != nil {
		t.Fatal(err)
	}
	got.stopDraining()
	c := got.children[7]
	if got.lastID != 7 || string(got.notes["a\xff"]) != "\x00\xff" || c == nil {
		t.Fatalf("%+v", got)
	}
	if r := c.rings[Stderr]; r == nil || !bytes.Equal(r.data, []byte("x\xff")) || r.dropped != 9 {
		t.Errorf("%+v", r)
	}
	if c.stream != "s\xff" || c.exited.Code != 3 || !c.forgotten || !c.termed || !c.empty || !c.log || !c.started.Equal(time.Unix(1, 2)) {
		t.Errorf("%+v", c)
	}
}

func TestStateOfAnotherVersionIsRefused(t *testing.T) {
	for _, data := range []string{"", "{}", `{"v":99}`, "[]", `{"v":1,"children":[{"id":-1}]}`} {
		if _, err := parseState([]byte(data)); err == nil {
			t.Errorf("%q was taken", data)
		}
	}
}

// The program's file may be gone or replaced: the helper is the program that
// runs.
func TestHelperIsTheRunningProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "shim")
	if out, err := exec.Command("cp", shimProgram(t), program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := newRig(t, func(h Handler) (*Client, error) { return Launch(program, h, StopWait(time.Second)) })
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	c := r.start(SpawnRequest{Stream: "s", Argv: []string{"sh", "-c", "umask"}, Stdout: Pipe, UMask: ptr[uint32](0o57)})
	if got := line(t, c.Stdout); got != "0057" {
		t.Errorf("%q", got)
	}
	r.ends(c)
}
