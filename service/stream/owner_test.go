package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func background() context.Context { return context.Background() }

func TestASpawnAnsweredAfterAStopIsStopped(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.shim.hold = true
		r.Start(background(), WaitNone)
		stopped := make(chan error, 1)
		go func() { stopped <- r.Stop(background(), WaitDone, 0) }()
		r.is(StateStopping)
		r.shim.release()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		r.is(StateStopped)
		if held, alive := r.shim.held(); held != 0 || alive != 0 || !slices.Equal(r.shim.log, []string{"signal 15"}) {
			t.Errorf("%d held, %d alive, %q", held, alive, r.shim.log)
		}
	})
}

func TestASpawnAnsweredAfterALostShimIsPutAway(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.shim.hold = true
		r.Start(background(), WaitNone)
		late := r.shim.pending[0]
		r.lose()
		r.back()
		r.shim.release()
		r.is(StateRunning)
		pid := r.Core().PID
		late.done(&shim.Child{ID: 999, Stream: "cam1", PID: 999}, nil)
		r.is(StateRunning)
		if r.Core().PID != pid || len(r.shim.trouble) > 0 {
			t.Errorf("pid %d, was %d, %q", r.Core().PID, pid, r.shim.trouble)
		}
	})
}

func TestAnExitIsNotLostBeforeTheSpawnAnswerIsHandled(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.shim.hold = true
		r.Start(background(), WaitNone)
		hang := make(chan struct{})
		r.post(func() { <-hang }) // the owner is busy with something
		r.shim.release()
		r.ShimEvent(shim.Exited{ID: 1, Stream: "cam1", Code: 3})
		r.ShimEvent(shim.Empty{ID: 1, Stream: "cam1"})
		close(hang)
		r.is(StateRestarting)
		if s := r.Core(); !slices.Equal(s.ExitCodes, []int{3}) || s.ConsecutiveFailures != 1 {
			t.Errorf("%+v", s)
		}
		clear(r.shim.children)
	})
}

func TestEventsOfForgottenProcessesChangeNothing(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.Start(background(), WaitDone)
		r.Restart(background(), WaitDone, 0)
		r.is(StateRunning)
		n := len(r.published)
		r.ShimEvent(shim.Exited{ID: 1, Stream: "cam1", Code: 3})
		r.ShimEvent(shim.Empty{ID: 1, Stream: "cam1"})
		r.ShimEvent(shim.Exited{ID: 77, Stream: "cam1!hook", Code: 3})
		r.is(StateRunning)
		if len(r.published) != n || r.Core().PID != 1002 {
			t.Errorf("pid %d, %d transitions more", r.Core().PID, len(r.published)-n)
		}
	})
}

func TestAShimThatNeverAnswersLeavesTheStreamAnswering(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.shim.hold = true
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(background(), time.Minute)
			t.Cleanup(cancel)
			return ctx
		}
		if _, err := r.Start(short(), WaitDone); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("start: %v", err)
		}
		if err := r.Stop(short(), WaitDone, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stop: %v", err)
		}
		if err := r.Ping(short()); err != nil {
			t.Errorf("ping: %v", err)
		}
		if n := len(r.in.owner.waiters); n != 0 {
			t.Errorf("%d callers that have left are waited for", n)
		}
		r.shim.release()
		time.Sleep(time.Minute)
		r.is(StateStopped)
	})
}

// TestNewsOfANewShimIsNotMissed: a spawn that the old shim lost is answered
// only after the news that there is a new one.
func TestNewsOfANewShimIsNotMissed(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"spawn":   func(*Config) {},
		"builder": func(c *Config) { c.Definition.CommandBuilder.Words = []string{"/bin/sh"} },
	} {
		t.Run(name, func(t *testing.T) {
			onRig(t, "run", func(r *rig) {
				r.shim.hold = true
				r.ShimLost()
				r.Start(background(), WaitNone)
				late := r.shim.pending[0]
				r.shim.pending = nil
				r.ShimBack()
				synctest.Wait()
				late.done(nil, shim.ErrLost)
				synctest.Wait()
				if n := len(r.shim.pending); n != 1 {
					t.Errorf("%d asked of the new shim; %s/%s", n, r.Core().State, r.Core().Reason)
				}
				r.Stop(background(), WaitNone, 0)
			}, change)
		})
	}
}

