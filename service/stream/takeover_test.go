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

// run starts the stream and answers its pid.
func (r *rig) run() int {
	r.t.Helper()
	pid, err := r.Start(background(), WaitDone)
	if err != nil {
		r.t.Fatal(err)
	}
	return pid
}

// child is the one process that lives.
func (r *rig) child() *fakeChild {
	r.t.Helper()
	synctest.Wait()
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	var one *fakeChild
	for _, c := range r.shim.children {
		if c.group && OwnerOf(c.Stream) == c.Stream {
			if one != nil {
				r.t.Fatal("two processes")
			}
			one = c
		}
	}
	if one == nil {
		r.t.Fatal("no process")
	}
	return one
}

// set changes how the shim behaves.
func (r *rig) set(change func(*fakeShim)) {
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	change(r.shim)
}

// exits has c end by itself, with everything of it or without.
func (r *rig) exits(c *fakeChild, code int, all bool) {
	r.shim.mu.Lock()
	after := r.shim.exit(c, code, 0, all)
	r.shim.mu.Unlock()
	if after != nil {
		after()
	}
	synctest.Wait()
}

// emptied: what the main process left behind has ended.
func (r *rig) emptied(c *fakeChild) { r.exits(c, 0, true) }

// sane: no invariant is broken, and nothing is held that nobody wants.
func (r *rig) sane(alive int) {
	r.t.Helper()
	synctest.Wait()
	held, living := r.shim.held()
	if held != alive || living != alive || len(r.shim.trouble) > 0 {
		r.t.Errorf("%d held, %d alive, want %d; %q", held, living, alive, r.shim.trouble)
	}
}

// runsOn: the next keeper has the process of the one before.
func (r *rig) runsOn(pid int) {
	r.t.Helper()
	r.is(StateRunning)
	if s := r.Core(); s.PID != pid || !s.Wanted {
		r.t.Errorf("pid %d, was %d; wanted %v", s.PID, pid, s.Wanted)
	}
	r.sane(1)
}

func (r *rig) stops() {
	r.t.Helper()
	if err := r.Stop(background(), WaitDone, 0); err != nil {
		r.t.Error(err)
	}
	r.is(StateStopped)
	r.sane(0)
}

// changed is the definition with another digest.
func changed(c *Config) {
	d := *c.Definition
	d.Digest, d.Description = "second", "second"
	c.Definition = &d
}

func broken(c *Config) { c.Definition, c.Broken = nil, "cam1.stream:3: rubbish" }

func gone(c *Config) { c.Definition, c.FileGone = nil, true }

func TestARunningStreamRunsOnUnderTheNextKeeper(t *testing.T) {
	for name, end := range map[string]func(*rig){"killed": (*rig).die, "handed over": (*rig).handOver} {
		t.Run(name, func(t *testing.T) {
			onRig(t, "run", func(r *rig) {
				pid := r.run()
				time.Sleep(10 * time.Minute)
				since := r.Core().Started
				for range 3 {
					end(r)
					time.Sleep(time.Hour)
					r.keeper()
					r.runsOn(pid)
					if s := r.Core(); !s.Started.Equal(since) || s.RestartCount != 0 {
						t.Errorf("started %s, %s before; %d restarts", s.Started, since, s.RestartCount)
					}
				}
				r.stops()
				if !slices.Equal(r.shim.log, []string{"signal 15"}) {
					t.Errorf("sent %q", r.shim.log)
				}
			})
		})
	}
}

func TestAnExitWhileNobodyWasThereIsAnExitAtItsTime(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.die()
		time.Sleep(10 * time.Second)
		r.exits(r.child(), 3, true)
		ended := time.Now()
		time.Sleep(time.Second)
		r.keeper()
		r.is(StateRestarting)
		s := r.Core()
		if !slices.Equal(s.ExitCodes, []int{3}) || s.ConsecutiveFailures != 1 || !s.NextRestart.Equal(ended.Add(2*time.Second)) || !s.StateSince.Equal(ended) {
			t.Errorf("%+v, ended %s", s, ended)
		}
		time.Sleep(time.Second)
		r.is(StateRunning)
		r.sane(1)
	})
}

func TestTheDelayAfterAStallCountsFromItsEndThoughThatEndWasKnown(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		c := r.child()
		r.set(func(s *fakeShim) { s.deaf = func() bool { return true } })
		time.Sleep(30 * time.Second)
		r.is(StateStopping)
		r.exits(c, 1, false)
		ended := time.Now()
		r.die()
		r.emptied(c)
		time.Sleep(time.Second)
		r.keeper()
		r.is(StateRestarting)
		if s := r.Core(); !s.NextRestart.Equal(ended.Add(2 * time.Second)) {
			t.Errorf("next start %s, ended %s", s.NextRestart, ended)
		}
	}, func(c *Config) {
		c.Definition.Type, c.Definition.OnStall = streamfile.TypeFFmpeg, streamfile.OnStallRestart
	})
}

