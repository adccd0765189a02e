package pump

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// pingToken is the token of the eventfd; those of sources begin with 1.
const pingToken = 0

// pinger has the pump's goroutine answer that it still goes round. The
// pump's lock guards it.
type pinger struct {
	fd      int
	waiting []chan struct{}
}

func (g *pinger) open(epfd int) error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if err := control(epfd, unix.EPOLL_CTL_ADD, fd, pingToken); err != nil {
		unix.Close(fd)
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	g.fd = fd
	return nil
}

func (g *pinger) answer() {
	var count [8]byte
	unix.Read(g.fd, count[:])
	for _, c := range g.waiting {
		close(c)
	}
	g.waiting = nil
}

func (g *pinger) close() { unix.Close(g.fd) }

// Ping answers nil once the pump's goroutine has gone round, and an error if
// it has not by the end of ctx: a wake function blocks. It is for the
// watchdog; a pump that stands still makes every stream look stalled.
func (p *Pump) Ping(ctx context.Context) error {
	answered := make(chan struct{})
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.ping.waiting = append(p.ping.waiting, answered)
	_, err := unix.Write(p.ping.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	p.mu.Unlock()
	if err != nil && err != unix.EAGAIN {
		return fmt.Errorf("cannot ping the pump: %w", err)
	}
	select {
	case <-answered:
		return nil
	case <-p.closing:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("the pump does not answer: %w", ctx.Err())
	}
}
