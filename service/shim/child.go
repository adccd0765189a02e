package shim

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// child is one spawned process and what became of it.
type child struct {
	id      ID
	stream  string
	pid     int // of the main process, its group and its session
	started time.Time
	ticks   uint64 // start as in procStat.start, or a little earlier

	pidfd *os.File // awaited through the runtime's poller
	fd    int      // the same; -1 when closed
	ends  map[End]int
	log   bool // stdout is log

	cgroup *cgroup // nil: none of its own, or none any more

	starting  bool // the exec helper has not become the program yet
	exited    *Exited
	gone      bool // its group was seen empty: the number may belong to others now
	lost      bool // its shim was killed: its main process was not reaped by us
	empty     bool
	forgotten bool
	failed    bool // never became the program: the keeper does not know it
	termed    bool // TERM was sent: a second one would hurt
	killing   bool
	known     map[procKey]bool // descendants that would not be recognized as orphans
	hit       map[procKey]bool // those that got KILL already
	rings     map[End]*ring
}

// procKey tells a process from a later one with its pid.
type procKey struct {
	pid   int
	start uint64
}

// end is the server's descriptor of one end; -1: none.
func (c *child) end(e End) int {
	if fd, ok := c.ends[e]; ok {
		return fd
	}
	return -1
}

func (c *child) closeEnd(e End) {
	if fd, ok := c.ends[e]; ok {
		unix.Close(fd)
		delete(c.ends, e)
	}
}

// release closes the server's duplicates of the ends.
func (c *child) release() {
	for e := range c.ends {
		c.closeEnd(e)
	}
	c.rings = nil
}

func (c *child) closePIDFD() {
	if c.fd >= 0 {
		if c.pidfd != nil {
			c.pidfd.Close()
		} else {
			unix.Close(c.fd)
		}
		c.fd = -1
	}
}

// allEnds in the order they go into packets.
var allEnds = [...]End{Stdin, Stdout, Stderr, Progress}

// message describes the child, with the descriptors to go beside it, which
// stay the child's.
func (c *child) message(kind string) (*message, []int) {
	dir := ""
	if c.cgroup != nil {
		dir = c.cgroup.dir
	}
	m := &message{Type: kind, Child: &childBody{
		ID: c.id, Stream: text(c.stream), PID: c.pid, Started: c.started.UnixNano(), Ticks: c.ticks,
		Cgroup: text(dir), Exited: c.exited.body(), Empty: c.empty, Termed: c.termed, Killing: c.killing,
	}}
	var fds []int
	add := func(name string, fd int) {
		if fd >= 0 {
			m.FDs = append(m.FDs, name)
			fds = append(fds, fd)
		}
	}
	add(fdPIDFD, c.fd)
	for _, e := range allEnds {
		add(string(e), c.end(e))
	}
	return m, fds
}

// watch waits, parked in the runtime's poller, until the process has ended. It
// does not wait(2): the pid stays the child's until the server's goroutine does.
func (s *Server) watch(c *child) error {
	raw, err := c.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	go func() {
		err := raw.Read(func(fd uintptr) bool { return pollIn(int(fd), 0) })
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // the poller has no room for it: then it costs a thread
			raw.Control(func(fd uintptr) {
				for !pollIn(int(fd), -1) {
				}
			})
		}
		s.post(func() { s.ended(c) })
	}()
	return nil
}

// pollIn waits for at most timeout ms (-1: for ever) until fd is readable.
func pollIn(fd, timeout int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, timeout)
	return err == nil && n == 1 && p[0].Revents&unix.POLLIN != 0
}

// ended takes the status of a main process whose pidfd has become readable.
func (s *Server) ended(c *child) {
	if c.exited != nil {
		return
	}
	var ws unix.WaitStatus
	var ru unix.Rusage
	pid, err := wait4(c.pid, &ws, &ru)
	if err == nil && pid == 0 {
		s.warn("pid %d of %s: its pidfd says it has ended, wait4 says it has not", c.pid, c.stream)
		return
	}
	e := &Exited{ID: c.id, Stream: c.stream, PID: c.pid, At: time.Now()}
	switch {
	case err != nil: // somebody took the status from us
		e.Unknown = true
	case ws.Signaled():
		e.Signal, e.Core = int(ws.Signal()), ws.CoreDump()
	default:
		e.Code = ws.ExitStatus()
	}
	e.UserTime, e.SystemTime = time.Duration(ru.Utime.Nano()), time.Duration(ru.Stime.Nano())
	e.MaxRSS = uint64(ru.Maxrss) << 10
	if c.cgroup != nil {
		c.cgroup.verdict(e)
	}
	c.exited = e
	delete(s.byPID, c.pid)
	if !c.starting && !c.failed { // else the helper's last words tell what happened
		s.tell(&message{Type: msgExited, Exited: e.body()})
	}
	s.tick = fastTick
	s.reap(false)
}

// wait4 waits for one child without blocking; pid 0: it has not ended.
func wait4(pid int, ws *unix.WaitStatus, ru *unix.Rusage) (int, error) {
	for {
		got, err := unix.Wait4(pid, ws, unix.WNOHANG, ru)
		if err != unix.EINTR {
			return got, err
		}
	}
}
