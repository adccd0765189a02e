// Package pump reads the stderr, stdout and progress pipes of all streams
// with one goroutine.
//
// A hundred streams write a thousand small pieces a second. A goroutine for
// each pipe would be woken for each of them; the pump is woken for the first,
// reads everything that is ready, and then lets more gather for an interval
// of about 100 ms before it looks again, or less where somebody has half
// filled a pipe. It waits through the Go runtime's poller, so that waiting
// holds no OS thread.
//
// Place in the flow: the shim hands over the read end of a pipe, Add takes it
// over, the pump calls wake when there is something, and the goroutine that
// owns the stream fetches it with Take and parses it. When the child is gone
// the owner calls Finish.
//
// Invariants:
//   - what is written to a pipe comes out of Take and Finish unchanged and in
//     order;
//   - a source holds at most its limit; when that is reached the pump stops
//     reading it, and the kernel's pipe holds back the writer, until Take. One
//     flooding child costs the others nothing;
//   - a descriptor is closed only under its source's lock and after it has
//     left the epoll instance, so the number can never be another file's;
//   - a source with nothing buffered holds no buffer.
package pump

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultInterval is how long the pump lets data gather after it has read. Once
// a pipe was half full it is half of that, and less in proportion for a small
// pipe: a user who has a thousand of them gets more of 8 KiB only
// (/proc/sys/fs/pipe-user-pages-soft, pipe(7)). So a writer waits for us only
// above 1.3 MB a second, or 0.8 with a small pipe.
const DefaultInterval = 100 * time.Millisecond

// shortest is the least of such an interval.
const shortest = 10 * time.Millisecond

// ErrClosed is the error of a source whose pump was closed, and of Add and
// Ping then.
var ErrClosed = errors.New("pump is closed")

// Option changes a Pump that New makes.
type Option func(*Pump)

// WithInterval sets how long data gathers after a read; 0 reads at once.
func WithInterval(d time.Duration) Option { return func(p *Pump) { p.interval = d } }

// Pump reads many pipes with one goroutine. Its methods may be called from
// any goroutine.
type Pump struct {
	interval time.Duration
	epfd     int // the epoll instance with the sources
	bell     *bell
	pause    *pause
	closing  chan struct{}
	done     chan struct{} // the goroutine has ended

	mu      sync.Mutex
	closed  bool
	last    uint64 // token given last; tokens are never used again
	sources map[uint64]*Source
	ping    pinger
}

// New starts a pump.
func New(options ...Option) (*Pump, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot start the pump: epoll_create: %w", err)
	}
	p := &Pump{
		interval: DefaultInterval,
		epfd:     epfd,
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
		sources:  make(map[uint64]*Source),
	}
	for _, o := range options {
		o(p)
	}
	if err = p.ping.open(epfd); err == nil {
		if p.bell, err = newBell(epfd); err == nil {
			if p.pause, err = newPause(); err != nil {
				p.bell.close()
			}
		}
		if err != nil {
			p.ping.close()
		}
	}
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("cannot start the pump: %w", err)
	}
	go p.run()
	return p, nil
}

// Add takes over f, the read end of a pipe (or a socket or terminal), and
// reads it until end of file, Finish or Close. f is closed for the caller
// when Add succeeds and untouched when it fails. limit is the most bytes kept
// for Take and so, with the interval, a bound on how fast a source is read;
// 0 is DefaultLimit.
//
// wake is called when the source goes from empty to not empty, and at its
// end, unless an earlier call has not been answered by Take yet. It runs on
// the pump's goroutine, perhaps before Add returns, and must not block; one
// last call may come while Finish runs.
func (p *Pump) Add(f *os.File, limit int, wake func()) (*Source, error) {
	fd, err := takeOver(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", f.Name(), err)
	}
	if limit <= 0 {
		limit = DefaultLimit
	}
	s := &Source{pump: p, fd: fd, limit: limit, room: limit, wake: wake}
	if size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil { // else it is no pipe
		s.room = min(limit, size)
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		unix.Close(fd)
		return nil, fmt.Errorf("cannot read %s: %w", f.Name(), ErrClosed)
	}
	p.last++
	s.token = p.last
	p.sources[s.token] = s
	p.mu.Unlock()
	if err := s.begin(); err != nil {
		p.forget(s.token)
		return nil, fmt.Errorf("cannot read %s: %w", f.Name(), err)
	}
	f.Close()
	return s, nil
}

