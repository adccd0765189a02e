package shim

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// conn is one end of the SOCK_SEQPACKET socket. receive is for one goroutine;
// send may be called by any and never blocks: what the socket does not take at
// once waits in a queue, with duplicates of its descriptors.
type conn struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
	oob  []byte

	mu       sync.Mutex
	fd       int // valid while !closed
	closed   bool
	err      error // why sending failed
	queue    []packet
	taken    int // packets of the queue that the peer has taken
	flushing bool
	shorter  *sync.Cond // the queue has become shorter, or the connection closed
}

type packet struct {
	data []byte
	fds  []int // owned by the queue
}

// newConn takes over fd, a connected SOCK_SEQPACKET socket.
func newConn(fd int, name string) (*conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	c := &conn{
		file: file, raw: raw, fd: fd,
		buf: make([]byte, maxPacket),
		oob: make([]byte, unix.CmsgSpace(4*(maxFDs+1))), // and a carrier
	}
	c.shorter = sync.NewCond(&c.mu)
	return c, nil
}

// socketPair makes a connected pair of ends.
func socketPair() (a, b int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("cannot make a socket pair: %w", err)
	}
	return p[0], p[1], nil
}

// errEOF says that the peer is gone.
var errEOF = errors.New("connection closed by the peer")

// malformed is an error about one packet; the connection can go on.
type malformed struct {
	seq uint64
	err error
}

func (e *malformed) Error() string { return e.err.Error() }
func (e *malformed) Unwrap() error { return e.err }

// receive waits for the next message. The descriptors belong to the caller.
// After a *malformed error the connection can go on; any other is final.
// EMFILE in a *malformed: there was no room for the descriptors.
func (c *conn) receive() (*message, []int, error) {
	var n, oobn, flags int
	var recvErr error
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			n, oobn, flags, _, recvErr = unix.Recvmsg(int(fd), c.buf, c.oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
			// The peer has closed without reading all of ours; told once, and
			// before what it has sent, which is still there.
			if recvErr != unix.ECONNRESET {
				break
			}
		}
		return recvErr != unix.EAGAIN && recvErr != unix.EINTR
	})
	if err == nil {
		err = recvErr
	}
	if err != nil {
		return nil, nil, err
	}
	fds, err := parseRights(c.oob[:oobn])
	if err != nil {
		return nil, nil, &malformed{0, err}
	}
	if n == 0 {
		closeAll(fds)
		return nil, nil, errEOF
	}
	m, err := c.message(c.buf[:n], &fds, flags)
	if err != nil {
		closeAll(fds)
		bad := &malformed{0, err}
		if m != nil {
			bad.seq = m.Seq
		}
		return m, nil, bad
	}
	return m, fds, nil
}

// message makes the message of one packet; a carrier is taken off fds.
func (c *conn) message(data []byte, fds *[]int, flags int) (*message, error) {
	if flags&unix.MSG_TRUNC != 0 {
		return nil, fmt.Errorf("packet longer than %d bytes", maxPacket)
	}
	m, err := decode(data, len(*fds))
	if flags&unix.MSG_CTRUNC != 0 {
		return m, fmt.Errorf("no room for the file descriptors of a message: %w", unix.EMFILE)
	}
	if err != nil || m.Type != msgMemfd {
		return m, err
	}
	if len(*fds) == 0 {
		return nil, errors.New("memfd message without a file descriptor")
	}
	carrier := (*fds)[0]
	*fds = (*fds)[1:]
	defer unix.Close(carrier)
	data, err = readMemfd(carrier, maxMessage)
	if err != nil {
		return nil, err
	}
	m, err = decode(data, len(*fds))
	if err == nil && m.Type == msgMemfd {
		err = errors.New("memfd message within a memfd message")
	}
	return m, err
}

func sendPacket(fd int, data []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		_, err := unix.SendmsgN(fd, data, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err
		}
	}
}

// transient: the same packet may be taken later. ETOOMANYREFS: more
// descriptors of this user are in flight than RLIMIT_NOFILE.
func transient(err error) bool {
	return err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.ENOMEM || err == unix.ETOOMANYREFS
}

// parseRights returns the descriptors beside a packet.
func parseRights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err == nil { // EINVAL: not SCM_RIGHTS
			fds = append(fds, got...)
		}
	}
	return fds, nil
}
