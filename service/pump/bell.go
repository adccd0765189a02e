package pump

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// bell parks a goroutine until an epoll instance has something ready, by
// means of the Go runtime's poller and so without holding an OS thread.
//
// The runtime watches its descriptors edge-triggered and all the time, so an
// epoll instance given to it directly would wake a thread for each write to
// each pipe, wanted or not: 600 pipes with a write a second cost 17 ms of CPU
// a second that way. So another epoll instance stands between, which watches
// the first with EPOLLONESHOT: it rings once and is silent until asked again;
// the same pipes cost 5 ms, as with a thread that blocks in epoll_wait.
type bell struct {
	watched int      // the epoll instance to wait for
	between *os.File // the one that the runtime's poller knows
	conn    syscall.RawConn
}

func newBell(epfd int) (*bell, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	// os.NewFile registers only non-blocking descriptors with the poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Masked, for wait to unmask. That an empty mask leaves EPOLLHUP and
	// EPOLLERR does not matter: an epoll instance reports neither.
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, epfd, &unix.EpollEvent{}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	b := &bell{watched: epfd, between: os.NewFile(uintptr(fd), "epoll")}
	if b.conn, err = b.between.SyscallConn(); err != nil {
		b.between.Close()
		return nil, err
	}
	return b, nil
}

// wait returns when something is ready, at once if it is already, or with an
// error when the bell has been closed.
func (b *bell) wait() error {
	armed := false
	var failed error
	closed := b.conn.Read(func(fd uintptr) bool {
		if !armed {
			armed = true
			once := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
			if failed = unix.EpollCtl(int(fd), unix.EPOLL_CTL_MOD, b.watched, &once); failed != nil {
				return true
			}
		}
		var rung [1]unix.EpollEvent
		n, err := unix.EpollWait(int(fd), rung[:], 0)
		if err != nil && err != unix.EINTR {
			failed = err
			return true
		}
		return n > 0
	})
	if closed != nil {
		return closed
	}
	return failed
}

func (b *bell) close() error { return b.between.Close() }
