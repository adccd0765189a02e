package journal

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// socket is journald's socket as a sink. It never waits: it is non-blocking, and
// whether journald takes more is left to the queue to try again, because poll
// would wake for every single record that a busy journald takes.
//
// go-systemd's journal.Send serves for a record now and then. It takes three
// times the CPU time (a map, 16 allocations and a path look-up a record: 3.1 µs
// against 1.0, see BenchmarkSend) and waits in sendmsg while journald is stopped.
type socket struct {
	path    string
	fd      int       // connected, or -1
	stuck   time.Time // since when journald has taken nothing; zero: it takes
	scratch []byte
}

func newSocket(path string) *socket { return &socket{path: path, fd: -1} }

// lateAfter is how long a record may have waited before its own time is sent
// with it; journald's is that of its arrival.
const lateAfter = time.Second

func (s *socket) send(b *batch, from int) (done, lost int) {
	now := time.Now()
	for i := from; i < len(b.records); i++ {
		record := b.record(i)
		if at := b.records[i].at; !at.IsZero() && now.Sub(at) > lateAfter {
			s.scratch = append(s.scratch[:0], record...)
			s.scratch = fmt.Appendf(s.scratch, "FFKEEPER_TIME=%s\n", at.Format("2006-01-02T15:04:05.000000Z07:00"))
			record = s.scratch
		}
		switch err := s.sendOne(record); {
		case err == nil:
			s.stuck = time.Time{}
			done++
		case isTransient(err):
			if s.stuck.IsZero() {
				s.stuck = now
			} else if now.Sub(s.stuck) > reconnectAfter {
				s.disconnect() // another journald may have taken the path over
				s.stuck = now
			}
			return done, lost
		default: // nothing that journald would ever take
			done++
			lost++
		}
	}
	return done, lost
}

// reconnectAfter is after how long a journald that takes nothing is looked for anew.
const reconnectAfter = time.Second

// sendOne sends one record, connecting first where that is needed.
func (s *socket) sendOne(record []byte) error {
	for attempt := 0; ; attempt++ {
		if s.fd < 0 {
			if err := s.connect(); err != nil {
				return err
			}
		}
		_, err := unix.Write(s.fd, record)
		if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
			err = s.sendFile(record)
		}
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTCONN), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
			s.disconnect()
			if attempt == 0 {
				continue // journald's socket is another one now
			}
		}
		return err
	}
}

func (s *socket) connect() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: s.path}); err != nil {
		_ = unix.Close(fd)
		return err
	}
	s.fd = fd
	return nil
}

func (s *socket) disconnect() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

// sendFile sends a record that no datagram can hold as a sealed memory file.
func (s *socket) sendFile(record []byte) error {
	fd, err := unix.MemfdCreate("ffkeeper-journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for rest := record; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	return unix.Sendmsg(s.fd, nil, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
}

// isTransient reports whether a record that failed with err may be taken later.
func isTransient(err error) bool {
	for _, e := range [...]error{
		unix.EAGAIN,                                   // journald is busy or stopped
		unix.ECONNREFUSED, unix.ENOENT, unix.ENOTCONN, // or being restarted
		unix.ECONNRESET, unix.EPIPE, unix.EACCES, //
		unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, // or the machine is in need
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *socket) close() { s.disconnect() }
