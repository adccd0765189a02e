package stream

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// bench drives a machine on a clock of its own.
type bench struct {
	t    testing.TB
	m    *machine
	now  time.Time
	acts []string // names of the actions of the last step, logs left out
	logs []Kind   // of all steps
	pid  int
	last ffmpeg.Block
}

var epoch = time.Date(2026, 11, 23, 2, 15, 0, 0, time.UTC)

// testDef is the defaults of a stream file, without jitter.
func testDef(change ...func(*streamfile.Definition)) *streamfile.Definition {
	d := &streamfile.Definition{
		Name: "cam1", Type: streamfile.TypeFFmpeg, ExecStart: streamfile.Command{Words: []string{"ffmpeg"}},
		Autostart: true, Restart: streamfile.RestartAlways, RestartSec: 2 * time.Second, RestartFactor: 2,
		RestartMaxDelay: time.Minute, RestartMaxAttempts: streamfile.Infinite, RestartReset: time.Minute,
		RuntimeMax: streamfile.Infinity, HealthCheck: 5 * time.Second, TimeoutStart: 30 * time.Second,
		ActivityTimeout: time.Minute, OnStall: streamfile.OnStallRestart, TimeoutStop: 10 * time.Second,
	}
	for _, c := range change {
		c(d)
	}
	return d
}

func simpleDef(change ...func(*streamfile.Definition)) *streamfile.Definition {
	return testDef(append([]func(*streamfile.Definition){func(d *streamfile.Definition) {
		d.Type, d.OnStall = streamfile.TypeSimple, streamfile.OnStallLog
	}}, change...)...)
}

func newBench(t testing.TB, def *streamfile.Definition) *bench {
	return &bench{t: t, m: newMachine("cam1", def, "", epoch, func() float64 { return 0 }), now: epoch, pid: 100}
}

func (b *bench) step(ev event) *bench {
	b.t.Helper()
	b.acts = nil
	for _, a := range b.m.step(b.now, ev) {
		if l, ok := a.(actLog); ok {
			b.logs = append(b.logs, l.kind)
			continue
		}
		b.acts = append(b.acts, reflect.TypeOf(a).Name())
	}
	return b
}

// wait lets time pass, with ticks exactly when the machine asks for them.
func (b *bench) wait(d time.Duration) *bench {
	b.t.Helper()
	end := b.now.Add(d)
	var acts []string
	for n := 0; ; n++ {
		due := b.m.deadline()
		if due.IsZero() || due.After(end) {
			break
		}
		if n > 1000 {
			b.t.Fatalf("the machine asks for a tick at %s again and again (state %s)", due.Sub(epoch), b.m.state)
		}
		if due.After(b.now) {
			b.now = due
		}
		b.step(evTick{})
		acts = append(acts, b.acts...)
	}
	b.now, b.acts = end, acts
	return b
}

func (b *bench) spawned() *bench {
	b.t.Helper()
	b.pid++
	return b.step(evSpawned{pid: b.pid, child: uint64(b.pid), canAsk: true})
}

// blocks is a second of progress, n times.
func (b *bench) blocks(n int) *bench {
	b.t.Helper()
	for range n {
		b.wait(time.Second)
		b.moves()
	}
	return b
}

// moves is a block in which everything has moved.
func (b *bench) moves() *bench {
	b.last.HasFrame, b.last.HasOutTime = true, true
	b.last.Frame++
	b.last.OutTime += time.Second
	return b.step(evBlock{block: b.last})
}

// frozen is a block in which nothing has.
func (b *bench) frozen() *bench { return b.step(evBlock{block: b.last}) }

// running is a stream that delivers.
func (b *bench) running() *bench {
	b.t.Helper()
	b.step(evStart{}).spawned().blocks(1)
	b.is(StateRunning, HealthOK, ReasonNone)
	return b
}

func (b *bench) exited(x exit) *bench { b.t.Helper(); return b.step(evExited{x}).step(evEmpty{}) }

