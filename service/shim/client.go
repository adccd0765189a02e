package shim

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Client is the keeper's side of a connection to a shim. Its methods may be
// called from any goroutine, from a Handler too (except Close), and none but
// IO, Ping, Reexec and Close waits for the shim.
type Client struct {
	conn    *conn
	handler Handler
	hello   Hello
	after   func() error // what is left to do once the connection has ended; says why, if it knows
	local   bool         // the server is in this process and keeps no duplicates
	stays   bool         // the server goes on when this client is gone
	doomed  map[ID]bool  // children nobody knows of: see spawnFailed. The reader's alone

	mu      sync.Mutex
	seq     uint64
	pending map[uint64]answer // nil once lost
	held    map[ID]holding    // children not both forgotten and empty
	left    bool
	err     error
	closing bool

	lost chan struct{}
}

// answer is called on the reader goroutine with the answer to a request, or
// with err alone when the shim is lost. The descriptors become its own.
type answer func(m *message, fds []int, err error)

// holding is what is needed to sweep up after a shim that was killed.
type holding struct {
	stream           string
	pid              int
	ticks            uint64
	forgotten, empty bool
}

// holdings are the children of which something may be left.
func (c *Client) holdings() map[ID]holding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.held)
}

// release notes that a child is forgotten or empty.
func (c *Client) release(id ID, what func(*holding)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.held[id]
	if !ok {
		return
	}
	what(&h)
	c.held[id] = h
	if h.forgotten && h.empty {
		delete(c.held, id)
	}
}

// connect does the handshake over c, which it takes over, and starts the
// reader goroutine. A shim that does not answer until deadline is an error.
func connect(c *conn, h Handler, deadline time.Time, prepare func(*Client)) (*Client, error) {
	cl := &Client{
		conn: c, handler: h,
		pending: map[uint64]answer{}, held: map[ID]holding{}, lost: make(chan struct{}),
		doomed: map[ID]bool{},
	}
	prepare(cl)
	c.file.SetReadDeadline(deadline)
	if err := cl.shakeHands(); err != nil {
		for _, held := range cl.hello.Children {
			held.close()
		}
		c.close()
		return nil, err
	}
	c.file.SetReadDeadline(time.Time{})
	go cl.read()
	return cl, nil
}

func (c *Client) shakeHands() error {
	err := c.conn.send(&message{Type: msgHello, Hello: &helloBody{Min: Version, Max: Version, PID: os.Getpid()}}, nil)
	if err != nil && !errors.Is(err, unix.EPIPE) { // then it has said why
		return fmt.Errorf("cannot greet the shim: %w", err)
	}
	for {
		m, fds, err := c.conn.receive()
		if err != nil {
			return fmt.Errorf("cannot take over from the shim: %w", err)
		}
		switch m.Type {
		case msgHello:
			if m.Hello == nil {
				return errors.New("cannot take over from the shim: hello without content")
			}
			c.hello = Hello{Protocol: m.Hello.Chosen, Version: m.Hello.Version, PID: m.Hello.PID, Notes: map[string][]byte{}}
		case msgChild:
			held, err := takeHeld(m, fds)
			if err != nil {
				return fmt.Errorf("cannot take over from the shim: %w", err)
			}
			c.hello.Children = append(c.hello.Children, *held)
			c.held[held.ID] = holding{stream: held.Stream, pid: held.PID, ticks: m.Child.Ticks, empty: held.Empty}
			continue
		case msgNote:
			c.hello.Notes[string(m.Stream)] = m.Blob
		case msgHelloEnd:
			closeAll(fds)
			return c.conn.send(&message{Type: msgReady}, nil)
		case msgError:
			closeAll(fds)
			return fmt.Errorf("the shim refuses: %w", fromWire(m.Error))
		}
		closeAll(fds)
	}
}

// read is the reader goroutine.
func (c *Client) read() {
	var err error
	for {
		var m *message
		var fds []int
		m, fds, err = c.conn.receive()
		var bad *malformed
		if errors.As(err, &bad) {
			c.badPacket(m, bad)
			continue
		}
		if err != nil {
			break
		}
		c.dispatch(m, fds)
	}
	c.conn.close()

	c.mu.Lock()
	pending := c.pending
	c.pending = nil
	switch {
	case c.closing:
		c.err = ErrClosed
	case c.left && err == errEOF:
		c.err = ErrLeft
	default:
		c.err = fmt.Errorf("%w: %v", ErrLost, err)
	}
	c.mu.Unlock()
	if c.after != nil {
		if why := c.after(); why != nil {
			c.mu.Lock()
			if !c.closing && !c.left {
				c.err = fmt.Errorf("%w: %v", ErrLost, why)
			}
			c.mu.Unlock()
		}
	}
	lost := c.Err()
	for _, seq := range slices.Sorted(maps.Keys(pending)) {
		pending[seq](nil, nil, lost)
	}
	close(c.lost)
}

