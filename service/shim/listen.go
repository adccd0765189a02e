package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// backlog: one keeper at a time, and some more to be told so.
const backlog = 16

// Listen makes a listening socket at path with the given mode. A socket left
// there by a shim that is gone is replaced; a live one's is an error.
func Listen(path string, mode os.FileMode) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot make a socket: %w", err)
	}
	bind := func() error { return unix.Bind(fd, &unix.SockaddrUnix{Name: path}) }
	err = bind()
	if err == unix.EADDRINUSE && abandoned(path) {
		if err = os.Remove(path); err == nil {
			err = bind()
		}
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return fd, nil
}

// abandoned: a socket is there and nobody listens.
func abandoned(path string) bool {
	st, err := os.Lstat(path)
	if err != nil || st.Mode()&os.ModeSocket == 0 {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) == unix.ECONNREFUSED
}

// listener accepts connections through the runtime's poller.
type listener struct {
	file *os.File
	raw  syscall.RawConn
	fd   int
	done chan struct{} // closed when its goroutine has ended
}

func newListener(fd int) (*listener, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "listening socket")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &listener{file: file, raw: raw, fd: fd}, nil
}

func (l *listener) accept() (int, error) {
	var fd int
	var acceptErr error
	err := l.raw.Read(func(lfd uintptr) bool {
		fd, _, acceptErr = unix.Accept4(int(lfd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return acceptErr != unix.EAGAIN && acceptErr != unix.EINTR && acceptErr != unix.ECONNABORTED
	})
	if err == nil {
		err = acceptErr
	}
	return fd, err
}

// resume goes on accepting after a pause, whether it has come into force or not.
func (l *listener) resume(s *Server) {
	l.file.SetReadDeadline(time.Time{})
	done := l.done
	go func() {
		<-done
		s.post(func() {
			if l.done == done {
				s.serve(l)
			}
		})
	}()
}

func (l *listener) close() { l.file.Close() }

// dialSocket connects to path. A listener whose backlog is full is tried again
// until ctx ends.
func dialSocket(ctx context.Context, path string) (int, error) {
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return -1, err
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if !errors.Is(err, unix.EAGAIN) { // unix(7): the backlog is full
			return -1, err
		}
		select {
		case <-ctx.Done():
			return -1, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// listen accepts keepers from now on.
func (s *Server) listen(fd int) error {
	l, err := newListener(fd)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	s.listener = l
	s.serve(l)
	return nil
}

// serve accepts connections until the server has ended or l is paused by a
// deadline in the past.
func (s *Server) serve(l *listener) {
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		for {
			fd, err := l.accept()
			if errors.Is(err, os.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			if err == nil {
				if !s.post(func() { s.accepted(fd) }) {
					unix.Close(fd)
				}
				continue
			}
			s.post(func() { s.warn("cannot accept a connection: %w", err) })
			select { // no descriptors left, as a rule; nothing tells when there are
			case <-s.done:
				return
			case <-time.After(time.Second):
			}
		}
	}()
}