func (b *bench) is(s State, h Health, r Reason) *bench {
	b.t.Helper()
	if b.m.state != s || b.m.health != h || b.m.reason != r {
		b.t.Fatalf("at %s: %s/%s/%q (%s), want %s/%s/%q", b.now.Sub(epoch), b.m.state, b.m.health, b.m.reason, b.m.detail, s, h, r)
	}
	return b
}

func (b *bench) did(want ...string) *bench {
	b.t.Helper()
	if !slices.Equal(b.acts, want) {
		b.t.Fatalf("at %s: did %v, want %v", b.now.Sub(epoch), b.acts, want)
	}
	return b
}

func (b *bench) said(k Kind) *bench {
	b.t.Helper()
	if !slices.Contains(b.logs, k) {
		b.t.Fatalf("said %v, not %s", b.logs, k)
	}
	return b
}

func TestBackoffGrowsToTheCapAndJitterComesAfterIt(t *testing.T) {
	d := testDef()
	var got []string
	for n := 1; n <= 8; n++ {
		got = append(got, backoff(d, n, 0).String())
	}
	if want := "[2s 4s 8s 16s 32s 1m0s 1m0s 1m0s]"; fmt.Sprint(got) != want {
		t.Errorf("delays %v, want %v", got, want)
	}
	d.RestartJitter = 0.1
	if got := backoff(d, 1000000, 0.5); got != 63*time.Second {
		t.Errorf("jitter of half of 10 %% on the cap: %s, want 1m3s", got)
	}
	d.RestartMaxDelay = streamfile.Infinity
	if got := backoff(d, 1000000, 0.9); got <= 0 {
		t.Errorf("an endless back-off must not overflow: %s", got)
	}
}

func TestStartRunsThroughStartingToRunningOnFirstDelivery(t *testing.T) {
	b := newBench(t, testDef())
	b.is(StateStopped, HealthNone, ReasonNone)
	b.step(evStart{}).did("actSpawn").is(StateStarting, HealthStarting, ReasonRequested)
	b.spawned().is(StateStarting, HealthStarting, ReasonRequested)
	b.wait(time.Second).frozen().is(StateStarting, HealthStarting, ReasonRequested) // a block in which nothing moved
	b.moves().is(StateRunning, HealthOK, ReasonNone).said(KindDelivering)
	b.step(evStart{}).did().is(StateRunning, HealthOK, ReasonNone)
}

func TestCrashesBackOffAndAHealthyRunForgetsThem(t *testing.T) {
	b := newBench(t, testDef()).running()
	for i, delay := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
		b.exited(exit{code: 1}).is(StateRestarting, HealthDown, ReasonExitCode)
		if got := b.m.due.Sub(b.now); got != delay*time.Second {
			t.Fatalf("failure %d: delay %s", i+1, got)
		}
		b.wait(delay*time.Second - time.Millisecond).did().wait(time.Millisecond).did("actSpawn")
		b.spawned().did("actRestarted").blocks(1).is(StateRunning, HealthOK, ReasonNone)
	}
	if b.m.restarts != 7 || b.m.failures != 7 {
		t.Fatalf("restarts %d failures %d", b.m.restarts, b.m.failures)
	}
	b.blocks(58)
	if b.m.failures != 7 {
		t.Fatal("forgotten before RestartResetSec=")
	}
	b.blocks(3).said(KindReset)
	if b.m.failures != 0 {
		t.Fatal("not forgotten after RestartResetSec= of health")
	}
	b.exited(exit{code: 1})
	if got := b.m.due.Sub(b.now); got != 2*time.Second {
		t.Fatalf("delay after a healthy run: %s", got)
	}
}

func TestADegradedRunDoesNotForgetFailures(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.exited(exit{code: 1}).wait(2 * time.Second)
	b.spawned()
	for range 200 {
		b.last.OutTime += time.Second
		b.last.Frame++
		b.wait(time.Second).step(evBlock{block: b.last, slow: true})
	}
	b.is(StateRunning, HealthDegraded, ReasonTooSlow)
	if b.m.failures != 1 {
		t.Fatal("failures forgotten by a degraded run")
	}
	b.step(evSample{hindered: hindrance{by: causeHost, text: "busy"}}).is(StateRunning, HealthDegraded, ReasonHostSlow)
	b.moves().is(StateRunning, HealthOK, ReasonNone).said(KindRecovered)
}

