package stream

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// TestTheFakeShimBehavesLikeTheRealOne plays the same to both and compares
// what they tell.
func TestTheFakeShimBehavesLikeTheRealOne(t *testing.T) {
	play := func(t *testing.T, s Shim, events <-chan shim.Event, argv func(what string) []string) (told []string) {
		next := func() {
			select {
			case ev := <-events:
				switch ev := ev.(type) {
				case shim.Exited:
					told = append(told, fmt.Sprintf("%d exited %d %d", ev.ID, ev.Code, ev.Signal))
				case shim.Empty:
					told = append(told, fmt.Sprintf("%d empty", ev.ID))
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("no event after %q", told)
			}
		}
		spawn := func(path, what string) *shim.Child {
			got := make(chan *shim.Child, 1)
			s.Spawn(shim.SpawnRequest{Stream: "s", Path: path, Argv: argv(what)}, nil, func(c *shim.Child, err error) {
				if se, ok := err.(*shim.SpawnError); ok {
					told = append(told, fmt.Sprintf("no program %v", se.NoProgram))
				} else {
					told = append(told, fmt.Sprintf("%d spawned", c.ID))
				}
				got <- c
			})
			c := <-got
			if c != nil && c.PIDFD != nil {
				c.PIDFD.Close()
			}
			return c
		}
		c := spawn("/bin/sh", "exit 7")
		next()
		next()
		s.Forget(c.ID)
		s.Kill(c.ID) // of one that is gone: nothing

		c = spawn("/bin/sh", "run")
		s.Forget(c.ID) // it runs: not forgotten
		s.Kill(c.ID)
		next()
		next()
		s.Forget(c.ID)

		c = spawn("/bin/sh", "run")
		s.Signal(c.ID, syscall.SIGTERM, shim.Group)
		next()
		next()
		s.Forget(c.ID)

		spawn("/nonexistent", "run")

		c = spawn("/bin/sh", "leave 3")
		next()
		s.Forget(c.ID) // empty comes all the same
		s.Kill(c.ID)
		next()
		return told
	}

	events := make(chan shim.Event, 100)
	real, err := shim.InProcess(func(ev shim.Event) { events <- ev })
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	want := play(t, real, events, func(what string) []string {
		switch what {
		case "run":
			what = "exec sleep 1000"
		case "leave 3":
			what = "sleep 1000 & exit 3"
		}
		return []string{"sh", "-c", what}
	})
	fakeEvents := make(chan shim.Event, 100)
	fake := newFakeShim(t)
	link, _, _ := fake.connect(func(ev shim.Event) { fakeEvents <- ev })
	got := play(t, link, fakeEvents, func(what string) []string { return []string{what} })
	if !slices.Equal(got, want) {
		t.Errorf("the fake tells\n%q, the real one\n%q", got, want)
	}
	if held, _ := fake.held(); held != 0 || len(fake.trouble) > 0 {
		t.Errorf("%d held, %q", held, fake.trouble)
	}
}
