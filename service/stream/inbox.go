package stream

import (
	"context"
	"sync"
)

// inbox holds what the owner has to do next, in order. It is not bounded:
// what comes in is either bounded by its sender (a process ends once, calls
// are limited by the bus face) or may not be lost.
type inbox struct {
	owner *owner
	poke  chan struct{} // capacity 1

	mu    sync.Mutex
	queue []func()
}

// post has f run by the owner. It never blocks.
func (s *Stream) post(f func()) {
	s.in.mu.Lock()
	s.in.queue = append(s.in.queue, f)
	s.in.mu.Unlock()
	s.poke()
}

// poke has the owner look at its inbox and at its pipes.
func (s *Stream) poke() {
	select {
	case s.in.poke <- struct{}{}:
	default:
	}
}

// take empties the inbox.
func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}

// ask runs f on the owner's goroutine and waits for it, for ctx, or for the
// stream's end.
func (s *Stream) ask(ctx context.Context, f func(o *owner)) error {
	ran := make(chan struct{})
	s.post(func() {
		f(s.in.owner)
		close(ran)
	})
	select {
	case <-ran:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return &Error{Kind: NoSuchStream, Text: s.cfg.Name + ": the stream is gone"}
	}
}