func TestRestartLimitIsFinalAfterThatManyRestarts(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.RestartMaxAttempts = 2 })).running()
	for range 2 {
		b.exited(exit{code: 1}).is(StateRestarting, HealthDown, ReasonExitCode).wait(time.Minute).spawned()
	}
	b.step(evExited{exit{code: 1}}).is(StateStopping, HealthDown, ReasonRestartLimit).step(evEmpty{}).did("actForget", "actFailed")
	b.is(StateFailed, HealthDown, ReasonRestartLimit).wait(time.Hour).did()
}

func TestReasonsThatAreNeverRetried(t *testing.T) {
	for _, r := range []Reason{ReasonNoProgram, ReasonBadSetting} {
		b := newBench(t, testDef()).step(evStart{})
		b.step(evSpawnFailed{reason: r, detail: "x"}).is(StateFailed, HealthDown, r).did("actFailed")
	}
	b := newBench(t, testDef()).step(evStart{}).spawned()
	b.step(evExited{exit{code: 1, exists: true}}).step(evEmpty{}).is(StateFailed, HealthDown, ReasonOutputExists)
	b.wait(time.Hour).did()
	b.step(evResetFailed{}).is(StateStopped, HealthNone, ReasonRequested)
}

func TestSpawnFailureIsRetriedWithBackoff(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{})
	b.step(evSpawnFailed{reason: ReasonSpawnFailed, detail: "too many processes"}).is(StateRestarting, HealthDown, ReasonSpawnFailed)
	b.wait(2 * time.Second).did("actSpawn").step(evSpawnFailed{reason: ReasonSpawnFailed})
	if got := b.m.due.Sub(b.now); got != 4*time.Second {
		t.Fatalf("second delay %s", got)
	}
}

func TestRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy streamfile.RestartPolicy
		x      exit
		state  State
		health Health
		reason Reason
	}{
		{streamfile.RestartAlways, exit{code: 0}, StateRestarting, HealthDown, ReasonCleanExit},
		{streamfile.RestartOnFailure, exit{code: 0}, StateStopped, HealthNone, ReasonCleanExit},
		{streamfile.RestartOnFailure, exit{code: 255}, StateRestarting, HealthDown, ReasonExitCode},
		{streamfile.RestartNo, exit{code: 0}, StateStopped, HealthNone, ReasonCleanExit},
		{streamfile.RestartNo, exit{signal: 11, core: true}, StateFailed, HealthDown, ReasonCoreDump},
		{streamfile.RestartAlways, exit{signal: 9, oom: true}, StateRestarting, HealthDown, ReasonOOMKill},
		{streamfile.RestartAlways, exit{signal: 9}, StateRestarting, HealthDown, ReasonSignal},
		{streamfile.RestartAlways, exit{unknown: true}, StateRestarting, HealthDown, ReasonUnknownExit},
	} {
		b := newBench(t, testDef(func(d *streamfile.Definition) { d.Restart = c.policy })).running()
		b.exited(c.x).is(c.state, c.health, c.reason)
	}
}

func TestAStopWhileWaitingOutADelayCancelsItForGood(t *testing.T) {
	b := newBench(t, testDef()).running().exited(exit{code: 1})
	b.step(evStop{}).is(StateStopped, HealthNone, ReasonRequested).wait(time.Hour).did()
	b.step(evStart{}).did("actSpawn")
	if b.m.failures != 0 {
		t.Error("a start by hand begins a new count")
	}
}

func TestStartWhileWaitingOutADelayStartsAtOnce(t *testing.T) {
	b := newBench(t, testDef()).running().exited(exit{code: 1})
	b.step(evStart{}).did("actSpawn").is(StateStarting, HealthStarting, ReasonExitCode)
}

