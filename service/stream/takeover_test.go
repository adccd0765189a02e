package stream

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

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
