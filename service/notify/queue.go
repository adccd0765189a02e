package notify

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	// patience is how long a caller waits for its message to go out. PID 1
	// takes one in microseconds unless it is stuck, or the host overloaded.
	patience = 500 * time.Millisecond
	// maxPending is how many messages wait for a manager that is stuck.
	maxPending = 16
)

// ErrStuck is the error for a message that waits for the manager to take any.
var ErrStuck = errors.New("the service manager takes no messages at the moment")

// errFull is that for a message that does not even wait.
var errFull = fmt.Errorf("cannot notify: %w, and %d are waiting", ErrStuck, maxPending)

// queue sends messages in order, from a goroutine that exists only while
// there is one to send: daemon.SdNotify blocks, without limit, while the
// manager's socket is full.
type queue struct {
	mu      sync.Mutex
	pending []*message // the first is being sent
	running bool       // the goroutine exists
	stuck   bool       // somebody has waited in vain for the first
}

type message struct {
	state string
	done  chan error
}

func (q *queue) send(state string) error {
	q.mu.Lock()
	n := len(q.pending)
	switch {
	case n > 1 && q.pending[n-1].state == state:
		q.mu.Unlock()
		return ErrStuck // it says so already, as soon as it can
	case n >= maxPending:
		q.mu.Unlock()
		return errFull
	}
	m := &message{state, make(chan error, 1)}
	q.pending = append(q.pending, m)
	if !q.running {
		q.running = true
		go q.run()
	}
	wait := patience
	if q.stuck {
		wait = 0
	}
	q.mu.Unlock()

	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case err := <-m.done:
		return err
	case <-timeout.C:
	}
	q.mu.Lock()
	q.stuck = len(q.pending) > 0
	q.mu.Unlock()
	return ErrStuck
}

func (q *queue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) > 0 {
		m := q.pending[0]
		q.mu.Unlock()
		_, err := daemon.SdNotify(false, m.state)
		if err != nil {
			err = fmt.Errorf("cannot notify the service manager: %w", err)
		}
		m.done <- err
		q.mu.Lock()
		q.pending = q.pending[1:]
		q.stuck = false
	}
	q.running = false
}