func TestAnErrorThatIsNoLossIsRetried(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		fail := true
		r.shim.refuse = func() error {
			if fail {
				return errors.New("cannot send spawn: too many open files")
			}
			return nil
		}
		if _, err := r.Start(background(), WaitDone); err == nil {
			t.Error("no error")
		}
		if s := r.Core(); s.Reason != ReasonSpawnFailed {
			t.Errorf("%s/%s", s.State, s.Reason)
		}
		r.shim.mu.Lock()
		fail = false
		r.shim.mu.Unlock()
		time.Sleep(3 * time.Second)
		r.is(StateRunning)
	})
}

func TestABuilderAskedForWhenTheStreamIsRemovedIsEnded(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.shim.hold = true
		r.Start(background(), WaitNone)
		r.Remove()
		synctest.Wait()
		r.end()
		r.shim.release()
		synctest.Wait()
		if _, alive := r.shim.held(); alive != 0 {
			t.Errorf("%d alive", alive)
		}
	}, func(c *Config) { c.Definition.CommandBuilder.Words = []string{"/bin/sh", "run"} })
}

func TestACallThatIsGivenUpIsNotCarriedOut(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		hang := make(chan struct{})
		r.post(func() { <-hang })
		ctx, cancel := context.WithCancel(background())
		cancel()
		var ran atomic.Bool
		if err := r.ask(ctx, func(*owner) { ran.Store(true) }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(hang)
		synctest.Wait()
		if ran.Load() {
			t.Error("carried out after its caller was told that it was not")
		}
	})
}

func TestAReloadOfAStoppedStreamIsShown(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		def := *r.cfg.Definition
		def.Description = "new"
		r.Reload(&def, "")
		synctest.Wait()
		if len(r.published) != 1 || r.Core().Description != "new" {
			t.Errorf("%d transitions, %q", len(r.published), r.Core().Description)
		}
	})
}

func TestAHundredCallersAreAllAnswered(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.shim.delay = func() time.Duration { return time.Duration(rand.IntN(200)) * time.Millisecond }
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
				w := []Wait{WaitNone, WaitDone, WaitOK}[i%3]
				switch i % 4 {
				case 0, 1:
					r.Start(background(), w)
				case 2:
					r.Stop(background(), w, 0)
				case 3:
					r.Restart(background(), w, 0)
				}
			})
		}
		wg.Wait() // the bubble's deadlock detection names who is not answered
		if err := r.Stop(background(), WaitDone, 0); err != nil {
			t.Error(err)
		}
		r.is(StateStopped)
		if len(r.shim.trouble) > 0 {
			t.Error(r.shim.trouble)
		}
	})
}