func TestALongExitIsFollowedByARestartAtOnce(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.die()
		r.exits(r.child(), 3, true)
		time.Sleep(time.Hour)
		r.keeper()
		r.is(StateRunning)
		if s := r.Core(); s.RestartCount != 1 || s.ConsecutiveFailures != 1 {
			t.Errorf("%+v", s)
		}
		r.sane(1)
	})
}

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

func TestAStopSurvivesAtEachStep(t *testing.T) {
	for name, c := range map[string]struct {
		until string // what is sent last
		terms int
	}{
		"word of it left":      {"note cam1", 1},
		"TERM sent":            {"signal 15", 1},
		"word of the end left": {"note cam1!seen", 1},
	} {
		t.Run(name, func(t *testing.T) {
			onRig(t, "run", func(r *rig) {
				r.run()
				r.set(func(s *fakeShim) { s.deaf = func() bool { return true } })
				time.Sleep(time.Minute)
				r.dieOnceSent(c.until)
				go r.Stop(background(), WaitDone, 0)
				synctest.Wait()
				r.die()
				time.Sleep(time.Minute)
				r.keeper()
				r.is(StateStopping)
				if r.Core().Wanted {
					t.Error("wanted")
				}
				time.Sleep(9 * time.Second)
				r.is(StateStopping) // it has all its time again
				time.Sleep(time.Second)
				r.is(StateStopped)
				if !slices.Equal(r.shim.log, []string{"signal 15", "kill"}) {
					t.Errorf("sent %q", r.shim.log)
				}
				r.sane(0)
			})
		})
	}
}

func TestAStopOfAStreamThatIsBeingSpawnedSurvives(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.set(func(s *fakeShim) { s.hold, s.deaf = true, func() bool { return true } })
		r.Start(background(), WaitNone)
		r.Stop(background(), WaitNone, 0)
		r.is(StateStopping)
		r.die()
		r.shim.release()
		time.Sleep(time.Minute)
		r.keeper()
		r.is(StateStopping)
		time.Sleep(9 * time.Second)
		r.is(StateStopping) // its time begins when TERM is sent, not when it was started
		time.Sleep(time.Second)
		r.is(StateStopped)
		r.sane(0)
	})
}

func TestAKillThatWasNotSentIsSentAndGivenItsTime(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.set(func(s *fakeShim) {
			s.deaf, s.stuck = func() bool { return true }, func() time.Duration { return 2 * time.Second }
		})
		r.Stop(background(), WaitNone, 0)
		time.Sleep(9 * time.Second)
		r.dieOnceSent("note cam1")
		time.Sleep(time.Second)
		r.is(StateStopping)
		if !slices.Equal(r.shim.log, []string{"signal 15"}) {
			t.Fatalf("sent %q", r.shim.log)
		}
		c := r.child()
		r.die()
		time.Sleep(time.Minute)
		r.exits(c, 0, false) // its rest goes on
		time.Sleep(time.Hour)
		r.keeper()
		time.Sleep(2*time.Second - 1)
		r.is(StateStopping) // not a zombie, because the exit was long ago
		time.Sleep(time.Nanosecond)
		r.is(StateStopped)
		r.sane(0)
	})
}

func TestTheRestOfAStreamGetsItsTimeThoughItsMainProcessEndedLongAgo(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.set(func(s *fakeShim) { s.deaf = func() bool { return true } })
		r.Stop(background(), WaitNone, 0)
		c := r.child()
		r.exits(c, 0, false)
		time.Sleep(9 * time.Second)
		r.die()
		r.keeper()
		time.Sleep(10*time.Second - 1)
		r.is(StateStopping)
		r.emptied(c)
		r.is(StateStopped)
		if !slices.Equal(r.shim.log, []string{"signal 15"}) {
			t.Errorf("sent %q", r.shim.log)
		}
	})
}

func TestAChangedFileMakesTheStreamNeedARestart(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		pid := r.run()
		r.die()
		r.keeper(changed)
		r.runsOn(pid)
		if s := r.Core(); !s.NeedsRestart || s.Description == "second" {
			t.Errorf("%+v", s)
		}
		r.die()
		r.keeper() // it still does
		r.runsOn(pid)
		if !r.Core().NeedsRestart {
			t.Error("it no longer needs a restart")
		}
		r.Restart(background(), WaitDone, 0)
		if s := r.Core(); s.NeedsRestart || s.Description != "second" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAFileThatIsAsItWasNeedsNoRestart(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		pid := r.run()
		old := r.cfg.Definition
		r.die()
		r.keeper(changed)
		r.runsOn(pid)
		r.die()
		r.keeper(func(c *Config) { c.Definition = old })
		r.runsOn(pid)
		if r.Core().NeedsRestart {
			t.Error("needs a restart")
		}
	})
}

