package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

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

// maxQueue bounds the packets that wait for a peer that does not read. Events
// are bounded by the children and answers by requests, which the server stops
// reading long before; so only a peer that is stuck for good gets here.
const maxQueue = 1 << 16

var errQueueFull = errors.New("the peer does not read")

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

// send sends m with fds beside it; they stay the caller's.
func (c *conn) send(m *message, fds []int) error {
	m.V = Version
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(data) > maxPacket {
		carrier, err := memfd("shim-message", data)
		if err != nil {
			return fmt.Errorf("cannot send %s of %d bytes: %w", m.Type, len(data), err)
		}
		defer unix.Close(carrier)
		data, err = json.Marshal(&message{V: Version, Type: msgMemfd})
		if err != nil {
			return err
		}
		fds = append([]int{carrier}, fds...)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.err != nil {
		return c.err
	}
	if len(c.queue) == 0 {
		err := sendPacket(c.fd, data, fds)
		if err == nil || !transient(err) {
			c.err = err
			return err
		}
	}
	if len(c.queue) >= maxQueue {
		c.err = errQueueFull
		return c.err
	}
	own, err := dupAll(fds)
	if err != nil {
		return fmt.Errorf("cannot queue %s: %w", m.Type, err)
	}
	c.queue = append(c.queue, packet{data, own})
	if !c.flushing {
		c.flushing = true
		go c.flush()
	}
	return nil
}

// flush sends the queue as the peer reads it.
func (c *conn) flush() {
	for {
		var last error
		waitErr := c.raw.Write(func(uintptr) bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			for len(c.queue) > 0 && !c.closed {
				p := c.queue[0]
				last = sendPacket(c.fd, p.data, p.fds)
				if last == unix.EAGAIN {
					return false
				}
				if last != nil && transient(last) {
					return true
				}
				closeAll(p.fds)
				c.queue = c.queue[1:]
				c.taken++
				c.shorter.Broadcast()
				if last != nil {
					c.err = last
					c.dropQueue()
				}
			}
			c.dropQueue()
			c.flushing = false
			return true
		})
		if waitErr != nil { // closed
			c.mu.Lock()
			c.dropQueue()
			c.flushing = false
			c.mu.Unlock()
			return
		}
		if last == nil || !transient(last) {
			return
		}
		// Too many descriptors in flight or no memory: nothing tells when
		// that is over.
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *conn) dropQueue() {
	for _, p := range c.queue {
		closeAll(p.fds)
	}
	c.queue = nil
	c.shorter.Broadcast()
}

// waitRoom waits until fewer than n packets wait for the peer, or the
// connection is closed.
func (c *conn) waitRoom(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) >= n && !c.closed && c.err == nil {
		c.shorter.Wait()
	}
}

// mute drops what is queued, and all that is sent from now on.
func (c *conn) mute() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errEOF
	if !c.flushing {
		c.dropQueue()
	}
	c.shorter.Broadcast()
}

// broken: nothing gets to the peer any more.
func (c *conn) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.err != nil
}

// drain waits for the peer to take what is queued, for as long as it goes on
// reading: one that has read nothing for the time given is stuck. The answer is
// how many packets are still queued.
func (c *conn) drain(most time.Duration) (left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stuck, taken, unread := false, c.taken, c.unread()
	var t *time.Timer
	t = time.AfterFunc(most, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			return
		}
		before := unread
		if unread = c.unread(); c.taken > taken || unread < before {
			taken = c.taken
			t.Reset(most)
			return
		}
		stuck = true
		c.shorter.Broadcast()
	})
	defer t.Stop()
	for len(c.queue) > 0 && !c.closed && c.err == nil && !stuck {
		c.shorter.Wait()
	}
	return len(c.queue)
}

// unread is how much of what was sent the peer has not read yet, as the kernel
// counts it. The queue says nothing for long: the socket takes more only when
// three quarters of what it holds have been read.
func (c *conn) unread() int {
	if c.closed {
		return 0
	}
	n, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// close drops what is queued.
func (c *conn) close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	if !c.flushing {
		c.dropQueue()
	}
	c.shorter.Broadcast()
	c.mu.Unlock()
	// Not under the lock: Close waits for flush to let go of the file, and flush,
	// in the middle of sending, for the lock. Nobody else touches c.fd once
	// closed is set.
	c.file.Close()
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
