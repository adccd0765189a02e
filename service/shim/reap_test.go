package shim

import (
	"sync"
	"testing"
)

// TestOneReapServesChildrenThatEndTogether: it comes after what waits to be
// done, and before long also where more waits for ever.
func TestOneReapServesChildrenThatEndTogether(t *testing.T) {
	for _, ends := range []int{0, 10, maxUnreaped + 10} {
		// Its channel has no room; with some, all are sure to wait.
		s := &Server{calls: make(chan func(), ends), done: make(chan struct{}), unreaped: 1}
		served := 0
		var ended sync.WaitGroup
		for range ends {
			ended.Go(func() { s.post(func() { served++ }) })
		}
		ended.Wait()
		for s.callFirst() {
		}
		if want := min(ends, maxUnreaped-1); served != want {
			t.Errorf("with %d ends waiting %d are served before the reap, not %d", ends, served, want)
		}
	}
}
