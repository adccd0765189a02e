package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is the control group of one child, NAME.stream below the tree's root.
type cgroup struct {
	tree   *cgroupTree
	name   string
	dir    string
	watch  int    // on its cgroup.events; -1: none
	child  *child // nil until the fork
	killed bool   // as a whole: nothing in it can go on
}

// maxPreparing bounds the threads that wait for the kernel to make cgroups.
const maxPreparing = 4

// prepare makes the cgroup, empty and with the limits in force. It may take
// killWait and more; not on the server's goroutine.
func (g *cgroup) prepare(r *SpawnRequest, changed func()) (warnings []error, err error) {
	fail := func(op string, err error) ([]error, error) {
		return nil, &SpawnError{Path: r.Path, Op: op + " control group " + g.dir, Err: err}
	}
	g.tree.slots <- struct{}{}
	defer func() { <-g.tree.slots }()
	err = unix.Mkdir(g.dir, 0o755)
	if err == unix.EEXIST {
		<-g.tree.slots
		err = g.clear()
		g.tree.slots <- struct{}{}
		if err != nil {
			return fail("empty", err)
		}
		// Anew, for the counters of events begin with the directory.
		err = unix.Mkdir(g.dir, 0o755)
	}
	if err != nil {
		return fail("make", err)
	}
	if err := g.follow(changed); err != nil {
		warnings = append(warnings, fmt.Errorf("cannot watch control group %s: %w", g.dir, err))
	}
	return append(warnings, r.Cgroup.apply(r.Stream, g.dir, g.tree.controllers)...), nil
}

// follow has changed called whenever the cgroup has become empty, or populated.
func (g *cgroup) follow(changed func()) (err error) {
	if g.tree.watch != nil {
		g.watch, err = g.tree.watch.add(g.dir, changed)
	}
	return err
}

// clear ends what is left in the directory by a child that is nobody's any
// more, and removes it.
func (g *cgroup) clear() error {
	changed := make(chan struct{}, 1)
	if err := g.follow(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}); err == nil {
		defer g.unfollow()
	}
	late := time.After(killWait)
	for populated(g.dir) {
		var again <-chan time.Time
		if whole := killTree(g.dir); !whole || g.watch < 0 {
			again = time.After(fastTick)
		}
		select {
		case <-changed:
		case <-again:
		case <-late:
			return fmt.Errorf("%s is there from before and does not end: %w", describe(procsIn(g.dir)), unix.EBUSY)
		}
	}
	return removeTree(g.dir)
}

// describe names the first of some processes.
func describe(pids []int) string {
	for _, pid := range pids {
		name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		if err == nil {
			return fmt.Sprintf("pid %d (%s)", pid, bytes.TrimSpace(name))
		}
	}
	return "a process"
}

func (g *cgroup) unfollow() {
	if g.watch >= 0 {
		g.tree.watch.remove(g.watch)
		g.watch = -1
	}
}

// release gives the name back.
func (g *cgroup) release() {
	g.unfollow()
	delete(g.tree.used, g.name)
}

// discard is for a cgroup in which no child was born.
func (g *cgroup) discard() {
	removeTree(g.dir)
	g.release()
}

// awaited: that it has become empty will be told.
func (g *cgroup) awaited() bool { return g.watch >= 0 }

// verdict is what the kernel has done to the processes of the cgroup, by its
// counters of events (cgroup-v2.rst).
func (g *cgroup) verdict(e *Exited) {
	kills, _ := readKey(g.dir+"/memory.events", "oom_kill")
	e.OOM = kills > 0 && (e.Signal == int(unix.SIGKILL) || e.Signal == 0 && e.Code != 0)
	refused, _ := readKey(g.dir+"/pids.events", "max")
	e.TaskLimit = refused > 0
}

// cgroupChanged is what to do when the cgroup.events of g have changed.
func (s *Server) cgroupChanged(g *cgroup) func() {
	return func() {
		s.post(func() {
			if g.child != nil {
				s.checkEmpty(g.child)
			}
		})
	}
}

// cgroupEmpty: nothing is left in the cgroup of c, and it is removed.
func (s *Server) cgroupEmpty(c *child) bool {
	g := c.cgroup
	if populated(g.dir) {
		return false
	}
	switch err := removeTree(g.dir); {
	case err == unix.EBUSY: // somebody has come in again
		return false
	case err != nil:
		s.warn("%s: cannot remove control group %s: %w", c.stream, g.dir, err)
	}
	g.release()
	c.cgroup = nil
	return true
}

// populated: a living process is in the cgroup or below; none where there is no
// such cgroup.
func populated(dir string) bool {
	n, err := readKey(dir+"/cgroup.events", "populated")
	return err == nil && n != 0 || err != nil && !gone(err)
}

// gone: what a file of a cgroup says once that has been removed.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV)
}

// killTree kills everything in a cgroup and below. whole: by the kernel, at one
// moment and forks in flight included (cgroup.kill, Linux 5.14); else it has to
// be repeated until nothing is left.
func killTree(dir string) (whole bool) {
	if writeFile(dir+"/cgroup.kill", "1") == nil {
		return true
	}
	killEach(dir)
	return false
}

// killEach kills those it finds in a cgroup and below, one by one.
func killEach(dir string) {
	fds := map[int]int{}
	for _, pid := range procsIn(dir) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds[pid] = fd
		}
	}
	// Whoever is still listed is the process the pidfd was opened of.
	for _, pid := range procsIn(dir) {
		if fd, ok := fds[pid]; ok {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// procsIn lists the processes in a cgroup and below. A threaded cgroup's are
// listed above it.
func procsIn(dir string) []int {
	var pids []int
	if data, err := os.ReadFile(dir + "/cgroup.procs"); err == nil {
		pids, _ = parsePIDs(data)
	}
	for _, sub := range subdirs(dir) {
		pids = append(pids, procsIn(sub)...)
	}
	return pids
}

// removeTree removes a cgroup and those below; unix.EBUSY while a process is in
// one of them.
func removeTree(dir string) error {
	err := unix.Rmdir(dir)
	if err == unix.EBUSY {
		for _, sub := range subdirs(dir) {
			if err := removeTree(sub); err != nil {
				return err
			}
		}
		err = unix.Rmdir(dir)
	}
	if err == unix.ENOENT {
		return nil
	}
	return err
}

func subdirs(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, dir+"/"+e.Name())
		}
	}
	return dirs
}

// writeFile writes a file of a cgroup, in one write(2) as the kernel wants it.
// The error is a bare errno.
func writeFile(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		if _, err = unix.Write(fd, []byte(value)); err != unix.EINTR {
			return err
		}
	}
}

// readKey is one value of a file of lines "KEY NUMBER".
func readKey(path, key string) (uint64, error) {
	var buf [1024]byte
	data, err := readProc(path, buf[:])
	if err != nil {
		return 0, err
	}
	return flatKey(data, key)
}

func flatKey(data []byte, key string) (uint64, error) {
	for line := range bytes.Lines(data) {
		if name, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" ")); ok && string(name) == key {
			return strconv.ParseUint(string(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s", key)
}

// words is the set of words in a file; none where it cannot be read.
func words(path string) map[string]bool {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	set := map[string]bool{}
	for _, w := range strings.Fields(string(data)) {
		set[w] = true
	}
	return set
}
