package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/shim/shimtest"
	"golang.org/x/sys/unix"
)

func TestChildIsBornInItsCgroup(t *testing.T) {
	l, root := startInCgroup(t)
	r := l.dial(t)
	if got := cgroupOf(t, root, r.shim); got != "shim" {
		t.Errorf("the shim is in %s", got)
	}
	script := []string{"sh", "-c", "cat /proc/self/cgroup; read x"}
	var children []*Child
	for _, step := range []struct {
		req  SpawnRequest
		want string
	}{
		{SpawnRequest{Stream: "cam1"}, "cam1.stream"},
		{SpawnRequest{Stream: "cam1", UMask: ptr[uint32](0)}, "cam1.stream.2"}, // by way of the exec helper
		{SpawnRequest{Stream: "cam1!hook"}, "cam1!hook.stream"},
		{SpawnRequest{Stream: "cam1!hook"}, "cam1!hook.stream.2"},
		{SpawnRequest{Stream: "cam1!hook"}, "cam1!hook.stream.3"},
		{SpawnRequest{}, "unnamed.stream"},
	} {
		step.req.Argv, step.req.Stdin, step.req.Stdout = script, Socket, Pipe
		c := r.start(step.req)
		children = append(children, c)
		// From its first instruction on.
		for got := line(t, c.Stdout); !strings.HasSuffix(got, "/"+step.want); got = line(t, c.Stdout) {
			if strings.HasPrefix(got, "0::") {
				t.Fatalf("born in %s, not %s", got, step.want)
			}
		}
		if c.Cgroup != filepath.Join(root, step.want) {
			t.Errorf("Cgroup is %s", c.Cgroup)
		}
		if pids := procsIn(c.Cgroup); len(pids) == 0 {
			t.Errorf("nobody is in %s", c.Cgroup)
		}
	}
	for _, c := range children {
		c.Stdin.Write([]byte("\n"))
		r.ends(c)
		if _, err := os.Stat(c.Cgroup); !os.IsNotExist(err) {
			t.Errorf("%s after Empty: %v", c.Cgroup, err)
		}
	}
	if left := subdirs(root); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// The name of one that has ended is free again.
func TestCgroupIsUsedAgain(t *testing.T) {
	l, _ := startInCgroup(t)
	r := l.dial(t)
	before := fdCount(t, r.shim)
	for i := range 100 {
		c := r.sh("exit 0")
		if filepath.Base(c.Cgroup) != "s.stream" {
			t.Errorf("round %d: %s", i, c.Cgroup)
		}
		r.ends(c)
		if _, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/nowhere"}}); err == nil {
			t.Error("a program that is not there was started")
		}
		if i%10 == 0 {
			if _, err := r.spawn(SpawnRequest{Stream: "s", Argv: []string{"/etc/hosts"}, UMask: ptr[uint32](0)}); err == nil {
				t.Error("a file that is no program was started")
			}
			// The helper that failed may still be going.
			until(t, "the shim has no child", func() bool { return len(childrenOf(r.shim)) == 0 })
			r.Ping(t.Context())
			until(t, "only the shim's cgroup is left", func() bool { return len(subdirs(filepath.Dir(c.Cgroup))) == 1 })
		}
	}
	until(t, "no more descriptors are open than before", func() bool { return fdCount(t, r.shim) <= before })
}

func TestStreamNameMustBeADirectorys(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		for _, name := range []string{"a/b", "..", ".hidden", "/", "../shim"} {
			if c, err := r.spawn(SpawnRequest{Stream: name, Argv: []string{"true"}}); err == nil {
				t.Errorf("%q was taken: %+v", name, c)
			}
		}
	})
}

func TestEscapeeIsKilledWithItsStream(t *testing.T) {
	l, _ := startInCgroup(t)
	r := l.dial(t)
	c := r.sh(escape("exec sleep 1000") + "read x; exit 0")
	pid := number(t, c.Stdout)
	escaped(t, r, c, pid)
	r.Kill(c.ID)
	if e := r.ends(c); e.Signal != int(unix.SIGKILL) {
		t.Errorf("%+v", e)
	}
	if alive(pid) {
		t.Error("it survived")
	}
	until(t, "it is reaped", func() bool { return !exists(pid) })
}

