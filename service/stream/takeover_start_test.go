package stream

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func TestOfANewShimsFirstChildTheNextKeeperKnowsThatItIsAnother(t *testing.T) {
	// The new shim counts from 1, as the old one did.
	onRig(t, "run", func(r *rig) {
		r.run()
		r.lose()
		r.is(StateRestarting)
		r.dieOnceSent("spawn")
		r.back()
		r.child()
		r.end()
		r.keeper()
		r.runsOn(1002)
	})
}

func TestAStartGoesOnWhereItsKeeperLeftIt(t *testing.T) {
	for until, spawns := range map[string]int{"note cam1": 1, "note cam1!run": 1, "spawn": 1, "note cam1!seen": 1} {
		t.Run("after "+until, func(t *testing.T) {
			onRig(t, "run", func(r *rig) {
				r.dieOnceSent(until)
				r.Start(background(), WaitNone)
				time.Sleep(2 * time.Second)
				r.die()
				r.keeper()
				r.is(StateRunning)
				r.sane(1)
				if s := r.Core(); r.shim.spawns != spawns || s.RestartCount != 0 {
					t.Errorf("%d spawns, %d restarts", r.shim.spawns, s.RestartCount)
				}
			})
		})
	}
}

func TestWhatAStartWaitsForIsAwaitedAnew(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		ready := make(chan struct{})
		r.die()
		r.keeper(func(c *Config) {
			c.Definition.After, c.Definition.Requires = []string{"other"}, []string{"other"}
			c.AwaitDeps = func(ctx context.Context, _ *streamfile.Definition) (string, string) {
				select {
				case <-ready:
				case <-ctx.Done():
				}
				return "", ""
			}
		})
		r.Start(background(), WaitNone)
		r.is(StateStarting)
		r.die()
		r.keeper()
		time.Sleep(time.Hour)
		r.is(StateStarting)
		close(ready)
		r.is(StateRunning)
		r.sane(1)
	})
}

func TestABuilderIsAskedAnewAndTheOldOneEnded(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.Start(background(), WaitNone)
		r.is(StateStarting)
		if _, alive := r.shim.held(); alive != 1 {
			t.Fatalf("%d alive", alive)
		}
		r.die()
		r.keeper()
		r.is(StateStarting)
		r.sane(1) // the new one
		if r.shim.spawns != 2 {
			t.Errorf("%d spawns", r.shim.spawns)
		}
		r.stops()
	}, func(c *Config) { c.Definition.CommandBuilder.Words = []string{"/bin/sh", "run"} })
}

func TestAHookGoesOnUnderTheNextKeeper(t *testing.T) {
	hook := func(c *Config) {
		c.Definition.OnRestart = []streamfile.Hook{{Command: streamfile.Command{Words: []string{"/bin/sh", "hook"}, Literal: true}}}
	}
	// running
	for name, end := range map[string]func(*rig){"killed": (*rig).die, "handed over": (*rig).handOver} {
		t.Run(name, func(t *testing.T) {
			onRig(t, "run", func(r *rig) {
				r.run()
				r.Restart(background(), WaitDone, 0)
				r.is(StateRunning)
				r.sane(2)
				time.Sleep(time.Minute)
				end(r)
				r.keeper()
				r.sane(2)
				time.Sleep(30*time.Second - 1)
				r.sane(2)
				time.Sleep(time.Nanosecond) // its time limit counts from its start
				r.sane(1)
				r.runsOn(1002)
			}, hook)
		})
	}
	t.Run("asked for", func(t *testing.T) {
		onRig(t, "run", func(r *rig) {
			r.run()
			tell := func(what string, c *fakeChild) {
				if what == "spawned" && OwnerOf(c.Stream) == c.Stream {
					r.shim.hold = true // the hook's comes next
				}
			}
			r.set(func(s *fakeShim) { s.tell = tell })
			r.Restart(background(), WaitDone, 0)
			synctest.Wait()
			if len(r.shim.pending) != 1 {
				t.Fatalf("%d pending", len(r.shim.pending))
			}
			if err := r.HandOver(background()); err != nil {
				t.Error(err)
			}
			r.shim.release()
			synctest.Wait()
			r.die()
			r.keeper()
			r.sane(2)
		}, hook)
	})
}

func TestAHookThatEndedMeanwhileIsForgotten(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.Restart(background(), WaitDone, 0)
		synctest.Wait()
		r.die()
		for _, c := range r.shim.children {
			if c.what == "hook" {
				r.exits(c, 1, false)
			}
		}
		warnings := new(warnings)
		r.keeper(func(c *Config) { c.Log = warnings.logger() })
		r.runsOn(1002)
		if !warnings.have("exited with code 1") {
			t.Errorf("said %q", warnings.all())
		}
	}, func(c *Config) {
		c.Definition.OnRestart = []streamfile.Hook{{Command: streamfile.Command{Words: []string{"/bin/sh", "hook"}, Literal: true}}}
	})
}

func TestAShimLostWhileNobodyWasThereLeavesNothingKnown(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.die()
		r.shim.lose()
		r.shim.back()
		r.keeper()
		r.is(StateStopped)
		if r.Known() {
			t.Error("known, so Autostart= is not asked")
		}
		r.sane(0)
	})
}

func TestAStartThatWaitedForAShimBeginsUnderTheNextKeeper(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.lose()
		r.is(StateRestarting)
		r.dieOnceSent("note cam1")
		r.back()
		synctest.Wait()
		r.die()
		r.keeper()
		r.is(StateRunning)
		r.sane(1)
	})
}

func TestAFailedSpawnIsNotTakenForAProcess(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.set(func(s *fakeShim) { s.refuse = func() error { return errors.New("odd") } })
		r.Start(background(), WaitNone)
		r.is(StateRestarting)
		r.die()
		r.keeper()
		r.is(StateRestarting)
		if s := r.Core(); s.ConsecutiveFailures != 1 || s.Reason != ReasonSpawnFailed {
			t.Errorf("%+v", s)
		}
		r.set(func(s *fakeShim) { s.refuse = nil })
		time.Sleep(2 * time.Second)
		r.is(StateRunning)
		r.sane(1)
	})
}

func TestOfTwoProcessesTheNewerIsTheStreams(t *testing.T) {
	old := &shim.Held{Child: shim.Child{ID: 3, Stream: "cam1"}}
	newer := &shim.Held{Child: shim.Child{ID: 4, Stream: "cam1"}}
	hook := &shim.Held{Child: shim.Child{ID: 5, Stream: "cam1!hook"}}
	in := Inheritances(map[string][]byte{"cam1!seen": []byte("x"), "other": []byte("y")}, []*shim.Held{old, newer, hook})
	if c := in["cam1"]; c.Held != newer || !slices.Equal(c.Jobs, []*shim.Held{old, hook}) || string(c.Seen) != "x" || c.State != nil {
		t.Errorf("%+v", c)
	}
	if o := in["other"]; string(o.State) != "y" || len(in) != 2 {
		t.Errorf("%+v of %d", o, len(in))
	}
}
