package stream

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// reborn is the machine as the next keeper has it: written down, read again,
// and told what the shim holds.
func (b *bench) reborn(ev evAdopted) *bench {
	b.t.Helper()
	c := clock{b.now, b.now.Sub(epoch) + time.Hour}
	data, err := b.m.encode(c)
	if err != nil {
		b.t.Fatal(err)
	}
	m := newMachine(b.m.name, b.m.def, "", b.now, b.m.random)
	if _, err := m.decode(c, data); err != nil {
		b.t.Fatal(err)
	}
	b.m = m
	return b.step(ev)
}

// held is the process that the machine knows of, as the shim tells it.
func (b *bench) held(change ...func(*evAdopted)) evAdopted {
	ev := evAdopted{held: true, pid: b.m.pid, child: b.m.child, started: b.m.started, termed: b.m.termSent, canAsk: b.m.canAsk}
	for _, c := range change {
		c(&ev)
	}
	return ev
}

func TestATERMOrKillThatTheShimNeverGotIsSentAgain(t *testing.T) {
	unsent := func(ev *evAdopted) { ev.termed = false }
	// of a stop
	b := newBench(t, testDef()).running().step(evStop{}).wait(5 * time.Second).did("actTerm")
	b.reborn(b.held(unsent)).did("actTerm").wait(5*time.Second - 1).did().wait(1).did("actKill")
	b.reborn(b.held()).did("actKill").wait(killWait-1).is(StateStopping, HealthNone, ReasonRequested)
	b.wait(1).is(StateZombie, HealthNone, ReasonStuck)
	// of what an unasked exit left behind
	b = newBench(t, testDef(func(d *streamfile.Definition) { d.RestartSec = time.Minute })).running()
	b.step(evExited{exit{code: 1}}).wait(2 * time.Second).did("actTerm")
	b.reborn(b.held(unsent)).did("actTerm").wait(2*time.Second - 1).did().wait(1).did("actKill")
	b.reborn(b.held()).did("actKill").wait(2*time.Second-1).is(StateRestarting, HealthDown, ReasonExitCode)
}

func TestATERMThatTheShimGotIsNotSentAgain(t *testing.T) {
	b := newBench(t, testDef()).running().step(evStop{}).wait(5 * time.Second).did("actTerm")
	b.reborn(b.held()).did().wait(5 * time.Second).did("actKill")
	killing := func(ev *evAdopted) { ev.killing = true }
	b.reborn(b.held(killing)).did().wait(killWait).is(StateZombie, HealthNone, ReasonStuck)
	// One by hand counts, also an INT, which the shim does not count.
	b = newBench(t, testDef()).running().step(evKilled{interrupt: true})
	b.reborn(b.held(func(ev *evAdopted) { ev.termed = false })).step(evStop{}).did("actAsk").wait(5 * time.Second).did()
	b.wait(5 * time.Second).did("actKill")
	b.exited(exit{signal: 9}).step(evStart{}).spawned().blocks(1).step(evStop{}).wait(5 * time.Second).did("actTerm")
}

func TestATERMByHandThatTheShimNeverGotLeavesTheStopItsOwn(t *testing.T) {
	b := newBench(t, testDef()).running().step(evKilled{term: true})
	b.reborn(b.held(func(ev *evAdopted) { ev.termed = false })).step(evStop{}).did("actAsk").wait(5 * time.Second).did("actTerm")
}

func TestAChildOfANewShimIsNotTakenForOneOfTheOld(t *testing.T) {
	for _, before := range []func(b *bench){
		func(b *bench) { b.running() },
		func(b *bench) { b.running().step(evStop{}).exited(exit{code: 255}) },
		func(b *bench) { b.running().exited(exit{code: 1}) },
	} {
		b := newBench(t, testDef())
		before(b)
		b.step(evShimLost{})
		if b.m.child != 0 {
			t.Errorf("%s: the child's number is still %d", b.m.state, b.m.child)
		}
	}
}

func TestAStallIsSeenThoughNobodyLeftWordOfWhatMoved(t *testing.T) {
	// What was seen is written a moment after the state.
	b := newBench(t, testDef()).running()
	b.reborn(b.held()).is(StateRunning, HealthOK, ReasonNone)
	b.wait(time.Minute-1).did().wait(1).is(StateStopping, HealthStalled, ReasonStalled)
	b = newBench(t, simpleDef()).step(evStart{}).spawned().step(evOutput{})
	b.reborn(b.held()).is(StateRunning, HealthOK, ReasonNone).wait(time.Minute).is(StateRunning, HealthStalled, ReasonStalled)
}

func TestAStreamOfWhichTheStateCannotBeReadIsNotCondemnedUnheard(t *testing.T) {
	b := newBench(t, testDef())
	b.m.state, b.m.phase, b.m.wanted = StateStarting, phaseSpawn, true
	b.now = b.now.Add(24 * time.Hour)
	b.step(evAdopted{held: true, unknown: true, pid: 7, child: 3, started: epoch, canAsk: true})
	b.wait(30*time.Second-1).did().is(StateStarting, HealthStarting, ReasonNone)
	b.moves().is(StateRunning, HealthOK, ReasonNone)
	if !b.m.started.Equal(epoch) {
		t.Errorf("started %s", b.m.started)
	}
}

