package stream

import (
	"context"
	"sync"
	"sync/atomic"
)

// inbox holds what the owner has to do next, in order. It is not bounded:
// what comes in is either bounded by its sender (a process ends once, calls
// are limited by the bus face) or may not be lost.
type inbox struct {
	owner *owner
	poke  chan struct{} // capacity 1

	mu    sync.Mutex
	queue []entry
	ended bool // the owner has gone: nothing will run any more
}

// entry is one thing to do; drop, where there is one, is called in its place
// if the owner ends first.
type entry struct{ run, drop func() }

// post has f run by the owner. It never blocks.
func (s *Stream) post(f func()) { s.postOr(f, nil) }

// postOr has run run by the owner or, if that ends first, drop by somebody.
func (s *Stream) postOr(run, drop func()) {
	s.in.mu.Lock()
	ended := s.in.ended
	if !ended {
		s.in.queue = append(s.in.queue, entry{run, drop})
	}
	s.in.mu.Unlock()
	if !ended {
		s.poke()
	} else if drop != nil {
		drop()
	}
}

// poke has the owner look at its inbox and at its pipes.
func (s *Stream) poke() {
	select {
	case s.in.poke <- struct{}{}:
	default:
	}
}

// take empties the inbox.
func (b *inbox) take() []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}

// end empties the inbox for good.
func (b *inbox) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	for _, e := range b.take() {
		if e.drop != nil {
			e.drop()
		}
	}
}

// ask runs f on the owner's goroutine and waits for it, for ctx, or for the
// stream's end. After an error f has not been run and never will be.
func (s *Stream) ask(ctx context.Context, f func(o *owner)) error {
	ran := make(chan struct{})
	var claimed atomic.Bool // by the owner, to run f, or by us, to give it up
	s.post(func() {
		if claimed.CompareAndSwap(false, true) {
			f(s.in.owner)
			close(ran)
		}
	})
	var err error
	select {
	case <-ran:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.done:
		err = &Error{Kind: NoSuchStream, Text: s.cfg.Name + ": the stream is gone"}
	}
	if !claimed.CompareAndSwap(false, true) {
		<-ran // it runs at this moment, or has
		return nil
	}
	return err
}
