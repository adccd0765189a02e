package wire

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// Answers to calls wait until less than this is queued: long ones earlier
	// than short ones, so that a short one never waits for many long ones of
	// others, which a busy dbus-daemon takes 2 KiB at a time.
	outboxSoft     = 128 << 10
	outboxSoftLong = 32 << 10
	longMessage    = 4 << 10

	// outboxHard is where a bus counts as hung. A message may be larger.
	outboxHard = 64 << 20
	// segmentSize is about what one write carries.
	segmentSize = 64 << 10
)

var errBacklog = errors.New("the bus does not take our messages any more")

// outbox is what waits to be written. Small messages are written together: a
// hundred streams that change at once cost a few writes.
type outbox struct {
	mu     sync.Mutex
	change sync.Cond // of everything below
	queue  []segment
	size   int // bytes queued or being written
	hard   int // outboxHard
	closed bool
}

// segment is one write: several messages, or one with its descriptor.
type segment struct {
	data []byte
	fd   int
}

func (o *outbox) init() {
	o.change.L = &o.mu
	o.hard = outboxHard
}

// put queues a message; it reports false when the box is closed or the
// backlog is beyond reason. The descriptor is the box's, either way.
func (o *outbox) put(data []byte, fd int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.append(data, fd)
}

// putPatiently is put for who can wait until little is queued.
func (o *outbox) putPatiently(data []byte, fd int) bool {
	soft := outboxSoft
	if len(data) > longMessage {
		soft = outboxSoftLong
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size > soft && !o.closed {
		o.change.Wait()
	}
	return o.append(data, fd)
}

func (o *outbox) append(data []byte, fd int) bool {
	if o.closed || o.size > o.hard {
		closeFD(fd)
		return false
	}
	o.size += len(data)
	if n := len(o.queue); n > 0 && fd == noFD {
		last := &o.queue[n-1]
		if last.fd == noFD && len(last.data)+len(data) <= segmentSize {
			last.data = append(last.data, data...)
			return true
		}
	}
	o.queue = append(o.queue, segment{data, fd})
	o.change.Broadcast()
	return true
}

// next waits for something to write. What it hands out counts as queued until
// the next call says how much was written.
func (o *outbox) next(written int) ([]segment, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= written
	if written > 0 {
		o.change.Broadcast()
	}
	for len(o.queue) == 0 && !o.closed {
		o.change.Wait()
	}
	queue := o.queue
	o.queue = nil
	return queue, !o.closed
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, s := range o.queue {
		closeFD(s.fd)
	}
	o.queue = nil
	o.change.Broadcast()
}

// Flush waits until everything queued so far, and perhaps more, is written.
func (c *Conn) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		c.out.change.Broadcast()
	})
	defer stop()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	for c.out.size > 0 && !c.out.closed && ctx.Err() == nil {
		c.out.change.Wait()
	}
	return ctx.Err()
}

func (c *Conn) write() {
	for written := 0; ; {
		queue, ok := c.out.next(written)
		written = 0
		var err error
		for _, s := range queue {
			if err == nil && ok {
				err = c.writeSegment(s)
			}
			closeFD(s.fd)
			written += len(s.data)
		}
		if err != nil {
			c.fail(err)
		}
		if !ok || err != nil {
			return
		}
	}
}

func (c *Conn) writeSegment(s segment) error {
	data := s.data
	if s.fd != noFD {
		// The descriptor belongs to the message's beginning.
		n, _, err := c.sock.WriteMsgUnix(data, unix.UnixRights(s.fd), nil)
		if n == 0 && (errors.Is(err, unix.ETOOMANYREFS) || errors.Is(err, unix.EMFILE)) {
			return nil // too many on their way; the caller gets no reply, all others do
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	_, err := c.sock.Write(data)
	return err
}
