package service

import (
	"context"
	"errors"
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
)

var errShimLost = fmt.Errorf("not connected: %w", shim.ErrLost)

// connection is a client and which one it is since the keeper began.
type connection struct {
	*shim.Client
	number uint64
}

// local is the shim's own number of a child; false: it is of another shim.
func (c *connection) local(id shim.ID) (shim.ID, bool) {
	number, local := stream.LocalID(id)
	return local, number == c.number
}

// link is the one connection to the shim, whichever that is at the moment.
type link struct {
	connect ShimConnector
	log     *slog.Logger
	event   func(shim.Event)
	lost    func()
	back    func()

	client atomic.Pointer[connection]
	number uint64 // of the newest connection; only dial touches it
	closed atomic.Bool
	failed chan error // capacity 1: the keeper cannot go on

	mu    sync.Mutex
	wait  bool         // events are held back until deliver
	early []shim.Event // in the meantime
}

// open connects for the first time.
func (l *link) open(ctx context.Context) error {
	c, err := l.dial(ctx)
	if err == nil {
		l.client.Store(c)
	}
	return err
}

// dial connects. Events are held back until deliver, so that whom they are
// about can be made first.
func (l *link) dial(ctx context.Context) (*connection, error) {
	l.mu.Lock()
	l.wait, l.early = true, nil
	l.mu.Unlock()
	l.number++
	number := l.number
	c, err := l.connect(ctx, func(ev shim.Event) { l.handle(number, ev) })
	if err != nil {
		return nil, err
	}
	return &connection{c, number}, nil
}

// handle takes the shim's events, on its reader's goroutine.
func (l *link) handle(number uint64, ev shim.Event) {
	switch e := ev.(type) {
	case shim.Exited:
		e.ID = stream.GlobalID(number, e.ID)
		ev = e
	case shim.Empty:
		e.ID = stream.GlobalID(number, e.ID)
		ev = e
	case shim.Warning:
		l.log.Warn(e.Text)
		return
	}
	l.mu.Lock()
	if l.wait {
		l.early = append(l.early, ev)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.event(ev)
}

// deliver lets events through, those held back first.
func (l *link) deliver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range l.early {
		l.event(ev)
	}
	l.wait, l.early = false, nil
}

// inherited is what the shim holds of an earlier keeper's streams.
func (l *link) inherited() map[string]*stream.Inheritance {
	c := l.client.Load()
	hello := c.Hello()
	children := make([]*shim.Held, len(hello.Children))
	for i := range hello.Children {
		held := hello.Children[i]
		held.ID = stream.GlobalID(c.number, held.ID)
		if held.Exited != nil {
			exited := *held.Exited
			exited.ID = held.ID
			held.Exited = &exited
		}
		children[i] = &held
	}
	return stream.Inheritances(hello.Notes, children)
}

// lasting: the shim goes on when this keeper is gone.
func (l *link) lasting() bool { return l.client.Load().Stays() }

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
		c := l.redial(ctx)
		if c == nil {
			return
		}
		// Only then: whoever uses it before might start a second process of
		// what still runs, or overwrite what is noted of it.
		if err := c.renewed(); err != nil {
			c.Close()
			l.failed <- err
			return
		}
		l.client.Store(c)
		l.deliver()
		l.client.Load().Release()
		l.log.Info("connected to a new shim")
		l.back()
	}
}

// renewed says whether the shim connected to is another than before, and so
// has nothing. The same one, of which only the connection was lost, still has
// every process, and the streams here know no longer which; a keeper that
// starts anew takes them over as they are.
func (c *connection) renewed() error {
	for _, held := range c.Hello().Children {
		if !held.Empty {
			return fmt.Errorf("the connection to the shim was lost, and the shim was not: it still holds process %d of %s", held.PID, held.Stream)
		}
	}
	return nil
}

// redial connects to the next shim there is; nil: ctx has ended.
func (l *link) redial(ctx context.Context) *connection {
	for wait := linkRetryFirst; ; wait = min(2*wait, linkRetryMost) {
		c, err := l.dial(ctx)
		if err == nil {
			return c
		}
		l.log.Error("cannot reach a shim", "error", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return nil
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

// stop tells a shim that is being stopped to end all processes by itself.
func (l *link) stop() {
	if c := l.current(); c != nil {
		c.Stop() // a lost one has done so
	}
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
func (l *link) close() error {
	l.closed.Store(true)
	if c := l.client.Load(); c != nil {
		return c.Close()
	}
	return nil
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
			child.ID = stream.GlobalID(c.number, child.ID)
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

func (l *link) Note(key string, blob []byte) error {
	c := l.current()
	if c == nil {
		return nil // the next shim is told all anew
	}
	if err := c.Note(key, blob); !errors.Is(err, shim.ErrLost) {
		return err
	}
	return nil
}

// flush waits until the shim has dealt with all that was sent.
func (l *link) flush(ctx context.Context) error {
	c := l.current()
	if c == nil {
		return errShimLost
	}
	return c.Ping(ctx)
}

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
		out[stream.GlobalID(c.number, id)] = counters
	}
	return out, nil
}
