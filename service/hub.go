package service

import "sync"

// Subscription is an ordered feed of events. Every event arrives, in order,
// unless the reader lags more than its buffer: then C is closed and Lagged
// answers true, and the reader subscribes anew and reads the snapshots.
type Subscription struct {
	C chan Event

	hub    *hub
	lagged bool
}

// Lagged says whether C was closed because its reader was too slow.
func (s *Subscription) Lagged() bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.lagged
}

// Close ends the feed; C is closed.
func (s *Subscription) Close() { s.hub.drop(s, false) }

// hub hands events to everyone who wants them, and wakes those who wait for
// any change.
type hub struct {
	mu      sync.Mutex
	subs    map[*Subscription]struct{}
	changed chan struct{} // closed at the next event; nil: nobody waits
}

func (h *hub) subscribe(buffer int) *Subscription {
	s := &Subscription{C: make(chan Event, max(buffer, 1)), hub: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = make(map[*Subscription]struct{})
	}
	h.subs[s] = struct{}{}
	return s
}

func (h *hub) drop(s *Subscription, lagged bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropLocked(s, lagged)
}

func (h *hub) dropLocked(s *Subscription, lagged bool) {
	if _, ok := h.subs[s]; ok {
		delete(h.subs, s)
		s.lagged = lagged
		close(s.C)
	}
}

// send never blocks.
func (h *hub) send(events ...Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		for _, e := range events {
			select {
			case s.C <- e:
				continue
			default:
				h.dropLocked(s, true)
			}
			break
		}
	}
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// change is closed at the next event.
func (h *hub) change() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.changed
}

// Changed is closed at the next event of any stream.
func (k *Keeper) Changed() <-chan struct{} { return k.hub.change() }