func TestEmptyWaitsForAnEscapee(t *testing.T) {
	l, _ := startInCgroup(t)
	r := l.dial(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		c := r.sh(escape("read x <"+fifo) + "read x; exit 3")
		pid := number(t, c.Stdout)
		escaped(t, r, c, pid)
		c.Stdin.Write([]byte("\n"))
		if e := next[Exited](r); e.Code != 3 {
			t.Errorf("%+v", e)
		}
		r.Ping(t.Context())
		select {
		case e := <-r.events:
			t.Fatalf("%#v while pid %d lives", e, pid)
		default:
		}
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString("go\n")
		f.Close()
		if e := next[Empty](r); e.ID != c.ID {
			t.Errorf("%+v", e)
		}
		if alive(pid) {
			t.Error("empty was told too early")
		}
		r.Forget(c.ID)
		c.close()
	}
}

func TestSignalToAllReachesEscapeesAndSubCgroups(t *testing.T) {
	l, _ := startInCgroup(t)
	r := l.dial(t)
	script := filepath.Join(t.TempDir(), "script")
	// Says its name and waits for the signal; "below" goes into a cgroup of its own.
	const text = `[ $1 = below ] && mkdir $2/sub && echo 0 >$2/sub/cgroup.procs
trap "echo $1 has it; exit 0" USR1
echo $1
while :; do sleep 0.01; done
`
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := r.sh("trap : USR1; read dir; " + escape("exec sh "+script+" escapee") + "setsid sh " + script + " below $dir & while :; do sleep 0.01; done")
	fmt.Fprintln(c.Stdin, c.Cgroup)
	lines := func(n int) map[string]bool {
		got := map[string]bool{}
		for range n {
			got[line(t, c.Stdout)] = true
		}
		return got
	}
	if got := lines(3); !got["escapee"] || !got["below"] { // and the escapee's pid
		t.Errorf("%v", got)
	}
	if len(procsIn(c.Cgroup+"/sub")) == 0 {
		t.Error("nobody is in the cgroup below")
	}
	r.Signal(c.ID, unix.SIGUSR1, All)
	if got := lines(2); !got["escapee has it"] || !got["below has it"] {
		t.Errorf("%v", got)
	}
	r.Kill(c.ID)
	r.ends(c)
	if _, err := os.Stat(c.Cgroup); !os.IsNotExist(err) {
		t.Errorf("%s after Empty: %v", c.Cgroup, err)
	}
}

// What a shim before has left of a stream is ended before the stream starts.
func TestLeftoverIsKilledBeforeTheSpawn(t *testing.T) {
	root := newCgroup(t)
	atStart := leave(t, root+"/cam0.stream")
	l := newLinger(t, "--cgroup")
	into(t, l.cmd, root)
	l.start(t)
	r := l.dial(t)
	atStart.Wait()
	later := leave(t, root+"/cam1.stream")
	os.Mkdir(root+"/cam1.stream/sub", 0o755)
	os.Mkdir(root+"/cam2.stream", 0o755) // nobody is in it
	for _, name := range []string{"cam0", "cam1", "cam2"} {
		c := r.start(SpawnRequest{Stream: name, Argv: []string{"sleep", "1000"}})
		if alive(later.Process.Pid) && name == "cam1" {
			t.Error("the leftover lives beside the new process")
		}
		if pids := procsIn(root + "/" + name + ".stream"); len(pids) != 1 || pids[0] != c.PID {
			t.Errorf("%v in the cgroup of %s, not %d", pids, name, c.PID)
		}
		if len(subdirs(c.Cgroup)) > 0 {
			t.Errorf("%s is not new", c.Cgroup)
		}
	}
	if got := exitSignal(later); got != unix.SIGKILL {
		t.Errorf("the leftover ended by %v", got)
	}
}

func exitSignal(cmd *exec.Cmd) unix.Signal {
	cmd.Wait()
	ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ws.Signal()
}

