package shim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
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
	doomed  map[ID]bool  // children nobody knows of: see spawnFailed. The reader's alone

	mu      sync.Mutex
	seq     uint64
	pending map[uint64]answer // nil once lost
	held    map[ID]holding    // children not forgotten
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
	stream string
	pid    int
	ticks  uint64
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
			c.held[held.ID] = holding{held.Stream, held.PID, m.Child.Ticks}
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
		if c.doomed[m.ID] {
			delete(c.doomed, m.ID)
			break
		}
		c.handler(Empty{ID: m.ID, Stream: string(m.Stream), At: time.Unix(0, m.At)})
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
func (c *Client) Hello() Hello { return c.hello }

// Spawn starts a process. It does not wait: done is called exactly once, with
// a child or an error (a *SpawnError where the shim answered, else one that is
// ErrLost), on the reader goroutine and before any event of that child; on a
// goroutine of its own where the request could not even be sent. The child
// gets extra from fd 4 on; the files stay the caller's and may be closed when
// Spawn has returned.
func (c *Client) Spawn(req SpawnRequest, extra []*os.File, done func(*Child, error)) {
	if req.Path == "" && len(req.Argv) > 0 {
		req.Path = req.Argv[0]
	}
	fds, names, err := extraFDs(extra)
	if err != nil {
		go done(nil, &SpawnError{Path: req.Path, Op: "pass extra files", Err: err})
		return
	}
	m := &message{Type: msgSpawn, FDs: names, Spawn: req.body()}
	answered := func(m *message, fds []int, err error) {
		if err != nil {
			c.spawnFailed(req, m, err, done)
			return
		}
		child, err := takeChild(m, fds)
		if err != nil {
			c.spawnFailed(req, m, err, done)
			return
		}
		c.mu.Lock()
		c.held[child.ID] = holding{child.Stream, child.PID, m.Child.Ticks}
		c.mu.Unlock()
		done(child, nil)
	}
	c.request(m, fds, answered)
	closeAll(fds)
}

// spawnFailed reports a failure. A child whose descriptors did not get through
// runs with nobody to read its pipes, so it must go.
func (c *Client) spawnFailed(req SpawnRequest, m *message, err error, done func(*Child, error)) {
	var bad *malformed
	if errors.As(err, &bad) {
		if m != nil && m.Child != nil {
			c.doomed[m.Child.ID] = true
			c.Kill(m.Child.ID)
		}
		errno := error(bad)
		if errors.Is(bad, unix.EMFILE) {
			errno = syscall.EMFILE
		}
		err = &SpawnError{Path: req.Path, Op: "receive its file descriptors", Err: errno}
	}
	done(nil, err)
}

// Signal sends sig to a child. It does not wait; a child that has ended is no
// error. The only error is a lost shim.
func (c *Client) Signal(id ID, sig syscall.Signal, scope Scope) error {
	return c.send(&message{Type: msgSignal, ID: id, Signal: int(sig), Scope: scope})
}

// Kill ends a child with SIGKILL: its group, and every process known to be of
// it, again and again until Empty. It does not wait.
func (c *Client) Kill(id ID) error {
	return c.send(&message{Type: msgKill, ID: id})
}

// Note leaves a blob of at most 64 KiB with the shim, for the keeper that
// connects next; it replaces the stream's earlier one. An empty blob removes
// it.
func (c *Client) Note(stream string, blob []byte) error {
	if len(blob) > maxNote {
		return fmt.Errorf("note of %s: %d bytes; at most %d are kept", stream, len(blob), maxNote)
	}
	return c.send(&message{Type: msgNote, Stream: text(stream), Blob: blob})
}

// Forget acknowledges the exit of a child: the shim drops it once it is empty
// (Empty is still sent) and closes its duplicates of the pipes now. A child
// that runs is not forgotten.
func (c *Client) Forget(id ID) error {
	c.mu.Lock()
	delete(c.held, id)
	c.mu.Unlock()
	return c.send(&message{Type: msgForget, ID: id})
}

// CloseEnd makes the shim close its duplicate of one end of a child's pipes.
// Only then does closing the caller's own file reach the child, as end of file
// on stdin or EPIPE on stdout. (Shutting down a Socket stdin needs no CloseEnd.)
func (c *Client) CloseEnd(id ID, end End) error {
	if c.local {
		return nil
	}
	return c.send(&message{Type: msgClose, ID: id, End: end})
}

// IO reads the counters of the given children. Those that have ended, or
// cannot be read, are missing in the answer.
func (c *Client) IO(ctx context.Context, ids []ID) (map[ID]IO, error) {
	m, err := c.roundTrip(ctx, &message{Type: msgIO, IDs: ids})
	if err != nil {
		return nil, err
	}
	return m.IO, nil
}

// Ping waits until the shim's one goroutine has answered.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.roundTrip(ctx, &message{Type: msgPing})
	return err
}

// Leave makes the shim end once it holds no process any more; it takes no new
// children from now on.
func (c *Client) Leave() error {
	c.mu.Lock()
	c.left = true
	c.mu.Unlock()
	return c.send(&message{Type: msgLeave})
}

// roundTrip sends a request and waits for its answer.
func (c *Client) roundTrip(ctx context.Context, m *message) (*message, error) {
	type result struct {
		m   *message
		err error
	}
	ch := make(chan result, 1)
	c.request(m, nil, func(m *message, fds []int, err error) {
		closeAll(fds)
		ch <- result{m, err}
	})
	select {
	case r := <-ch:
		return r.m, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: no answer from the shim: %w", m.Type, ctx.Err())
	}
}

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

// Close ends the connection. A shim in this process or launched by it stops
// its children (TERM, ten seconds unless set otherwise, KILL) and ends; Close
// waits for that. One that was dialled goes on alone.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.conn.close()
	<-c.lost
	return nil
}

// extraFDs duplicates the files to pass. They are not read through Fd, which
// would set them to blocking mode.
func extraFDs(files []*os.File) (fds []int, names []string, err error) {
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			ctlErr := raw.Control(func(fd uintptr) {
				var n int
				if n, err = dup(int(fd)); err == nil {
					fds = append(fds, n)
				}
			})
			if err == nil {
				err = ctlErr
			}
		}
		if err != nil {
			closeAll(fds)
			return nil, nil, err
		}
		names = append(names, "extra")
	}
	if len(fds) > maxFDs {
		closeAll(fds)
		return nil, nil, fmt.Errorf("%d files; at most %d can be passed", len(fds), maxFDs)
	}
	return fds, names, nil
}
