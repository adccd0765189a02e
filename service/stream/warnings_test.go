package stream

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// warnings keeps what is logged.
type warnings struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed at the next record; nil: nobody waits
}

func (w *warnings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	return w.buf.Write(p)
}

func (w *warnings) logger() *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func (w *warnings) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func (w *warnings) have(text string) bool { return strings.Contains(w.all(), text) }

func (w *warnings) lines() int { return strings.Count(w.all(), "\n") }

// next is closed at the next record.
func (w *warnings) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// await waits until text has been logged.
func (w *warnings) await(t *testing.T, text string) {
	t.Helper()
	end := time.After(30 * time.Second)
	for {
		next := w.next()
		if w.have(text) {
			return
		}
		select {
		case <-next:
		case <-end:
			t.Fatalf("waited in vain for %q", text)
		}
	}
}

// awaitMore waits for more than n lines, or for enough.
func (w *warnings) awaitMore(t *testing.T, n int, enough <-chan struct{}) {
	for {
		next := w.next()
		if w.lines() > n {
			return
		}
		select {
		case <-next:
		case <-enough:
			return
		}
	}
}
