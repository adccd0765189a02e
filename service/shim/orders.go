package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

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
		c.held[child.ID] = holding{stream: child.Stream, pid: child.PID, ticks: m.Child.Ticks}
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

// Note leaves a blob of at most 4 MiB with the shim, for the keeper that
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
	c.release(id, func(h *holding) { h.forgotten = true })
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

// Stop makes the shim stop all children by itself (TERM, its stop wait, KILL)
// and then end. It is the answer to [Stopping] of a keeper that has nothing
// better to do about it; without an answer the shim does so after two seconds.
func (c *Client) Stop() error { return c.send(&message{Type: msgStop}) }

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

// Reexec makes the shim go on as program ("": the one it was started from), in
// place, with the same children, descriptors and connection. It returns when
// the new program has taken over, or with the reason why the old one goes on.
func (c *Client) Reexec(ctx context.Context, program string) error {
	_, err := c.roundTrip(ctx, &message{Type: msgReexec, Path: text(program)})
	return err
}