// dispatch hands one message on.
func (c *Client) dispatch(m *message, fds []int) {
	switch m.Type {
	case msgExited:
		e := m.Exited.event()
		switch {
		case e == nil:
		case c.doomed[e.ID]:
			c.Forget(e.ID)
		default:
			c.handler(*e)
		}
	case msgEmpty:
		c.release(m.ID, func(h *holding) { h.empty = true })
		if c.doomed[m.ID] {
			delete(c.doomed, m.ID)
			break
		}
		c.handler(Empty{ID: m.ID, Stream: string(m.Stream), At: time.Unix(0, m.At)})
	case msgStopping:
		c.handler(Stopping{})
	case msgWarning:
		c.handler(Warning{Text: fromWire(m.Error).Error()})
	case msgSpawned, msgIO, msgPong, msgReexeced, msgError:
		if done := c.take(m.Seq); done != nil {
			if m.Type == msgError {
				closeAll(fds)
				done(m, nil, fromWire(m.Error))
			} else {
				done(m, fds, nil)
			}
			return
		}
		if m.Type == msgError {
			c.handler(Warning{Text: "shim: " + fromWire(m.Error).Error()})
		}
	}
	closeAll(fds)
}

// badPacket deals with a packet that could not be taken as it is. The one that
// matters: a child was started and there is no room for its descriptors.
func (c *Client) badPacket(m *message, bad *malformed) {
	if m != nil {
		if done := c.take(m.Seq); done != nil {
			done(m, nil, bad)
			return
		}
	}
	c.handler(Warning{Text: fmt.Sprintf("message from the shim: %v", bad)})
}

func (c *Client) take(seq uint64) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.pending[seq]
	delete(c.pending, seq)
	return done
}

// request sends m as a new request; done is called exactly once.
func (c *Client) request(m *message, fds []int, done answer) {
	c.mu.Lock()
	if c.pending == nil {
		c.mu.Unlock()
		go func() {
			<-c.lost // so that Err is final
			done(nil, nil, c.Err())
		}()
		return
	}
	c.seq++
	seq := c.seq
	c.pending[seq] = done
	c.mu.Unlock()
	m.Seq = seq
	if err := c.conn.send(m, fds); err != nil {
		c.mu.Lock()
		lost := c.pending == nil
		_, mine := c.pending[seq]
		delete(c.pending, seq)
		c.mu.Unlock()
		if mine && !lost {
			go done(nil, nil, err)
		}
	}
}

// send sends a message that has no answer.
func (c *Client) send(m *message) error {
	err := c.conn.send(m, nil)
	if err == nil {
		return nil
	}
	if lost := c.Err(); lost != nil {
		return lost
	}
	return fmt.Errorf("%w: %v", ErrLost, err)
}

// Hello is what the shim held when the client connected. The files in it
// belong to the first who calls.
func (c *Client) Hello() Hello {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hello
}

// Release drops what Hello has of children and notes, which may be a lot.
func (c *Client) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hello.Children, c.hello.Notes = nil, nil
}

// Stays says whether the shim goes on without this client: it was dialled.
func (c *Client) Stays() bool { return c.stays }

// Lost is closed when the shim is gone, after the last event and after every
// pending Spawn has failed. Where the shim was launched by this client, what
// it left behind has been killed by then.
func (c *Client) Lost() <-chan struct{} { return c.lost }

// Err says why the shim is gone; nil while it is there.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// closeWait is how long a shim may take nothing before it counts as stuck. On a
// host that is too busy it may be a second before it runs; and with the last
// messages it would miss that streams were stopped for good.
const closeWait = 5 * time.Second

// Close ends the connection, after what was sent before; a shim that takes
// nothing of it for a while is stuck, and the error says how much it has not
// heard. A shim in this process or launched by it stops its children (TERM, ten
// seconds unless set otherwise, KILL) and ends; Close waits for that. One that
// was dialled goes on alone.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	var err error
	if left := c.conn.drain(closeWait); left > 0 && !c.conn.broken() {
		err = fmt.Errorf("the shim does not listen: it has not heard the last %d messages", left)
	}
	c.conn.close()
	<-c.lost
	return err
}