// A leftover that the kernel does not let go: the stream is not started twice,
// and everybody else is served meanwhile.
func TestUnkillableLeftoverIsASpawnError(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a killed process is waited for")
	}
	t.Parallel() // it waits most of its time
	f := shimtest.NewFreezer(t)
	l, root := startInCgroup(t)
	r := l.dial(t)
	left := leave(t, root+"/cam1.stream")
	f.Freeze(left.Process.Pid)
	failed := make(chan error, 1)
	r.Spawn(SpawnRequest{Stream: "cam1", Argv: []string{"sleep", "1000"}}, nil, func(_ *Child, err error) { failed <- err })
	for range 20 {
		r.ends(r.sh("exit 0"))
	}
	select {
	case err := <-failed:
		t.Errorf("others had to wait: %v", err)
	default:
	}
	var spawn *SpawnError
	err := <-failed
	if want := fmt.Sprintf("pid %d (sleep)", left.Process.Pid); !errors.As(err, &spawn) || spawn.NoProgram || !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if pids := procsIn(root + "/cam1.stream"); len(pids) != 1 {
		t.Errorf("%v are in the cgroup", pids)
	}
	f.Thaw()
	c := r.start(SpawnRequest{Stream: "cam1", Argv: []string{"sleep", "1000"}})
	if alive(left.Process.Pid) {
		t.Error("it was not killed")
	}
	r.Kill(c.ID)
	r.ends(c)
}