func TestStopAsksThenSendsOneTERMThenKills(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.step(evStop{}).did("actAsk").is(StateStopping, HealthNone, ReasonRequested)
	b.wait(5*time.Second - 1).did().wait(1).did("actTerm")
	b.wait(5*time.Second - 1).did().wait(1).did("actKill").said(KindForced)
	b.exited(exit{signal: 9}).did("actForget").is(StateStopped, HealthNone, ReasonRequested)
	if b.m.detail == "" {
		t.Error("a killed stream must say that its files may be unfinished")
	}
}

func TestStopSendsNoSecondTERMAfterOneByHand(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.step(evKilled{term: true}).step(evStop{}).did("actAsk").wait(5 * time.Second).did().wait(5 * time.Second).did("actKill")
}

func TestStopWithoutStdinBeginsWithTERMAndGivesItAllTheTime(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).step(evSpawned{pid: 7}).blocks(1)
	b.step(evStop{}).did("actTerm").wait(10*time.Second - 1).did().wait(1).did("actKill")
}

func TestStopMovesOnWhileOutputGrowsUpToSixTimes(t *testing.T) {
	b := newBench(t, testDef()).running().step(evStop{})
	for range 6 {
		b.step(evGrew{}).wait(5 * time.Second).did()
	}
	b.step(evGrew{}).wait(5 * time.Second).did("actTerm")
}

func TestStopGivesAPipelinesTailUntilTheDeadline(t *testing.T) {
	b := newBench(t, testDef()).running().step(evStop{}).did("actAsk")
	b.step(evExited{exit{code: 0, ended: true}}).is(StateStopping, HealthNone, ReasonRequested).did()
	b.wait(5 * time.Second).did("actTerm").wait(4 * time.Second).did()
	b.step(evEmpty{}).is(StateStopped, HealthNone, ReasonRequested)
}

func TestAfterAnUnaskedExitTheRestGetsTwoSeconds(t *testing.T) {
	b := newBench(t, testDef()).running().step(evExited{exit{code: 1}})
	b.is(StateRestarting, HealthDown, ReasonExitCode)
	b.wait(2 * time.Second).did("actTerm") // the delay is over too, but nothing is doubled
	b.wait(2 * time.Second).did("actKill")
	b.step(evEmpty{}).did("actForget", "actSpawn").is(StateStarting, HealthStarting, ReasonExitCode)
}

func TestAProcessInUninterruptibleSleepBecomesAZombieAndIsNotDoubled(t *testing.T) {
	b := newBench(t, testDef()).running().step(evStop{}).wait(10 * time.Second)
	b.wait(killWait).is(StateZombie, HealthNone, ReasonStuck).said(KindZombie)
	b.step(evStart{}).did().is(StateZombie, HealthDown, ReasonStuck)
	b.wait(time.Hour)
	if slices.Contains(b.acts, "actSpawn") {
		t.Fatal("doubled")
	}
	b.exited(exit{signal: 9}).is(StateStarting, HealthStarting, ReasonRequested).did("actForget", "actSpawn").said(KindZombieGone)
}

func TestAStopOfAZombieIsNotLost(t *testing.T) {
	b := newBench(t, testDef()).running().step(evRestart{}).wait(10 * time.Second).wait(killWait)
	b.is(StateZombie, HealthDown, ReasonStuck).step(evStop{}).exited(exit{signal: 9}).is(StateStopped, HealthNone, ReasonRequested)
}

func TestLeftoversThatCannotBeKilledBecomeAZombie(t *testing.T) {
	b := newBench(t, testDef()).running().step(evExited{exit{code: 1}}).wait(6 * time.Second)
	b.is(StateZombie, HealthDown, ReasonStuck).step(evEmpty{}).is(StateStarting, HealthStarting, ReasonStuck)
}

