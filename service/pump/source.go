package pump

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// DefaultLimit is the most bytes a source keeps for Take, unless Add is told
// otherwise: what a Linux pipe holds (pipe(7)).
const DefaultLimit = 64 << 10

// FinishBound is the most bytes Finish and Drain read from the pipe itself,
// beyond what had been read before. A pipe may be enlarged to 1 MiB by anyone
// (/proc/sys/fs/pipe-max-size); more than that is still being written.
const FinishBound = 1 << 20

// Source is one pipe that a Pump reads. Take, Drain and Finish belong to the
// one goroutine that owns the stream.
type Source struct {
	pump  *Pump
	token uint64
	limit int
	room  int // what the pipe holds, or limit where that is less
	wake  func()

	mu      sync.Mutex
	fd      int    // -1: closed
	watched bool   // in the epoll instance
	buf     []byte // nil where empty
	woken   bool   // wake was called and Take was not yet
	eof     bool
	err     error
}

// Take answers what has been read since the last Take, nil for nothing, and
// whether that was all there will ever be. After eof, Err tells whether it
// was an ordinary end of file; Finish is still due.
//
// data is the caller's until it is given back as buf of a later Take, of this
// source or another; nil may be given instead. So the owner's answer to wake
// is
//
//	for data, eof := s.Take(nil); ; data, eof = s.Take(data) {
//		parse(data)
//		if eof || len(data) == 0 {
//			break
//		}
//	}
//
// which never holds a buffer longer than it needs it.
func (s *Source) Take(buf []byte) (data []byte, eof bool) {
	putBuffer(buf)
	s.mu.Lock()
	defer s.mu.Unlock()
	data, s.buf = s.buf, nil
	s.woken = false
	if s.fd >= 0 && !s.watched {
		if err := s.watch(); err != nil {
			s.end(err)
		}
	}
	return data, s.eof
}

// Err answers why reading ended: nil at an ordinary end of file or after
// Finish, ErrClosed after the pump was closed, else the read error (EIO from
// a terminal whose other side is gone).
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Finish stops reading, closes the file, and answers what Take has not: what
// is buffered and what the pipe still holds, up to FinishBound. It never
// waits, even where another process holds the pipe open and goes on writing.
// A second call answers nil.
func (s *Source) Finish() []byte {
	s.mu.Lock()
	data := s.readNow()
	s.end(nil)
	s.mu.Unlock()
	s.pump.forget(s.token)
	return data
}

// Leave stops reading, closes the file, and answers what Take has not. What
// the pipe still holds stays there, for whoever reads it next: with Take's,
// every byte is read once. It belongs to the goroutine that owns the stream.
func (s *Source) Leave() []byte {
	s.mu.Lock()
	data := s.buf
	s.buf = nil
	s.end(nil)
	s.mu.Unlock()
	s.pump.forget(s.token)
	return data
}

// begin has the source watched for the first time.
func (s *Source) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return ErrClosed // by Close, in between
	}
	if err := s.watch(); err != nil {
		s.end(err)
		return err
	}
	return nil
}

// abort ends the source because the pump is being closed.
func (s *Source) abort() {
	s.mu.Lock()
	if s.fd < 0 {
		s.mu.Unlock()
		return
	}
	s.end(ErrClosed)
	wake := !s.woken
	s.woken = true
	s.mu.Unlock()
	if wake {
		s.wake()
	}
}

// read reads what is ready, up to the limit, and answers how many bytes that
// were and whether wake is due. Only the pump's goroutine calls it.
func (s *Source) read() (got int, wake bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 || !s.watched {
		return 0, false // finished, or full, after epoll_wait had answered
	}
	for {
		if len(s.buf) >= s.limit {
			s.unwatch()
			break
		}
		s.buf = growBuffer(s.buf, s.limit)
		room := s.buf[len(s.buf):min(cap(s.buf), s.limit)]
		n, err := read(s.fd, room)
		if n > 0 {
			s.buf = s.buf[:len(s.buf)+n]
			got += n
		}
		switch {
		case err == unix.EAGAIN:
		case err != nil:
			s.end(err)
		case n == 0:
			s.end(nil)
		case n == len(room):
			continue // there may be more
		}
		break
	}
	if len(s.buf) == 0 && s.buf != nil {
		putBuffer(s.buf)
		s.buf = nil
	}
	if s.woken || len(s.buf) == 0 && !s.eof {
		return got, false
	}
	s.woken = true
	return got, true
}

// The rest is called with the lock held.

func (s *Source) watch() error {
	err := control(s.pump.epfd, unix.EPOLL_CTL_ADD, s.fd, s.token)
	s.watched = err == nil
	return err
}

func (s *Source) unwatch() {
	if s.watched {
		control(s.pump.epfd, unix.EPOLL_CTL_DEL, s.fd, s.token)
		s.watched = false
	}
}

// end closes the file; a source ends once.
func (s *Source) end(err error) {
	if s.fd < 0 {
		return
	}
	s.unwatch()
	unix.Close(s.fd)
	s.fd, s.eof, s.err = -1, true, err
}

func read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