func TestAStrayIsEndedAndChangesNothingElse(t *testing.T) {
	stray := evAdopted{held: true, pid: 77, child: 99, started: epoch}
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.Restart = streamfile.RestartNo })).running().exited(exit{code: 1})
	b.is(StateFailed, HealthDown, ReasonExitCode).reborn(stray).did("actKill")
	b.exited(exit{signal: 9}).is(StateFailed, HealthDown, ReasonExitCode).wait(time.Hour).did()

	b = newBench(t, testDef()).running().step(evStop{}).exited(exit{code: 255})
	b.reborn(stray).did("actKill").exited(exit{signal: 9}).is(StateStopped, HealthNone, ReasonRequested).wait(time.Hour).did()

	b = newBench(t, testDef()).running().exited(exit{code: 1}).wait(time.Second).reborn(stray).did("actKill")
	b.exited(exit{signal: 9}).is(StateRestarting, HealthDown, ReasonExitCode).wait(time.Second - 1).did().wait(1).did("actSpawn")
	if b.m.failures != 1 {
		t.Errorf("failures %d", b.m.failures)
	}

	b = newBench(t, testDef(func(d *streamfile.Definition) { d.After = []string{"a"} })).step(evStart{}).did("actDeps")
	b.reborn(stray).did("actKill").exited(exit{signal: 9}).did("actForget", "actDeps")

	// in place of the one that is known
	b = newBench(t, testDef()).running()
	b.reborn(stray).did("actKill").exited(exit{signal: 9}).did("actForget", "actSpawn")
}

func TestARunThatWasHealthyForLongEnoughIsForgivenThoughNobodySawIt(t *testing.T) {
	b := newBench(t, testDef()).running().exited(exit{code: 1}).wait(2 * time.Second).spawned().blocks(1)
	if b.m.failures != 1 {
		t.Fatalf("failures %d", b.m.failures)
	}
	gone := b.now.Add(5 * time.Minute)
	b.now = gone.Add(time.Hour)
	b.reborn(b.held())
	b.now = gone // what was read meanwhile and the end are told as of the moment when it came
	b.moves().exited(exit{code: 1}).is(StateRestarting, HealthDown, ReasonExitCode).said(KindReset)
	if b.m.failures != 1 || b.m.due.Sub(gone) != 2*time.Second {
		t.Errorf("failures %d, restart %s after the exit", b.m.failures, b.m.due.Sub(gone))
	}
}

func TestARunThatStalledBeforeItWasHealthyForLongEnoughIsNotForgiven(t *testing.T) {
	short := testDef(func(d *streamfile.Definition) { d.ActivityTimeout = 5 * time.Second })
	for name, end := range map[string]func(*bench){
		"exited": func(b *bench) { b.exited(exit{code: 1}) },
		"stalled": func(b *bench) {
			b.wait(5*time.Second).is(StateStopping, HealthStalled, ReasonStalled).exited(exit{code: 255})
		},
	} {
		b := newBench(t, short).running().exited(exit{code: 1}).wait(2 * time.Second).spawned().blocks(1)
		moved := b.m.moved
		b.now = b.now.Add(5 * time.Minute)
		b.reborn(b.held())
		b.m.moved = moved // as it was seen
		if end(b); b.m.failures != 2 {
			t.Errorf("%s: %d failures", name, b.m.failures)
		}
	}
}

func TestAStreamWhoseFileIsGoneIsForgottenWhenNothingOfItGoesOn(t *testing.T) {
	newBench(t, testDef()).step(evGone{}).did("actRemoved")
	b := newBench(t, testDef()).running().step(evGone{}).did().is(StateRunning, HealthOK, ReasonNone)
	b.step(evStop{}).exited(exit{code: 255}).did("actForget", "actRemoved")
	b = newBench(t, testDef(func(d *streamfile.Definition) { d.Restart = streamfile.RestartNo })).running()
	b.step(evGone{}).exited(exit{code: 1}).is(StateFailed, HealthDown, ReasonExitCode)
	b.step(evResetFailed{}).did("actRemoved")
}

func TestWhatWasFoundBeforeIsTakenOver(t *testing.T) {
	b := newBench(t, testDef()).running().exited(exit{code: 3}).wait(2 * time.Second).spawned().blocks(1)
	b.reborn(b.held()).is(StateRunning, HealthOK, ReasonNone).did().said(KindAdopted)
	if b.m.restarts != 1 || b.m.failures != 1 || !slices.Equal(b.m.exitCodes, []int{3}) {
		t.Errorf("restarts %d, failures %d, exit codes %v", b.m.restarts, b.m.failures, b.m.exitCodes)
	}
	b.exited(exit{code: 1})
	if got := b.m.due.Sub(b.now); got != 4*time.Second {
		t.Errorf("delay %s", got)
	}
	b.wait(time.Second).reborn(evAdopted{}).did().wait(3*time.Second - 1).did().wait(1).did("actSpawn")
}

func TestAStreamStartedUnseenStillWaitsForData(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).step(evSpawned{pid: 7, child: 1, waits: true}).step(evFed{}).exited(exit{code: 1})
	b.wait(2 * time.Second).did("actSpawn")
	b.reborn(evAdopted{held: true, pid: 8, child: 2, started: b.now, waits: true}).is(StateStarting, HealthStarting, ReasonExitCode)
	if b.wait(time.Hour).did(); !strings.Contains(b.m.detail, "stdin") {
		t.Errorf("detail %q", b.m.detail)
	}
}

func TestAStopOfLeftoversKeepsToTheTimeItIsGiven(t *testing.T) {
	b := newBench(t, testDef()).running().step(evExited{exit{code: 1}})
	b.step(evStop{timeout: time.Second}).did("actTerm").wait(time.Second).did("actKill")
}