// TestRandomCallsOnARandomShim: whatever is asked, exits, is lost, hangs or is
// killed in whatever order, with builders, dependencies and callers that wait,
// there is never a second process, each caller is answered, and a stop ends it
// all.
func TestRandomCallsOnARandomShim(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { randomCalls(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func randomCalls(t *testing.T, seed uint64) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 7))
	n := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rnd.IntN(n)
	}
	what := []string{"run", "run", "exit 1", "exit 0", "leave 1"}[n(5)]
	failures := 0
	r := newRig(t, what, func(c *Config) {
		d := c.Definition
		d.Restart = []streamfile.RestartPolicy{streamfile.RestartAlways, streamfile.RestartOnFailure, streamfile.RestartNo}[n(3)]
		if n(3) == 0 {
			d.RestartMaxAttempts = n(4)
		}
		if n(2) == 0 {
			d.Type, d.OnStall, d.StandardInput = streamfile.TypeFFmpeg, streamfile.OnStallRestart, streamfile.StdinNull
		}
		if n(4) == 0 {
			d.RuntimeMax = 40 * time.Second
		}
		if n(4) == 0 {
			d.CommandBuilder.Words = []string{"/bin/sh", []string{"run", "exit 1"}[n(2)]}
		} else if n(4) == 0 {
			c.Command = func(ctx context.Context) ([]string, error) {
				time.Sleep(time.Duration(n(12)) * time.Second)
				if n(3) == 0 {
					return nil, errors.New("no camera")
				}
				return []string{"/bin/sh", what}, nil
			}
		}
		if n(4) == 0 {
			c.AwaitDeps = func(ctx context.Context, _ *streamfile.Definition) (string, string) {
				select {
				case <-time.After(time.Duration(n(20)) * time.Second):
					return []string{"", "other"}[n(2)], "requires other"
				case <-ctx.Done():
					return "", ""
				}
			}
			d.After = []string{"other"}
		}
		c.OnFailure = func(*Snapshot) { mu.Lock(); failures++; mu.Unlock() }
	})
	s := r.shim
	s.delay = func() time.Duration { return time.Duration(n(3000)) * time.Millisecond * time.Duration(n(2)) }
	s.refuse = func() error {
		if n(10) == 0 {
			return []error{&shim.SpawnError{Path: "x", Op: "fork", Err: syscall.EAGAIN}, errors.New("odd")}[n(2)]
		}
		return nil
	}
	s.deaf = func() bool { return n(4) == 0 }
	s.stuck = func() time.Duration { return time.Duration(n(2)*n(2)*n(100)) * time.Second }

	var callers sync.WaitGroup
	waits := []Wait{WaitNone, WaitDone, WaitOK}
	for range 40 {
		w := waits[n(3)]
		ctx := background()
		var cancel context.CancelFunc = func() {}
		if n(5) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(n(5000))*time.Millisecond)
		}
		stream := r.Stream // of this keeper
		call := func(f func()) {
			callers.Go(func() { defer cancel(); f() })
		}
		switch n(18) {
		case 0, 1, 2:
			call(func() { stream.Start(ctx, w) })
		case 3, 4:
			call(func() { stream.Stop(ctx, w, time.Duration(n(2))*time.Second) })
		case 5:
			call(func() { stream.Restart(ctx, w, 0) })
		case 6:
			call(func() { stream.ResetFailed(ctx) })
		case 7:
			call(func() { stream.Snapshot(ctx) })
		case 8:
			def := *r.cfg.Definition
			def.Description = fmt.Sprint(n(1000))
			r.Reload(&def, "")
			cancel()
		case 9:
			r.lose()
			time.Sleep(time.Duration(n(5000)) * time.Millisecond)
			r.back()
			cancel()
		case 10, 11:
			r.post(func() {
				o := r.in.owner
				if o.proc != nil {
					o.step(evBlock{block: ffmpeg.Block{HasFrame: true, Frame: uint64(n(5))}})
				}
			})
			cancel()
		case 12:
			r.handOver()
			time.Sleep(time.Duration(n(2)*n(20000)) * time.Millisecond)
			r.keeper()
			cancel()
		case 13:
			r.die()
			time.Sleep(time.Duration(n(2)*n(20000)) * time.Millisecond)
			r.keeper()
			cancel()
		case 14, 15:
			r.dieAfter(n(10))
			cancel()
		default:
			cancel()
		}
		time.Sleep(time.Duration(n(2)*n(20000)) * time.Millisecond)
		if !r.lives() {
			r.die()
			r.keeper()
		}
	}
	synctest.Wait() // what has been asked before comes first
	r.die()         // it may have been about to
	r.keeper()
	synctest.Wait()
	if err := r.Stop(background(), WaitDone, 0); err != nil {
		if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != Busy {
			t.Errorf("the last stop: %v", err)
		}
	}
	callers.Wait()
	time.Sleep(5 * time.Minute) // what was stuck is gone
	synctest.Wait()
	core := r.Core()
	if core.State != StateStopped && core.State != StateFailed || core.Wanted {
		t.Errorf("after a stop: %s/%s (%s), wanted %v", core.State, core.Reason, core.Detail, core.Wanted)
	}
	if held, alive := s.held(); held != 0 || alive != 0 || len(s.trouble) > 0 || len(r.in.owner.waiters) > 0 || len(r.in.owner.jobs) > 0 {
		t.Errorf("%d held, %d alive, %q, %d waiters, %d jobs", held, alive, s.trouble, len(r.in.owner.waiters), len(r.in.owner.jobs))
	}
	if mu.Lock(); r.failures != failures {
		t.Errorf("%d failures published, %d told to OnFailure", r.failures, failures)
	}
	mu.Unlock()
	r.end()
}
