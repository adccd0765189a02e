package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// changed is the definition with another digest.
func changed(c *Config) {
	d := *c.Definition
	d.Digest, d.Description = "second", "second"
	c.Definition = &d
}

func broken(c *Config) { c.Definition, c.Broken = nil, "cam1.stream:3: rubbish" }

func gone(c *Config) { c.Definition, c.FileGone = nil, true }

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