func TestLeftoversThatGoLateLeaveTheDelayInForce(t *testing.T) {
	minute := testDef(func(d *streamfile.Definition) { d.RestartSec = time.Minute })
	b := newBench(t, minute).running().step(evExited{exit{code: 1}}).wait(6*time.Second).is(StateZombie, HealthDown, ReasonStuck)
	b.wait(4*time.Second).step(evEmpty{}).is(StateRestarting, HealthDown, ReasonExitCode)
	b.wait(50*time.Second - 1).did().wait(1).did("actSpawn")
	// A start by hand ends the delay, and a lost shim leaves it.
	newBench(t, minute).running().step(evExited{exit{code: 1}}).wait(6*time.Second).step(evStart{}).step(evEmpty{}).did("actForget", "actSpawn")
	b = newBench(t, minute).running().step(evExited{exit{code: 1}}).wait(10*time.Second).step(evShimLost{}).is(StateRestarting, HealthDown, ReasonExitCode)
	b.step(evShimBack{}).wait(50*time.Second - 1).did().wait(1).did("actSpawn")
}

func TestManualRestartLeavesTheBackoffUntouched(t *testing.T) {
	b := newBench(t, testDef()).running().exited(exit{code: 1}).wait(2 * time.Second)
	b.spawned().blocks(1)
	b.step(evRestart{}).did("actAsk").exited(exit{code: 0, ended: true}).did("actForget", "actSpawn")
	b.spawned().did("actRestarted")
	if b.m.restarts != 2 || b.m.failures != 1 {
		t.Errorf("restarts %d (want 2), failures %d (want 1)", b.m.restarts, b.m.failures)
	}
}

func TestAStopDuringARestartIsNotLost(t *testing.T) {
	b := newBench(t, testDef()).running().step(evRestart{}).step(evStop{})
	b.exited(exit{code: 255, ended: true}).is(StateStopped, HealthNone, ReasonRequested).wait(time.Hour).did()
}

func TestAStartDuringAStopStartsWhenTheOldProcessIsGone(t *testing.T) {
	b := newBench(t, testDef()).running().step(evStop{}).step(evStart{}).did()
	b.exited(exit{code: 0, ended: true}).did("actForget", "actSpawn")
	b.spawned()
	if b.m.restarts != 0 {
		t.Error("a start after a stop is no restart")
	}
}

func TestAStopWhileTheShimSpawnsStopsWhatItSpawned(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).step(evStop{}).is(StateStopping, HealthNone, ReasonRequested).did()
	b.wait(time.Hour).did()
	b.spawned().did("actAsk").exited(exit{signal: 15}).is(StateStopped, HealthNone, ReasonRequested)
}

func TestAStopWhileBuildingOrAwaitingOthers(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.CommandBuilder.Words = []string{"b"} }))
	b.step(evStart{}).did("actBuild").step(evStop{}).did("actCancelBuild").is(StateStopped, HealthNone, ReasonRequested)
	b.step(evBuilt{}).did().is(StateStopped, HealthNone, ReasonRequested)
	b = newBench(t, testDef(func(d *streamfile.Definition) { d.After = []string{"a"} }))
	b.step(evStart{}).did("actDeps").step(evStop{}).did("actCancelDeps").step(evDeps{}).did().is(StateStopped, HealthNone, ReasonRequested)
}

func TestBuilderFailureIsRetried(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.CommandBuilder.Words = []string{"b"} }))
	b.step(evStart{}).step(evBuilt{reason: ReasonBuilderFailed, detail: "rubbish"}).is(StateRestarting, HealthDown, ReasonBuilderFailed)
	b.wait(2 * time.Second).did("actBuild").step(evBuilt{}).did("actSpawn")
}

func TestRequiresFailedIsRetriedAndAsksAgain(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.Requires = []string{"a"} }))
	b.step(evStart{}).step(evDeps{failed: "a", detail: "a has failed"}).is(StateRestarting, HealthDown, ReasonRequiresFailed)
	b.wait(2 * time.Second).did("actDeps").step(evDeps{}).did("actSpawn")
}

