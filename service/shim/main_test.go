package shim

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is its own helper program: the exec helper, and what
// childModes lists.
func TestMain(m *testing.M) {
	// By default whatever was built with -race takes a second to exit.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	ExecHelperMain()
	if len(os.Args) > 1 {
		if mode, ok := childModes[os.Args[1]]; ok {
			os.Exit(mode(os.Args[2:]))
		}
	}
	code := m.Run()
	if shimDir != "" {
		os.RemoveAll(shimDir)
	}
	os.Exit(code)
}

var (
	shimDir  string
	shimOnce sync.Once
)

// shimVariable names an ffkeeper-shim that is built already, for machines
// without Go.
const shimVariable = "FFKEEPER_TEST_SHIM"

// shimProgram builds ffkeeper-shim, once.
func shimProgram(t testing.TB) string {
	t.Helper()
	if program := os.Getenv(shimVariable); program != "" {
		return program
	}
	shimOnce.Do(func() {
		dir, err := os.MkdirTemp("", "shim-test-")
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"build", "-o", dir}
		if raceEnabled {
			args = append(args, "-race")
		}
		out, err := exec.Command("go", append(args, "github.com/ffkeeper/ffkeeper/cmd/ffkeeper-shim")...).CombinedOutput()
		if err != nil {
			t.Fatalf("cannot build ffkeeper-shim: %v\n%s", err, out)
		}
		shimDir = dir
	})
	if shimDir == "" {
		t.Fatal("ffkeeper-shim could not be built")
	}
	return filepath.Join(shimDir, "ffkeeper-shim")
}

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// rig is a client whose events can be waited for.
type rig struct {
	*Client
	t      testing.TB
	events chan Event
	shim   int // pid of the shim; of this process where it is in-process
}

// forms runs test with a shim in each of its three forms, and with one whose
// children have control groups.
func forms(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("in-process", func(t *testing.T) { test(t, inProcess(t)) })
	t.Run("launched", func(t *testing.T) { test(t, launched(t)) })
	t.Run("dialled", func(t *testing.T) {
		l := startLinger(t)
		test(t, l.dial(t))
	})
	t.Run("with cgroups", func(t *testing.T) {
		l, _ := startInCgroup(t)
		test(t, l.dial(t))
	})
}

func newRig(t testing.TB, open func(Handler) (*Client, error)) *rig {
	t.Helper()
	r := &rig{t: t, events: make(chan Event, 100000)}
	c, err := open(func(e Event) { r.events <- e })
	if err != nil {
		t.Fatal(err)
	}
	r.Client, r.shim = c, c.Hello().PID
	t.Cleanup(func() { c.Close() })
	return r
}

func inProcess(t testing.TB, opts ...Option) *rig {
	t.Helper()
	return newRig(t, func(h Handler) (*Client, error) {
		return InProcess(h, append([]Option{Helper("/proc/self/exe"), StopWait(time.Second)}, opts...)...)
	})
}

func launched(t testing.TB, opts ...Option) *rig {
	t.Helper()
	program := shimProgram(t)
	return newRig(t, func(h Handler) (*Client, error) {
		return Launch(program, h, append([]Option{StopWait(time.Second)}, opts...)...)
	})
}

// linger is a shim that stays without a keeper.
type linger struct {
	path string
	cmd  *exec.Cmd
	done chan struct{}
}

func startLinger(t testing.TB, args ...string) *linger {
	t.Helper()
	l := newLinger(t, args...)
	l.start(t)
	return l
}

func (l *linger) start(t testing.TB) {
	t.Helper()
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { l.cmd.Wait(); close(l.done) }()
	t.Cleanup(func() {
		l.cmd.Process.Signal(syscall.SIGTERM)
		<-l.done
	})
	until(t, "the shim listens", func() bool {
		fd, err := dialSocket(context.Background(), l.path)
		if err == nil {
			unix.Close(fd)
		}
		return err == nil
	})
}

