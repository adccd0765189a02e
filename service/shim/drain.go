package shim

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// drainBudget is what all rings together may hold, in bytes: a thousand
// children must not make a large process of this.
const drainBudget = 12 << 20

// minRing is the least one ring may hold: some lines of log.
const minRing = 4 << 10

// gather is how long bytes may gather in the pipes between two rounds, so that
// a flood costs its writer time, and not the shim. A pipe's 64 KiB last longer
// than that at any rate an encoder logs at.
const gather = 10 * time.Millisecond

// drainer reads the log and progress pipes of all children while no keeper
// does: a full pipe would stop the encoder. One goroutine, one epoll instance,
// which is itself awaited through the runtime's poller. The rings are the
// drainer's until stop has returned.
type drainer struct {
	file *os.File // the epoll instance
	fd   int
	done chan struct{}

	mu    sync.Mutex
	rings map[int]*ring // by descriptor
}

func newDrainer() (*drainer, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	d := &drainer{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, done: make(chan struct{}), rings: map[int]*ring{}}
	go d.run()
	return d, nil
}

// add begins to drain fd, a pipe, into r.
func (d *drainer) add(fd int, r *ring) error {
	// The keeper shared the open file description and may have left it blocking.
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	d.mu.Lock()
	d.rings[fd] = r
	d.mu.Unlock()
	return unix.EpollCtl(d.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// stop ends the draining; the rings belong to the caller then.
func (d *drainer) stop() {
	d.file.SetReadDeadline(time.Unix(1, 0))
	<-d.done
	d.file.Close()
}

func (d *drainer) run() {
	defer close(d.done)
	raw, err := d.file.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, 128)
	buf := make([]byte, maxRing)
	for {
		var n int
		err := raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return err == nil && n > 0
		})
		if err != nil { // stop
			return
		}
		for _, e := range events[:n] {
			d.drain(int(e.Fd), buf)
		}
		if n < len(events) {
			time.Sleep(gather)
		}
	}
}

// drain reads once, so that a flood takes no more than its turn.
func (d *drainer) drain(fd int, buf []byte) {
	n, err := unix.Read(fd, buf)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if n <= 0 { // end of file; what was read stays in the ring
		unix.EpollCtl(d.fd, unix.EPOLL_CTL_DEL, fd, nil)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := max(minRing, min(maxRing, drainBudget/max(1, len(d.rings))))
	d.rings[fd].add(buf[:n], limit)
}

// startDraining takes over the reading that the keeper did.
func (s *Server) startDraining() {
	if s.drain != nil {
		return
	}
	d, err := newDrainer()
	if err != nil {
		s.warn("cannot drain the children's pipes: %w", err)
		return
	}
	s.drain = d
	for _, c := range s.children {
		s.drainChild(c)
	}
}

// drainChild drains one child, if there is need.
func (s *Server) drainChild(c *child) {
	if s.drain == nil || c.forgotten || c.starting {
		return
	}
	for _, e := range [...]End{Stdout, Stderr, Progress} {
		fd := c.end(e)
		if fd < 0 || e == Stdout && !c.log {
			continue
		}
		if c.rings == nil {
			c.rings = map[End]*ring{}
		}
		if c.rings[e] == nil {
			c.rings[e] = new(ring)
		}
		if err := s.drain.add(fd, c.rings[e]); err != nil {
			s.warn("cannot drain %s of %s: %w", e, c.stream, err)
		}
	}
}

// stopDraining leaves the pipes to a keeper; what was drained stays until it
// says that it has it, for it may die before.
func (s *Server) stopDraining() {
	if s.drain != nil {
		s.drain.stop()
		s.drain = nil
	}
}

// forgetDrained drops what the keeper has taken over.
func (s *Server) forgetDrained() {
	for _, c := range s.children {
		c.rings = nil
	}
}

// drained makes a memfd of what was drained of c, and describes it in b; -1:
// nothing.
func (c *child) drained(b *childBody) (int, error) {
	var data []byte
	for _, e := range [...]End{Stdout, Stderr, Progress} {
		r := c.rings[e]
		if r == nil || len(r.data) == 0 && r.dropped == 0 {
			continue
		}
		if b.Drained == nil {
			b.Drained = map[End]drainedSection{}
		}
		b.Drained[e] = drainedSection{Offset: len(data), Len: len(r.data), Dropped: r.dropped}
		data = append(data, r.data...)
	}
	if b.Drained == nil {
		return -1, nil
	}
	fd, err := memfd("shim-drained", data)
	if err != nil {
		b.Drained = nil
		return -1, fmt.Errorf("cannot hand it over: %w", err)
	}
	return fd, nil
}