func TestAStartThatBeginsAnewTakesTheNewDefinition(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.dieOnceSent("note cam1!run")
		r.Start(background(), WaitNone)
		synctest.Wait()
		r.die()
		r.keeper(changed)
		r.is(StateRunning)
		if s := r.Core(); s.NeedsRestart || s.Description != "second" {
			t.Errorf("%+v", s)
		}
		r.sane(1)
	})
}

func TestABrokenFileLeavesTheStreamAsItIs(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		pid := r.run()
		r.die()
		r.keeper(broken)
		r.runsOn(pid)
		if _, err := r.Restart(background(), WaitDone, 0); err == nil {
			t.Error("restarted without a definition")
		}
		r.runsOn(pid)
		r.exits(r.child(), 1, true)
		time.Sleep(time.Second)
		r.die()
		r.keeper()
		r.is(StateRestarting)
		time.Sleep(time.Second)
		r.is(StateRunning) // with the definition that was in force
		r.sane(1)
		r.stops()
	})
}

func TestADefinitionThatIsInForceOutlivesALostShimToo(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.Reload(nil, "rubbish")
		r.exits(r.child(), 1, true)
		r.is(StateRestarting)
		r.lose()
		r.back()
		synctest.Wait()
		r.die()
		r.keeper(broken)
		time.Sleep(2 * time.Second)
		r.is(StateRunning)
		r.sane(1)
		r.die()
		r.keeper() // which starts nothing, and so has nothing of its own to write
		r.lose()
		r.dieOnceSent("spawn")
		r.back()
		synctest.Wait()
		r.die()
		r.keeper()
		r.is(StateRunning)
		r.sane(1)
	})
}

func TestAStartOfWhichNoDefinitionIsLeftWaitsForTheFileToBeMended(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		def := r.cfg.Definition
		r.dieOnceSent("note cam1")
		r.Start(background(), WaitNone)
		synctest.Wait()
		r.die()
		r.keeper(broken)
		r.is(StateFailed)
		if s := r.Core(); s.Reason != ReasonBadSetting || s.Detail != r.cfg.Broken {
			t.Errorf("%s, %q", s.Reason, s.Detail)
		}
		r.Reload(def, "")
		r.is(StateRunning)
		r.sane(1)
	})
}

func TestAStreamWithoutFileGoesOnUntilItIsStopped(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		pid := r.run()
		r.die()
		r.keeper(gone)
		r.runsOn(pid)
		if s := r.Core(); !s.NeedsRestart || s.SourceFile != "/etc/cam1.stream" {
			t.Errorf("%+v", s)
		}
		r.stops()
		if tr := r.published[len(r.published)-1]; !tr.Removed {
			t.Error("not forgotten")
		}
		if len(r.shim.notes) > 0 {
			t.Errorf("notes left: %d", len(r.shim.notes))
		}
	})
}

func TestAStreamWithoutFileAndDefinitionCanStillBeStopped(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		pid := r.run()
		r.post(func() { r.in.owner.step(evOutput{}) })
		synctest.Wait()
		r.die()
		delete(r.shim.notes, "cam1!run")
		r.keeper(gone)
		r.runsOn(pid)
		time.Sleep(24 * time.Hour) // of what it is nothing is known, so nothing is expected of it
		r.runsOn(pid)
		r.stops()
	}, func(c *Config) {
		c.Definition.Type, c.Definition.OnStall, c.Definition.ActivityTimeout = streamfile.TypeSimple, streamfile.OnStallLog, 0
	})
}

func TestAStreamThatWasBeingRemovedIsRemoved(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.set(func(s *fakeShim) { s.deaf = func() bool { return true } })
		r.Remove()
		r.is(StateStopping)
		r.die()
		r.keeper(gone)
		time.Sleep(10 * time.Second)
		r.is(StateStopped)
		if tr := r.published[len(r.published)-1]; !tr.Removed {
			t.Error("not forgotten")
		}
		r.sane(0)
	})
}

