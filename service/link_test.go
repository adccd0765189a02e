package service

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// TestAnIDOfALostShimHitsNothingOfTheNextOne: each shim counts from 1, and a
// stream may signal its process before it hears that it is gone.
func TestAnIDOfALostShimHitsNothingOfTheNextOne(t *testing.T) {
	events := make(chan shim.Event, 10)
	l := &link{
		connect: func(_ context.Context, h shim.Handler) (*shim.Client, error) { return shim.InProcess(h) },
		log:     slog.New(slog.DiscardHandler), event: func(ev shim.Event) { events <- ev }, failed: make(chan error, 1),
	}
	spawn := func() *shim.Child {
		if err := l.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.deliver()
		got := make(chan *shim.Child, 1)
		l.Spawn(shim.SpawnRequest{Stream: "s", Path: "/bin/sleep", Argv: []string{"sleep", "1000"}}, nil, func(c *shim.Child, err error) {
			if err != nil {
				t.Error(err)
			}
			got <- c
		})
		c := <-got
		if c == nil {
			t.FailNow()
		}
		c.PIDFD.Close()
		return c
	}
	old := spawn()
	l.client.Load().Close() // and with it the child
	c := spawn()
	defer l.close()
	if old.ID == c.ID {
		t.Fatalf("both are %d", c.ID)
	}
	for _, err := range []error{l.Signal(old.ID, syscall.SIGKILL, shim.Group), l.Kill(old.ID), l.Forget(old.ID), l.CloseEnd(old.ID, shim.Stdin)} {
		if !errors.Is(err, shim.ErrLost) {
			t.Errorf("%v", err)
		}
	}
	io, err := l.IO(t.Context(), []shim.ID{old.ID, c.ID})
	if _, ok := io[c.ID]; err != nil || len(io) != 1 || !ok {
		t.Errorf("%v, %v", io, err)
	}
	if err := l.Signal(c.ID, syscall.SIGTERM, shim.Group); err != nil {
		t.Fatal(err)
	}
	select {
	case ev := <-events:
		if e, ok := ev.(shim.Exited); !ok || e.ID != c.ID || e.Signal != 15 {
			t.Errorf("%+v", ev)
		}
	case <-time.After(20 * time.Second):
		t.Error("no exit")
	}
}