// takeOver answers a non-blocking descriptor of f's file that the runtime's
// poller does not know: it would be woken for every write otherwise.
func takeOver(f *os.File) (int, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	err = conn.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, dupErr); err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Close ends every source with ErrClosed, as if at end of file (what they
// have buffered can still be taken), and stops the goroutine. It must not be
// called from wake.
func (p *Pump) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.done
		return nil
	}
	p.closed = true
	sources := p.sources
	p.sources = nil
	p.mu.Unlock()
	for _, s := range sources {
		s.abort()
	}
	close(p.closing)
	err := errors.Join(p.bell.close(), p.pause.close())
	<-p.done
	// Neither a source nor the goroutine is left that could use the number.
	unix.Close(p.epfd)
	p.ping.close()
	return err
}

func (p *Pump) forget(token uint64) {
	p.mu.Lock()
	delete(p.sources, token)
	p.mu.Unlock()
}

// run is the pump's goroutine.
func (p *Pump) run() {
	defer close(p.done)
	var (
		events []unix.EpollEvent
		batch  []*Source
	)
	for {
		events = p.room(events)
		n, err := p.wait(events)
		if err != nil {
			return // closed: nothing else makes epoll_wait fail
		}
		batch = p.resolve(events[:n], batch[:0])
		// First all of them are read, then their owners are woken: else the
		// runtime would wake a thread for each owner, between two reads.
		due, pause := batch[:0], p.interval
		for _, s := range batch {
			n, wake := s.read()
			if wake {
				due = append(due, s)
			}
			pause = min(pause, pauseAfter(n, s.room, p.interval))
		}
		for _, s := range due {
			s.wake()
		}
		clear(batch)
		if pause <= 0 {
			continue
		}
		if err := p.pause.wait(pause); err != nil {
			return
		}
	}
}

// pauseAfter is how long data may gather after so many bytes were got of a pipe
// with room for so many.
func pauseAfter(got, room int, interval time.Duration) time.Duration {
	if got < room/2 {
		return interval
	}
	return max(min(shortest, interval), interval/2*time.Duration(min(room, DefaultLimit))/DefaultLimit)
}

// room makes events large enough for every source, so that one epoll_wait
// tells all that is ready.
func (p *Pump) room(events []unix.EpollEvent) []unix.EpollEvent {
	p.mu.Lock()
	want := len(p.sources) + 1 // the eventfd of Ping
	p.mu.Unlock()
	if want <= len(events) {
		return events
	}
	return make([]unix.EpollEvent, max(64, want+want/2))
}

// wait answers what is ready, and parks the goroutine until something is.
func (p *Pump) wait(events []unix.EpollEvent) (int, error) {
	for {
		n, err := unix.EpollWait(p.epfd, events, 0)
		switch {
		case err == unix.EINTR:
			continue
		case n != 0 || err != nil:
			return n, err
		}
		if err := p.bell.wait(); err != nil {
			return 0, err
		}
	}
}

// resolve answers the sources of events. One that has been finished since is
// no longer there, and its token is never given again.
func (p *Pump) resolve(events []unix.EpollEvent, batch []*Source) []*Source {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		token := uint64(uint32(events[i].Fd)) | uint64(uint32(events[i].Pad))<<32
		if token == pingToken {
			p.ping.answer()
		} else if s := p.sources[token]; s != nil {
			batch = append(batch, s)
		}
	}
	return batch
}

// control adds fd to or removes it from an epoll instance. A source that is
// not to be read is removed, not masked: with an empty mask the kernel goes
// on reporting EPOLLHUP, and a full source whose writer is gone would keep
// the pump awake.
func control(epfd, op, fd int, token uint64) error {
	return unix.EpollCtl(epfd, op, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN,
		Fd:     int32(uint32(token)),
		Pad:    int32(uint32(token >> 32)),
	})
}