func TestNoDeliveryWithinTheStartTimeoutIsAStall(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).spawned()
	b.wait(30*time.Second-1).did().wait(1).did("actAsk").is(StateStopping, HealthStalled, ReasonStartTimeout)
	// What does not deliver has little to finish: the waits are a quarter.
	b.wait(1250 * time.Millisecond).did("actTerm").wait(1250 * time.Millisecond).did("actKill")
	b.exited(exit{signal: 9}).is(StateRestarting, HealthDown, ReasonStartTimeout)
}

func TestAStreamThatWaitsForAClientsDataHasItsStartTimeoutFromThenOn(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).step(evSpawned{pid: 7, canAsk: true, waits: true})
	b.wait(time.Hour).did().is(StateStarting, HealthStarting, ReasonRequested)
	b.step(evFed{}).wait(30 * time.Second).did("actAsk")
}

func TestSilenceIsAStallAndFrozenBlocksAreOne(t *testing.T) {
	b := newBench(t, testDef()).running().blocks(10)
	b.wait(time.Minute-1).is(StateRunning, HealthOK, ReasonNone).wait(1).did("actAsk").is(StateStopping, HealthStalled, ReasonStalled)

	b = newBench(t, testDef()).running()
	for range 59 {
		b.wait(time.Second).frozen()
	}
	b.is(StateRunning, HealthOK, ReasonNone).wait(time.Second).did("actAsk").is(StateStopping, HealthStalled, ReasonPartialStall)
	b.exited(exit{code: 255}).is(StateRestarting, HealthDown, ReasonPartialStall)
}

func TestAPictureThatStandsStillIsAPartialStallButNoRestart(t *testing.T) {
	b := newBench(t, testDef()).running()
	for range 61 {
		b.last.OutTime += time.Second
		b.wait(time.Second).frozen()
	}
	b.is(StateRunning, HealthDegraded, ReasonPartialStall).did()
	b.moves().is(StateRunning, HealthOK, ReasonNone)
}

func TestActivityTimeoutZeroIsOff(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.ActivityTimeout = 0 })).running()
	b.wait(24*time.Hour).did().is(StateRunning, HealthOK, ReasonNone)
}

func TestOnStallLogOnlySaysIt(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.OnStall = streamfile.OnStallLog })).running()
	b.wait(time.Hour).did().is(StateRunning, HealthStalled, ReasonStalled).said(KindStalled)
	b.blocks(1).is(StateRunning, HealthOK, ReasonNone).said(KindRecovered)
	n := len(b.logs)
	b.wait(time.Minute).is(StateRunning, HealthStalled, ReasonStalled)
	if len(b.logs) != n+1 {
		t.Errorf("a new stall is logged once: %v", b.logs[n:])
	}
}

func TestASimpleStreamIsUnknownUntilItHasSaidSomething(t *testing.T) {
	b := newBench(t, simpleDef()).step(evStart{}).spawned().is(StateRunning, HealthUnknown, ReasonNone)
	b.wait(time.Hour).did().is(StateRunning, HealthUnknown, ReasonNone)
	b.step(evOutput{}).is(StateRunning, HealthOK, ReasonNone)
	b.wait(time.Minute).did().is(StateRunning, HealthStalled, ReasonStalled)
}

func TestWithoutAReaderTheVerdictWaits(t *testing.T) {
	b := newBench(t, testDef()).running().wait(outputStuck).step(evSample{noReader: true}).is(StateRunning, HealthDegraded, ReasonNoReader)
	b.wait(time.Hour).did().is(StateRunning, HealthDegraded, ReasonNoReader)
	b.step(evSample{}).is(StateRunning, HealthOK, ReasonNone).wait(time.Minute).did("actAsk")
}

func TestAfterASuspendTheVerdictWaitsForABoundedTime(t *testing.T) {
	b := newBench(t, testDef()).running().wait(59 * time.Second).step(evGrace{})
	b.wait(59*time.Second).did().is(StateRunning, HealthOK, ReasonNone)
	for range 10 {
		b.step(evGrace{}) // starved for ever
		b.wait(500 * time.Millisecond)
	}
	b.is(StateStopping, HealthStalled, ReasonStalled)
}