func (l *linger) dial(t testing.TB) *rig {
	t.Helper()
	return newRig(t, func(h Handler) (*Client, error) {
		for {
			// The connection that startLinger tried may still be the keeper's.
			c, err := Dial(t.Context(), l.path, h)
			if err == nil || !strings.Contains(err.Error(), ErrBusy.Error()) {
				return c, err
			}
		}
	})
}

// until polls for what the kernel has no event for.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// spawn starts a child and waits for the answer.
func (r *rig) spawn(req SpawnRequest, extra ...*os.File) (*Child, error) {
	type answer struct {
		c   *Child
		err error
	}
	ch := make(chan answer, 1)
	r.Spawn(req, extra, func(c *Child, err error) { ch <- answer{c, err} })
	select {
	case a := <-ch:
		return a.c, a.err
	case <-time.After(patience):
		r.t.Helper()
		r.t.Fatal("no answer to spawn")
		return nil, nil
	}
}

// start is spawn for what cannot fail.
func (r *rig) start(req SpawnRequest, extra ...*os.File) *Child {
	r.t.Helper()
	if req.Env == nil {
		req.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	c, err := r.spawn(req, extra...)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// sh starts a shell script as stream s.
func (r *rig) sh(script string) *Child {
	r.t.Helper()
	return r.start(SpawnRequest{Stream: "s", Argv: []string{"sh", "-c", script}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe})
}

// next waits for the next event of the type, dropping others.
func next[E Event](r *rig) E {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-r.events:
			switch e := e.(type) {
			case E:
				return e
			case Warning:
				r.t.Log("warning:", e.Text)
			}
		case <-timeout:
			r.t.Fatalf("no %T", *new(E))
		}
	}
}

// ends waits until a child has ended and left nothing, and forgets it.
func (r *rig) ends(c *Child) Exited {
	r.t.Helper()
	e := next[Exited](r)
	if e.ID != c.ID {
		r.t.Fatalf("%+v ended, not child %d", e, c.ID)
	}
	if g := next[Empty](r); g.ID != c.ID {
		r.t.Fatalf("%+v is empty, not child %d", g, c.ID)
	}
	r.Forget(c.ID)
	c.close()
	return e
}

// line reads one line, byte by byte so that nothing after it is taken.
func line(t testing.TB, f *os.File) string {
	t.Helper()
	f.SetReadDeadline(time.Now().Add(patience))
	var b [1]byte
	var out []byte
	for {
		if _, err := f.Read(b[:]); err != nil {
			t.Fatalf("reading a line: %v after %q", err, out)
		}
		if b[0] == '\n' {
			return string(out)
		}
		out = append(out, b[0])
	}
}

// number is line for a number.
func number(t testing.TB, f *os.File) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(line(t, f)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func readAll(t testing.TB, f *os.File) string {
	t.Helper()
	f.SetReadDeadline(time.Now().Add(patience))
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// alive: there is such a process and it has not ended.
func alive(pid int) bool {
	st, err := readStat(pid)
	return err == nil && !st.dead()
}

// openFDs counts the descriptors of a process, by what they are.
func openFDs(t testing.TB, pid int) map[string]int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := numbersIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, fd := range fds {
		link, err := os.Readlink(fmt.Sprintf("%s/%d", dir, fd))
		if err != nil {
			continue
		}
		kind, _, _ := strings.Cut(link, ":")
		kinds[kind]++
	}
	return kinds
}

// fdCount is the number of descriptors of a process.
func fdCount(t testing.TB, pid int) int {
	t.Helper()
	n := 0
	for _, k := range openFDs(t, pid) {
		n += k
	}
	return n
}

// zombies lists the dead children of a process, without those of this test's
// own session: orphans of its own children, which the shim leaves for a while.
func zombies(pid int) []int {
	var dead []int
	for _, p := range childrenOf(pid) {
		if st, err := readStat(p); err == nil && st.dead() && st.session != ownSession() {
			dead = append(dead, p)
		}
	}
	return dead
}
