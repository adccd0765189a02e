package dbusapi

import (
	"context"
	"errors"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
)

const (
	// feedBuffer is how many events may wait for the loop. It never waits for
	// the bus, so this is for bursts: a thousand streams stopped at once.
	feedBuffer = 8192

	// A bus that restarts is back within a second; one that is gone need not
	// be asked often.
	firstRetry = 20 * time.Millisecond
	lastRetry  = 5 * time.Second

	// flushTimeout bounds how long the last signals may take.
	flushTimeout = time.Second
)

// opened is the outcome of an attempt to connect.
type opened struct {
	session *session
	err     error
}

// loop is the state of Run.
type loop struct {
	*Server
	announcer announcer
	feed      *service.Subscription
	running   context.Context // ends when Run does
	session   *session        // nil: no bus
	attempts  chan opened
	trying    bool // an attempt is under way
	retry     *time.Timer
	delay     time.Duration
	complaint string // the last one logged, so that it is logged once
}

// Run serves until ctx ends, and returns nil then. It returns an error only
// when at the first attempt the name cannot be had: it is taken, or the bus's
// policy does not allow it. A bus that is not there yet is waited for, as one
// that goes away is.
func (s *Server) Run(ctx context.Context) error {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	l := &loop{
		Server:    s,
		announcer: announcer{server: s},
		running:   running,
		feed:      s.api.Subscribe(feedBuffer),
		attempts:  make(chan opened, 1),
		retry:     time.NewTimer(0),
		delay:     firstRetry,
	}
	defer func() { l.feed.Close() }()
	defer l.retry.Stop()
	// Asks l for its feed each time: another takes its place in resubscribe.
	l.announcer.waiting = func() int { return len(l.feed.C) }
	l.announcer.begin(s.api.Cores())
	for {
		select {
		case e, ok := <-l.feed.C:
			if ok {
				l.announcer.event(e)
			} else if ctx.Err() == nil {
				l.resubscribe()
			}
		case <-l.retry.C:
			l.trying = true
			go func() {
				session, err := s.open(ctx, running)
				l.attempts <- opened{session, err}
			}()
		case a := <-l.attempts:
			l.trying = false
			if err := l.attempted(ctx, a); err != nil {
				return err
			}
		case <-l.lost():
			l.log.Warn("lost the "+s.busText()+"; connecting again", "error", l.session.conn.Err())
			l.drop()
			l.retry.Reset(0)
		case answer := <-s.pings:
			answer <- l.announcer.conn
		case <-ctx.Done():
			l.end()
			return nil
		}
	}
}

// lost is closed when the connection is; nil, which never is, without one.
func (l *loop) lost() <-chan struct{} {
	if l.session == nil {
		return nil
	}
	return l.session.conn.Done()
}

func (l *loop) attempted(ctx context.Context, a opened) error {
	if a.err == nil {
		l.session = a.session
		l.announcer.conn = a.session.conn
		l.delay, l.complaint = firstRetry, ""
		l.readyOnce.Do(func() { close(l.ready) })
		l.log.Debug("serving on the "+l.busText(), "name", busName, "unique", a.session.conn.UniqueName())
		return nil
	}
	if ctx.Err() != nil {
		return nil // Run is about to end
	}
	var name errName
	if errors.As(a.err, &name) && !l.wasReady() {
		return a.err
	}
	if text := a.err.Error(); text != l.complaint {
		l.complaint = text
		l.log.Warn(text + "; trying again")
	}
	l.retry.Reset(l.delay)
	l.delay = min(2*l.delay, lastRetry)
	return nil
}

func (l *loop) wasReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

// resubscribe begins a new feed where the last one broke off because the loop
// lagged behind, and announces what was missed.
func (l *loop) resubscribe() {
	l.log.Warn("the bus loop lagged behind the keeper's events; signals of what changed meanwhile are condensed")
	l.feed = l.api.Subscribe(feedBuffer)
	l.announcer.catchUp(l.api.Cores())
}

func (l *loop) drop() {
	l.session.close()
	l.session = nil
	l.announcer.conn = nil
}

// end announces what has happened already and takes leave.
func (l *loop) end() {
	if l.trying { // it ends by the context
		if a := <-l.attempts; a.session != nil {
			a.session.close()
		}
	}
	if l.session == nil {
		return
	}
	for pending := true; pending; {
		select {
		case e, ok := <-l.feed.C:
			if pending = ok; ok {
				l.announcer.event(e)
			}
		default:
			pending = false
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := l.session.conn.Flush(ctx); err != nil {
		l.log.Warn("the last D-Bus signals were not sent", "error", err)
	}
	l.drop()
}
