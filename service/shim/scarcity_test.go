package shim

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wrapped makes a program that runs ffkeeper-shim under another command.
func wrapped(t *testing.T, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shim")
	script := "#!/bin/sh\n" + command + " " + shimProgram(t) + ` "$@"` + "\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Without descriptors there are no new children; those there are lose nothing.
func TestWithoutDescriptorsNoExitIsLost(t *testing.T) {
	program := wrapped(t, "ulimit -n 128; exec")
	r := newRig(t, func(h Handler) (*Client, error) { return Launch(program, h, StopWait(time.Second)) })
	var children []*Child
	var err error
	for range 100 {
		var c *Child
		c, err = r.spawn(SpawnRequest{
			Stream: "s", Argv: []string{"sh", "-c", "sleep 1000 & read x; exit " + strconv.Itoa(len(children))}, Env: []string{"PATH=" + os.Getenv("PATH")},
			Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true,
		})
		if err != nil {
			break
		}
		children = append(children, c)
	}
	var spawn *SpawnError
	if !errors.As(err, &spawn) || !errors.Is(err, unix.EMFILE) || spawn.NoProgram {
		t.Fatalf("after %d children: %#v", len(children), err)
	}
	r.Ping(t.Context())
	before := fdCount(t, r.shim)
	for range 50 {
		if _, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"true"}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe, Progress: true}); !errors.Is(err, unix.EMFILE) {
			t.Fatal(err)
		}
	}
	r.Ping(t.Context())
	if after := fdCount(t, r.shim); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	// Now none at all.
	if err := unix.Prlimit(r.shim, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 128}, nil); err != nil {
		t.Fatal(err)
	}
	for i, c := range children {
		c.Stdin.Write([]byte("\n"))
		if e := next[Exited](r); e.ID != c.ID || e.Code != i {
			t.Errorf("%+v, want child %d with code %d", e, c.ID, i)
		}
		r.Kill(c.ID)
	}
	// With descriptors again it sees that they are empty.
	if err := unix.Prlimit(r.shim, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 128, Max: 128}, nil); err != nil {
		t.Fatal(err)
	}
	empty := map[ID]bool{}
	for range children {
		e := next[Empty](r)
		empty[e.ID] = true
		r.Forget(e.ID)
	}
	if len(empty) != len(children) {
		t.Errorf("%d of %d are empty", len(empty), len(children))
	}
	r.ends(r.sh("exit 0"))
}

// A keeper without descriptors gets an error, and the child nobody can read from
// does not stay.
func TestKeeperWithoutDescriptorsGetsAnError(t *testing.T) {
	r := launched(t)
	r.ends(r.sh("exit 0"))
	r.Ping(t.Context()) // it is forgotten
	runtime.GC()        // closes what would make room later
	before := openFDs(t, r.shim)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	attempt := func() error {
		// Room for one of the four descriptors.
		var fill []int
		defer func() {
			unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
			closeAll(fill)
		}()
		low := unix.Rlimit{Cur: 500, Max: old.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		for {
			fd, err := dup(0)
			if err != nil {
				break
			}
			fill = append(fill, fd)
		}
		unix.Close(fill[len(fill)-1])
		fill = fill[:len(fill)-1]
		c, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/bin/sleep", "1000"}, Stdin: Socket, Stdout: Pipe, Stderr: Pipe})
		if err == nil { // something else of this process has made room
			r.Kill(c.ID)
			r.ends(c)
		}
		return err
	}
	var err error
	for range 10 {
		if err = attempt(); err != nil {
			break
		}
	}
	var spawn *SpawnError
	if !errors.As(err, &spawn) || !errors.Is(err, unix.EMFILE) {
		t.Fatalf("%#v", err)
	}
	until(t, "the child is gone and forgotten", func() bool { return reflect.DeepEqual(openFDs(t, r.shim), before) })
	if len(r.events) > 0 {
		t.Errorf("%+v of a child nobody knows", <-r.events)
	}
}

func TestNoMoreProcessesIsASpawnError(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("RLIMIT_NPROC needs a user without other processes, and so root")
	}
	const uid = 64321
	program := wrapped(t, "ulimit -n 1024; exec setpriv --reuid "+strconv.Itoa(uid)+" --clear-groups prlimit --nproc=30")
	for dir := shimDir; dir != "/tmp" && len(dir) > 1; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	r := newRig(t, func(h Handler) (*Client, error) { return Launch(program, h, StopWait(time.Second)) })
	var children []*Child
	var err error
	for range 40 {
		var c *Child
		if c, err = r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/bin/sleep", "1000"}, Stdin: Socket, Stdout: Pipe}); err != nil {
			break
		}
		children = append(children, c)
	}
	var spawn *SpawnError
	if !errors.As(err, &spawn) || !errors.Is(err, unix.EAGAIN) || spawn.NoProgram || spawn.Op != "fork" {
		t.Fatalf("after %d children: %#v", len(children), err)
	}
	r.Ping(t.Context())
	before := openFDs(t, r.shim)
	for range 10 {
		if _, err = r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/bin/sleep", "1000"}, Stdin: Socket, Stdout: Pipe}); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%v", err)
		}
	}
	r.Ping(t.Context())
	if after := openFDs(t, r.shim); !reflect.DeepEqual(after, before) {
		t.Errorf("%v descriptors, %v before", after, before)
	}
	r.Kill(children[0].ID)
	r.ends(children[0])
	if _, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/bin/sleep", "1000"}}); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