func TestRuntimeMaxIsAPlannedRestart(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.RuntimeMax = time.Hour })).running()
	b.blocks(3598).is(StateRunning, HealthOK, ReasonNone).wait(time.Second).did("actAsk").is(StateStopping, HealthDown, ReasonRuntimeMax)
	b.exited(exit{code: 0, ended: true}).did("actForget", "actSpawn").spawned()
	if b.m.restarts != 1 || b.m.failures != 0 {
		t.Errorf("restarts %d failures %d", b.m.restarts, b.m.failures)
	}
}

func TestALostShimIsNoFailureOfTheStream(t *testing.T) {
	b := newBench(t, testDef()).running().step(evShimLost{}).is(StateRestarting, HealthDown, ReasonShimLost).did("actForget")
	b.wait(time.Hour).did().step(evShimBack{}).did("actSpawn").spawned().did("actRestarted")
	if b.m.failures != 0 {
		t.Error("counted as a failure")
	}
}

func TestAShimLostInTheMiddleOf(t *testing.T) {
	// a stop
	b := newBench(t, testDef()).running().step(evStop{}).step(evShimLost{}).is(StateStopped, HealthNone, ReasonRequested)
	b.step(evShimBack{}).did()
	// a spawn
	b = newBench(t, testDef()).step(evStart{}).step(evShimLost{}).is(StateRestarting, HealthDown, ReasonShimLost)
	b.step(evShimBack{}).did("actSpawn")
	// a restart
	newBench(t, testDef()).running().step(evRestart{}).step(evShimLost{}).is(StateRestarting, HealthDown, ReasonShimLost)
	// a delay
	b = newBench(t, testDef()).running().exited(exit{code: 1}).step(evShimLost{}).is(StateRestarting, HealthDown, ReasonExitCode)
	b.step(evShimBack{}).did().wait(2 * time.Second).did("actSpawn")
	// a zombie that had been asked to stop
	newBench(t, testDef()).running().step(evStop{}).wait(20*time.Second).step(evShimLost{}).is(StateStopped, HealthNone, ReasonRequested)
}

func TestAReloadLeavesWhatRunsAloneUntilTheNextStart(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.step(evReload{def: testDef(func(d *streamfile.Definition) { d.RestartSec = 7 * time.Second })}).did().is(StateRunning, HealthOK, ReasonNone)
	if b.m.next == nil {
		t.Fatal("NeedsRestart not known")
	}
	b.exited(exit{code: 1})
	if got := b.m.due.Sub(b.now); got != 7*time.Second {
		t.Errorf("an automatic start takes the new definition too: delay %s", got)
	}
}

func TestABrokenFileLeavesTheRunningDefinitionInForce(t *testing.T) {
	b := newBench(t, testDef()).running().step(evReload{bad: "x.stream:3: rubbish"})
	b.exited(exit{code: 1}).is(StateRestarting, HealthDown, ReasonExitCode).wait(2 * time.Second).did("actSpawn")
	b.spawned().blocks(1).is(StateRunning, HealthOK, ReasonNone)
}

func TestAStreamWithABrokenFileFailsAndStartsOnceItIsMended(t *testing.T) {
	m := newMachine("cam1", nil, "cam1.stream:3: rubbish", epoch, nil)
	b := &bench{t: t, m: m, now: epoch}
	b.is(StateFailed, HealthDown, ReasonBadSetting).step(evStart{}).did().is(StateFailed, HealthDown, ReasonBadSetting)
	b.step(evReload{def: testDef()}).did("actSpawn").is(StateStarting, HealthStarting, ReasonRequested)
}

func TestARemovedStreamIsForgottenOnceStopped(t *testing.T) {
	b := newBench(t, testDef()).running().step(evRemove{}).did("actAsk")
	b.exited(exit{code: 255, ended: true}).did("actForget", "actRemoved")
	newBench(t, testDef()).step(evRemove{}).did("actRemoved")
}
