package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// maxQueue bounds the packets that wait for a peer that does not read. Events
// are bounded by the children and answers by requests, which the server stops
// reading long before; so only a peer that is stuck for good gets here.
const maxQueue = 1 << 16

var errQueueFull = errors.New("the peer does not read")

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
