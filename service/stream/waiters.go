package stream

import (
	"context"
	"slices"
)

// waiter is a caller that waits for the machine to get somewhere.
type waiter struct {
	check func(m *machine) (done bool, pid int, err error)
	reply chan result
	now   *result
}

type result struct {
	pid int
	err error
}

func answered(pid int, err error) *waiter { return &waiter{now: &result{pid, err}} }

func (w *waiter) answer(pid int, err error) { w.reply <- result{pid, err} }

// await has the owner run begin and waits for what it answers.
func (s *Stream) await(ctx context.Context, begin func(o *owner) *waiter) (int, error) {
	reply := make(chan result, 1)
	var w *waiter
	s.post(func() {
		o := s.in.owner
		w = begin(o)
		w.reply = reply
		if w.now != nil {
			w.answer(w.now.pid, w.now.err)
			return
		}
		o.waiters = append(o.waiters, w)
		o.answerWaiters()
	})
	select {
	case r := <-reply:
		return r.pid, r.err
	case <-s.done:
		select {
		case r := <-reply:
			return r.pid, r.err
		default:
		}
		return 0, &Error{NoSuchStream, s.cfg.Name + ": the stream is gone"}
	case <-ctx.Done():
		s.post(func() {
			o := s.in.owner
			o.waiters = slices.DeleteFunc(o.waiters, func(v *waiter) bool { return v == w })
		})
		return 0, ctx.Err()
	}
}

// answerWaiters answers those for whom the time has come.
func (o *owner) answerWaiters() {
	o.waiters = slices.DeleteFunc(o.waiters, func(w *waiter) bool {
		done, pid, err := w.check(o.m)
		if done {
			if e, ok := err.(*Error); ok && err != nil {
				e.Text = o.cfg.Redact.String(e.Text)
			}
			w.answer(pid, err)
		}
		return done
	})
}

// upWaiter is the check of one who waits for attempt number want. A restart
// that is asked for or planned meanwhile is no failure: it takes the waiter
// along.
func upWaiter(want uint64, w Wait) func(*machine) (bool, int, error) {
	return func(m *machine) (bool, int, error) {
		stopping := m.state == StateStopping || m.state == StateZombie
		if m.attempts == want && stopping && m.wanted && m.then == thenStart {
			want++
		}
		return m.upYet(want, w)
	}
}

// upYet: has attempt number want come as far as w asks, or to nothing?
func (m *machine) upYet(want uint64, w Wait) (bool, int, error) {
	fail := func(kind ErrorKind, text string) (bool, int, error) {
		return true, 0, &Error{kind, m.name + ": " + text}
	}
	switch {
	case m.attempts < want:
		if !m.wanted {
			return fail(Busy, "a stop came in between")
		}
		if m.state == StateZombie {
			return fail(Busy, m.detail)
		}
		return false, 0, nil
	case m.attempts > want:
		return fail(SpawnFailed, orReason(m.lastFailure, ReasonSpawnFailed))
	}
	switch m.state {
	case StateStarting, StateRunning:
		up := m.pid != 0
		if w == WaitOK {
			if m.stallLogged {
				return fail(SpawnFailed, orReason(m.detail, m.reason))
			}
			up = m.state == StateRunning && (m.health == HealthOK || m.health == HealthUnknown || m.health == HealthDegraded)
		}
		return up, m.pid, nil
	case StateRestarting, StateFailed, StateZombie:
		kind := SpawnFailed
		if m.reason == ReasonBadSetting {
			kind = BadSetting
		}
		return fail(kind, orReason(m.detail, m.reason))
	case StateStopping:
		if m.wanted {
			return fail(SpawnFailed, orReason(m.detail, m.reason))
		}
	}
	return fail(Busy, "a stop came in between")
}

// downYet: has what ran at the time of attempt number attempts ended?
func (m *machine) downYet(attempts uint64) (bool, int, error) {
	switch {
	case m.attempts > attempts, m.state == StateStopped, m.state == StateFailed:
		return true, 0, nil
	case m.state == StateZombie:
		return true, 0, &Error{Busy, m.name + ": " + m.detail}
	case m.wanted && m.state != StateStopping:
		return true, 0, &Error{Busy, m.name + ": a start came in between"}
	}
	return false, 0, nil
}
