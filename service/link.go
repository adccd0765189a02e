package service

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// ShimConnector makes a connection to a shim: in this process, a child, or
// through a socket. It is called again when that shim is lost.
type ShimConnector func(ctx context.Context, h shim.Handler) (*shim.Client, error)

// Distances of attempts to reach a shim.
const (
	linkRetryFirst = 50 * time.Millisecond
	linkRetryMost  = 5 * time.Second
	// leftoverWait is how long a shim's processes of an earlier keeper may
	// take to end before theirs is taken as stuck.
	leftoverWait = 10 * time.Second
)

var errShimLost = fmt.Errorf("not connected: %w", shim.ErrLost)

// Each shim counts its children from 1. To the streams an ID also says which
// shim it is of, so that what a stream that has not heard of a loss yet asks
// for never hits a child of the next shim.
const shimShift = 40

func globalID(shimNumber uint64, id shim.ID) shim.ID { return shim.ID(shimNumber<<shimShift) | id }

// connection is a client and which one it is since the keeper began.
type connection struct {
	*shim.Client
	number uint64
}

// local is the shim's own number of a child; false: it is of another shim.
func (c *connection) local(id shim.ID) (shim.ID, bool) {
	return id & (1<<shimShift - 1), uint64(id)>>shimShift == c.number
}

// link is the one connection to the shim, whichever that is at the moment.
type link struct {
	connect ShimConnector
	log     *slog.Logger
	event   func(shim.Event)
	lost    func()
	back    func()

	client atomic.Pointer[connection]
	number uint64 // of the newest connection; only open touches it
	closed atomic.Bool
	poke   chan struct{} // capacity 1: something has ended

	mu    sync.Mutex
	ended map[shim.ID]bool // of which nothing is left, while clear looks on
}

// open connects, and ends what the shim still holds for an earlier keeper: no
// stream may run twice.
func (l *link) open(ctx context.Context) error {
	l.mu.Lock()
	l.ended = make(map[shim.ID]bool)
	l.mu.Unlock()
	l.number++
	number := l.number
	c, err := l.connect(ctx, func(ev shim.Event) { l.handle(number, ev) })
	if err != nil {
		return err
	}
	if err := l.clear(ctx, c); err != nil {
		c.Close()
		return err
	}
	l.mu.Lock()
	l.ended = nil
	l.mu.Unlock()
	l.client.Store(&connection{c, number})
	return nil
}

// handle takes the shim's events: those of leftovers are for clear.
func (l *link) handle(number uint64, ev shim.Event) {
	switch e := ev.(type) {
	case shim.Exited:
		e.ID = globalID(number, e.ID)
		ev = e
	case shim.Empty:
		l.mu.Lock()
		if l.ended != nil {
			l.ended[e.ID] = true
		}
		l.mu.Unlock()
		select {
		case l.poke <- struct{}{}:
		default:
		}
		e.ID = globalID(number, e.ID)
		ev = e
	case shim.Warning:
		l.log.Warn(e.Text)
		return
	}
	l.event(ev)
}

// clear ends what an earlier keeper left.
func (l *link) clear(ctx context.Context, c *shim.Client) error {
	hello := c.Hello()
	left := 0
	for _, held := range hello.Children {
		for _, f := range []*os.File{held.PIDFD, held.Stdin, held.Stdout, held.Stderr, held.Progress} {
			if f != nil {
				f.Close()
			}
		}
		if !held.Empty {
			left++
			l.log.Warn("ending a process of an earlier keeper", "FFKEEPER_STREAM", held.Stream, "FFKEEPER_PID", held.PID)
			c.Kill(held.ID)
		}
		c.Forget(held.ID)
	}
	if left == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leftoverWait)
	defer cancel()
	for _, held := range hello.Children {
		for !held.Empty && !l.hasEnded(held.ID) {
			select {
			case <-l.poke:
			case <-c.Lost():
				return c.Err()
			case <-ctx.Done():
				return fmt.Errorf("process %d of stream %s, of an earlier keeper, does not end", held.PID, held.Stream)
			}
		}
	}
	return nil
}

func (l *link) hasEnded(id shim.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[id]
}

// run watches the shim and replaces a lost one until ctx ends.
func (l *link) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.client.Load().Lost():
		}
		if l.closed.Load() {
			return
		}
		l.log.Error("the shim is gone", "error", l.client.Load().Err())
		l.lost()
		if !l.reopen(ctx) {
			return
		}
		l.log.Info("connected to a new shim")
		l.back()
	}
}

func (l *link) reopen(ctx context.Context) bool {
	for wait := linkRetryFirst; ; wait = min(2*wait, linkRetryMost) {
		err := l.open(ctx)
		if err == nil {
			return true
		}
		l.log.Error("cannot reach a shim", "error", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// current is the client, or nil where the shim is gone.
func (l *link) current() *connection {
	c := l.client.Load()
	if c == nil {
		return nil
	}
	select {
	case <-c.Lost():
		return nil
	default:
		return c
	}
}

// leave tells the shim to end once nothing of any stream is left.
func (l *link) leave() error {
	if c := l.current(); c != nil {
		l.closed.Store(true) // its end is no loss
		return c.Leave()
	}
	return nil
}

// user is who the shim, and so every stream, runs as; "" where that cannot be
// told.
func (l *link) user() string {
	c := l.client.Load()
	if c == nil {
		return ""
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d", c.Hello().PID))
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	u, err := user.LookupId(fmt.Sprint(stat.Uid))
	if err != nil {
		return ""
	}
	return u.Username
}

// close ends the connection; the shim leaves when its children are gone.
func (l *link) close() {
	l.closed.Store(true)
	if c := l.client.Load(); c != nil {
		c.Close()
	}
}

// The rest is stream.Shim.
var _ stream.Shim = (*link)(nil)

func (l *link) Spawn(req shim.SpawnRequest, extra []*os.File, done func(*shim.Child, error)) {
	c := l.current()
	if c == nil {
		done(nil, errShimLost)
		return
	}
	c.Spawn(req, extra, func(child *shim.Child, err error) {
		if child != nil {
			child.ID = globalID(c.number, child.ID)
		}
		done(child, err)
	})
}

// about runs f with the shim that has the child and its number there.
func (l *link) about(id shim.ID, f func(c *shim.Client, id shim.ID) error) error {
	if c := l.current(); c != nil {
		if id, ok := c.local(id); ok {
			return f(c.Client, id)
		}
	}
	return errShimLost
}

func (l *link) Signal(id shim.ID, sig syscall.Signal, scope shim.Scope) error {
	return l.about(id, func(c *shim.Client, id shim.ID) error { return c.Signal(id, sig, scope) })
}

func (l *link) Kill(id shim.ID) error { return l.about(id, (*shim.Client).Kill) }

func (l *link) CloseEnd(id shim.ID, end shim.End) error {
	return l.about(id, func(c *shim.Client, id shim.ID) error { return c.CloseEnd(id, end) })
}

func (l *link) Forget(id shim.ID) error { return l.about(id, (*shim.Client).Forget) }

func (l *link) IO(ctx context.Context, ids []shim.ID) (map[shim.ID]shim.IO, error) {
	c := l.current()
	if c == nil {
		return nil, errShimLost
	}
	own := make([]shim.ID, 0, len(ids))
	for _, id := range ids {
		if id, ok := c.local(id); ok {
			own = append(own, id)
		}
	}
	io, err := c.IO(ctx, own)
	if err != nil {
		return nil, err
	}
	out := make(map[shim.ID]shim.IO, len(io))
	for id, counters := range io {
		out[globalID(c.number, id)] = counters
	}
	return out, nil
}