func TestAStreamThatWasRemovedAndHasItsFileAgainIsANewOne(t *testing.T) {
	for _, until := range []string{"note cam1", "signal 15", "forget"} {
		t.Run("after "+until, func(t *testing.T) {
			onRig(t, "run", func(r *rig) {
				r.run()
				time.Sleep(time.Minute)
				r.dieOnceSent(until)
				r.Remove()
				synctest.Wait()
				r.die()
				r.keeper()
				if r.Known() {
					t.Error("it is known, so Autostart= is not asked")
				}
				if _, err := r.Start(background(), WaitDone); err != nil {
					t.Error(err)
				}
				r.is(StateRunning)
				if s := r.Core(); s.RestartCount != 0 {
					t.Errorf("%d restarts", s.RestartCount)
				}
				r.sane(1)
			})
		})
	}
}

func TestWhatCannotBeReadLeavesTheProcessAndSaysSo(t *testing.T) {
	for name, note := range map[string]string{"newer": `{"v":2,"state":"running"}`, "rubbish": `{`, "contradiction": `{"v":1,"state":"running","health":"ok"}`} {
		t.Run(name, func(t *testing.T) {
			onRig(t, "run", func(r *rig) {
				pid := r.run()
				r.die()
				r.shim.notes["cam1"], r.shim.notes["cam1!seen"] = []byte(note), []byte(note)
				warnings := new(warnings)
				r.keeper(func(c *Config) { c.Log = warnings.logger() })
				r.runsOn(pid)
				if !warnings.have("earlier keeper left") || !warnings.have("earlier keeper has seen") && name != "contradiction" {
					t.Errorf("said %q", warnings.all())
				}
				r.stops()
			})
		})
	}
}

func TestFailedStaysFailedAndStoppedStopped(t *testing.T) {
	onRig(t, "exit 1", func(r *rig) {
		failures := 0
		r.cfg.OnFailure = func(*Snapshot) { failures++ }
		r.Start(background(), WaitNone)
		r.is(StateFailed)
		for range 3 {
			r.die()
			r.keeper()
			time.Sleep(time.Hour)
			r.is(StateFailed)
			if s := r.Core(); !r.Known() || s.Reason != ReasonExitCode || s.Health != HealthDown || !slices.Equal(s.ExitCodes, []int{1}) {
				t.Errorf("%+v", s)
			}
		}
		if failures > 0 {
			t.Errorf("told of its failure %d times more", failures)
		}
		r.ResetFailed(background())
		r.is(StateStopped)
		r.die()
		r.keeper()
		time.Sleep(time.Hour)
		r.is(StateStopped)
		if r.shim.spawns != 1 || !r.Known() {
			t.Errorf("%d spawns", r.shim.spawns)
		}
	}, func(c *Config) { c.Definition.Restart = streamfile.RestartNo })
}

func TestABadSettingThatIsMendedMeanwhileStarts(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.Start(background(), WaitNone)
		r.is(StateFailed)
		r.die()
		r.keeper()
		r.is(StateFailed) // the same file
		r.die()
		r.keeper(func(c *Config) {
			c.Definition.ExecStart.Words, c.Definition.Digest = []string{"/bin/sh", "run"}, "mended"
		})
		r.is(StateRunning)
		r.sane(1)
	}, func(c *Config) { c.Definition.ExecStart.Words = []string{""} })
}

func TestAZombieIsFollowedByTheNextKeeper(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		r.set(func(s *fakeShim) {
			s.deaf, s.stuck = func() bool { return true }, func() time.Duration { return time.Hour }
		})
		r.Restart(background(), WaitNone, 0)
		time.Sleep(15 * time.Second)
		r.is(StateZombie)
		r.die()
		r.keeper()
		r.is(StateZombie)
		r.die()
		r.set(func(s *fakeShim) { s.stuck = nil })
		time.Sleep(2 * time.Hour)
		r.keeper()
		r.is(StateRunning)
		if s := r.Core(); !slices.Equal(s.ExitCodes, []int{-9}) || s.RestartCount != 1 {
			t.Errorf("%+v", s)
		}
		r.sane(1)
	})
}

func TestADelayGoesOnWithTheProcessGoneAndNot(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		c := r.child()
		r.exits(c, 1, false)
		due := time.Now().Add(10 * time.Second)
		r.die()
		r.keeper()
		r.is(StateRestarting)
		r.die()
		r.emptied(c)
		time.Sleep(time.Second)
		r.keeper()
		r.sane(0)
		r.die()
		time.Sleep(8 * time.Second)
		r.keeper()
		r.is(StateRestarting)
		if s := r.Core(); !s.NextRestart.Equal(due) || s.ConsecutiveFailures != 1 || !slices.Equal(s.ExitCodes, []int{1}) {
			t.Errorf("%+v, want %s", s, due)
		}
		time.Sleep(time.Until(due))
		r.is(StateRunning)
		r.sane(1)
	}, func(c *Config) { c.Definition.RestartSec = 10 * time.Second })
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