func TestReexecKeepsCgroups(t *testing.T) {
	l, root := startInCgroup(t)
	r := l.dial(t)
	lives := r.sh("read x; exit 7")
	dying := r.sh(escape("exec sleep 1000") + "read x; exit 0")
	pid := number(t, dying.Stdout)
	escaped(t, r, dying, pid)
	dying.Stdin.Write([]byte("\n"))
	next[Exited](r)
	for range 3 {
		if err := r.Reexec(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if got := cgroupOf(t, root, r.shim); got != "shim" {
			t.Errorf("the shim is in %s", got)
		}
		if !alive(lives.PID) || !alive(pid) {
			t.Fatal("the upgrade has killed")
		}
		c := r.sh("exit 0")
		if c.Cgroup != root+"/s.stream.3" {
			t.Errorf("a new child is in %s", c.Cgroup)
		}
		r.ends(c)
	}
	r.leaveAlone()
	r = l.dial(t)
	held := r.Hello().Children
	if len(held) != 2 || held[0].Cgroup != root+"/s.stream" || held[1].Cgroup != root+"/s.stream.2" {
		t.Errorf("%+v", held)
	}
	// Only its cgroup tells that this one is still there, and whose it is.
	unix.Kill(pid, unix.SIGKILL)
	if e := next[Empty](r); e.ID != dying.ID {
		t.Errorf("%+v", e)
	}
	lives.Stdin.Write([]byte("\n"))
	if e := r.ends(lives); e.Code != 7 {
		t.Errorf("%+v", e)
	}
	r.leaveAlone()
	for _, h := range l.dial(t).Hello().Children {
		if h.Cgroup != "" {
			t.Errorf("%+v", h)
		}
	}
}

// A sandbox that forbids namespaces hides clone3: children are moved then.
func TestWithoutClone3ChildrenAreMoved(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := newCgroup(t)
	l := newLinger(t, "--cgroup")
	l.cmd.Args = append([]string{self, "child-no-clone3", l.cmd.Path}, l.cmd.Args[1:]...)
	l.cmd.Path = self
	var said bytes.Buffer
	l.cmd.Stderr = &said
	into(t, l.cmd, root)
	l.start(t)
	r := l.dial(t)
	for i := range 10 {
		req := SpawnRequest{Stream: "cam1", Argv: []string{"sh", "-c", "sleep 1000 & echo $!; " + escape("exec sleep 1000") + "read x; exit 5"}, Stdin: Socket, Stdout: Pipe}
		if i%2 == 1 {
			req.UMask = ptr[uint32](0)
		}
		c := r.start(req)
		member, stray := number(t, c.Stdout), number(t, c.Stdout)
		for _, pid := range []int{c.PID, member, stray} {
			if got := cgroupOf(t, root, pid); got != "cam1.stream" {
				t.Errorf("round %d: pid %d is in %s", i, pid, got)
			}
		}
		escaped(t, r, c, stray)
		if i == 5 {
			if err := r.Reexec(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		r.Kill(c.ID)
		r.ends(c)
		if alive(member) || alive(stray) {
			t.Errorf("round %d: something survived", i)
		}
	}
	r.Leave()
	<-l.done
	// By each of the two programs.
	if got := said.String(); strings.Count(got, "\n") != 2 || strings.Count(got, "clone3: function not implemented") != 2 {
		t.Errorf("it says %q", got)
	}
}

func TestKillEachKillsAll(t *testing.T) {
	dir := newCgroup(t)
	a, b := leave(t, dir+"/a"), leave(t, dir+"/a/b")
	if !populated(dir) {
		t.Error("not populated")
	}
	if err := removeTree(dir + "/a"); err != unix.EBUSY {
		t.Errorf("removed with a process: %v", err)
	}
	killEach(dir + "/a")
	for _, cmd := range []*exec.Cmd{a, b} {
		if got := exitSignal(cmd); got != unix.SIGKILL {
			t.Errorf("ended by %v", got)
		}
	}
	until(t, "it is empty", func() bool { return !populated(dir + "/a") })
	if err := removeTree(dir + "/a"); err != nil {
		t.Error(err)
	}
	if populated(dir + "/a") {
		t.Error("one that is gone counts as populated")
	}
}

// Where there is no cgroup to be had all goes as it does without --cgroup.
func TestWithoutACgroupItWarnsAndServes(t *testing.T) {
	root := newCgroup(t)
	for name, test := range map[string]struct {
		dir, want string
	}{
		"the root of all":   {"/", "is the root of all control groups"},
		"in another shim's": {root, "another shim is in"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLinger(t, "--cgroup")
			if test.dir == root {
				if err := os.Mkdir(root+"/shim", 0o755); err != nil {
					t.Fatal(err)
				}
				other := exec.Command("sleep", "1000")
				into(t, other, root+"/shim")
				if err := other.Start(); err != nil {
					t.Fatal(err)
				}
				defer other.Wait()
				defer other.Process.Kill()
				into(t, l.cmd, root)
			} else if _, path, err := ownCgroup(); err != nil || path != "/" {
				t.Skipf("SKIPPED: THIS TEST IS NOT IN THE ROOT OF ALL CGROUPS BUT IN %s (%v)", path, err)
			}
			var said bytes.Buffer
			l.cmd.Stderr = &said
			l.start(t)
			r := l.dial(t)
			c := r.start(SpawnRequest{Stream: "cam1", Argv: []string{"sh", "-c", "exit 3"}, Cgroup: &CgroupLimits{TasksMax: ptr(uint64(5))}})
			if w := next[Warning](r); w.Text != "cam1: TasksMax=5 is not in force: this shim has no control groups" {
				t.Errorf("%+v", w)
			}
			if e := r.ends(c); e.Code != 3 || c.Cgroup != "" {
				t.Errorf("%+v, cgroup %q", e, c.Cgroup)
			}
			r.Leave()
			<-l.done
			if got := said.String(); !strings.Contains(got, test.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("it says %q", got)
			}
		})
	}
}

// The shim's death is its children's, as without cgroups; what has escaped goes
// when the next shim starts.
func TestNextShimSweepsUpAfterAKilledOne(t *testing.T) {
	l, root := startInCgroup(t)
	r := l.dial(t)
	c := r.sh(escape("exec sleep 1000") + "exec sleep 1000")
	pid := number(t, c.Stdout)
	escaped(t, r, c, pid)
	unix.Kill(r.shim, unix.SIGKILL)
	<-l.done
	until(t, "its child is gone", func() bool { return !alive(c.PID) })
	if !alive(pid) {
		t.Error("the escapee is gone already")
	}
	second := newLinger(t, "--cgroup")
	into(t, second.cmd, root)
	second.start(t)
	until(t, "the escapee is gone", func() bool { return !alive(pid) })
	r = second.dial(t)
	c = r.sh("exit 0")
	if c.Cgroup != root+"/s.stream" {
		t.Errorf("%s", c.Cgroup)
	}
	r.ends(c)
}

func TestHeldSaysWhatWasSent(t *testing.T) {
	l := startLinger(t)
	r := l.dial(t)
	script := "trap '' TERM; echo ready; while :; do sleep 0.01; done"
	for _, scope := range []Scope{Main, Group, All} {
		c := r.sh(script)
		line(t, c.Stdout)
		r.Signal(c.ID, unix.SIGTERM, scope)
	}
	usr := r.sh("trap '' USR1; echo ready; while :; do sleep 0.01; done")
	line(t, usr.Stdout)
	r.Signal(usr.ID, unix.SIGUSR1, All)
	killed := r.sh(script)
	line(t, killed.Stdout)
	r.Kill(killed.ID)
	next[Exited](r)
	next[Empty](r)
	if err := r.Reexec(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	r.leaveAlone()
	held := l.dial(t).Hello().Children
	if len(held) != 5 {
		t.Fatalf("%+v", held)
	}
	for i, h := range held {
		if h.Termed != (i < 3) || h.Killing != (i == 4) {
			t.Errorf("child %d: termed %v, killing %v", i, h.Termed, h.Killing)
		}
	}
}

func TestCgroupDirs(t *testing.T) {
	const hybrid = `24 1 0:22 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw
31 23 0:28 / /sys/fs/cgroup/systemd rw,relatime shared:1 - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:5 master:1 - cgroup2 cgroup2 rw
`
	for _, test := range []struct{ mounts, path, want string }{
		{hybrid, "/a/b", "/sys/fs/cgroup/unified/a/b"},
		{hybrid, "/", "/sys/fs/cgroup/unified"},
		{"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/system.slice/x", "/sys/fs/cgroup/system.slice/x"},
		{"41 31 0:38 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/docker/1/x", "/sys/fs/cgroup/x"},
		{"41 31 0:38 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/docker/12", ""},
		{"41 31 0:38 / /mnt/a\\040b rw - cgroup2 none rw\n", "/x", "/mnt/a b/x"},
		{"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/../other", ""},
		{"41 31 0:38 / /sys/fs/cgroup rw - cgroup cgroup2 rw\n", "/x", ""},
		{"nonsense\n", "/x", ""},
	} {
		if got := strings.Join(cgroupDirs([]byte(test.mounts), test.path), " "); got != test.want {
			t.Errorf("%s in %q: %q, want %q", test.path, test.mounts, got, test.want)
		}
	}
}

func FuzzCgroupDirs(f *testing.F) {
	f.Add([]byte("41 31 0:38 /a /sys/fs/c\\040d rw shared:1 - cgroup2 cgroup rw\n"), []byte("1:cpu:/\n0::/a/b (deleted)\n"))
	f.Fuzz(func(t *testing.T, mounts, own []byte) {
		path, ok := unifiedPath(own)
		if ok && !bytes.Contains(own, []byte("0::"+path)) {
			t.Errorf("%q of %q", path, own)
		}
		cgroupDirs(mounts, path)
		for _, dir := range cgroupDirs([]byte("41 31 0:38 / /m rw - cgroup2 cgroup rw\n"), path) {
			if !strings.HasPrefix(dir, "/m") || strings.Contains(dir+"/", "/../") {
				t.Errorf("%q leads out to %q", path, dir)
			}
		}
		flatKey(own, "populated")
	})
}

// A watch that has lost events takes it that all have changed.
func TestOverflowedWatchMeansAll(t *testing.T) {
	w := &cgroupWatch{fd: -1, changed: map[int]func(){3: func() {}, 5: func() {}}}
	modify := []byte{3, 0, 0, 0, byte(unix.IN_MODIFY), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	overflow := []byte{0xff, 0xff, 0xff, 0xff, 0, byte(unix.IN_Q_OVERFLOW >> 8), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, test := range []struct {
		events []byte
		want   int
	}{{modify, 1}, {append(bytes.Clone(modify), modify...), 1}, {append(bytes.Clone(modify), overflow...), 2}, {modify[:7], 0}, {nil, 0}} {
		if got := len(w.meant(test.events)); got != test.want {
			t.Errorf("% x: %d are called, want %d", test.events, got, test.want)
		}
	}
}
