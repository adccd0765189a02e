package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func TestNoDelayStaysNoDelayHoweverManyFailures(t *testing.T) {
	d := testDef(func(d *streamfile.Definition) { d.RestartSec = 0 })
	for _, n := range []int{1, 1000, 1100, 1 << 30} {
		if got := backoff(d, n, 0.5); got != 0 {
			t.Errorf("failure %d: %s", n, got)
		}
	}
}

func TestRestartResetSecZeroForgetsFailuresAsSoonAsItDelivers(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.RestartReset = 0 })).running()
	b.exited(exit{code: 1}).wait(2 * time.Second).spawned()
	if b.m.failures != 1 {
		t.Fatalf("failures %d", b.m.failures)
	}
	b.blocks(1).wait(0)
	if b.m.failures != 0 {
		t.Errorf("failures %d of a stream that delivers", b.m.failures)
	}
}

func TestAShimLostBeforeTheBuilderBeganIsNoFailureOfTheStream(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) {
		d.Restart = streamfile.RestartNo
		d.CommandBuilder = streamfile.Command{Words: []string{"b"}}
	}))
	b.step(evStart{}).did("actBuild").step(evBuilt{reason: ReasonShimLost, detail: "x"}).is(StateRestarting, HealthDown, ReasonShimLost)
	if b.m.failures != 0 {
		t.Errorf("failures %d", b.m.failures)
	}
	b.step(evShimBack{}).did("actBuild")
}

func TestAStartThatLosesTheShimBeforeItHasAProcessIsNoRestart(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).step(evSpawnFailed{reason: ReasonShimLost}).step(evShimBack{}).did("actSpawn").spawned().did()
	if b.m.restarts != 0 {
		t.Errorf("restarts %d", b.m.restarts)
	}
}

func TestAStartWhileAFailedStreamsRestIsEndedForgetsTheFailures(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.RestartMaxAttempts = 0 })).running()
	b.step(evExited{exit{code: 1}}).is(StateStopping, HealthDown, ReasonRestartLimit)
	b.step(evStart{}).step(evEmpty{}).did("actForget", "actSpawn").spawned().did()
	if b.m.failures != 0 || b.m.restarts != 0 {
		t.Errorf("failures %d, restarts %d after a start by hand", b.m.failures, b.m.restarts)
	}
}

func TestACrashBeforeAStopIsNotTakenForTheStopsDoing(t *testing.T) {
	b := newBench(t, testDef()).running().step(evExited{exit{code: 1}}).step(evStop{}).step(evEmpty{}).is(StateStopped, HealthNone, ReasonRequested)
	if b.m.detail != "" {
		t.Errorf("detail %q", b.m.detail)
	}
}

func TestAStopThatLosesTheShimSaysThatFilesMayBeUnfinished(t *testing.T) {
	b := newBench(t, testDef()).running().step(evStop{}).step(evShimLost{}).is(StateStopped, HealthNone, ReasonRequested)
	if !strings.Contains(b.m.detail, "unfinished") {
		t.Errorf("detail %q", b.m.detail)
	}
}

func TestAStallThatIsBeingEndedStaysTheReasonWhenTheShimIsLost(t *testing.T) {
	b := newBench(t, testDef()).running().wait(time.Minute).is(StateStopping, HealthStalled, ReasonStalled)
	b.step(evShimLost{}).is(StateRestarting, HealthDown, ReasonStalled)
}

func TestAFullOutputThatIsReadIsNoMissingReader(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.moves().step(evSample{noReader: true}).is(StateRunning, HealthOK, ReasonNone)
	b.wait(5*time.Second).step(evSample{noReader: true}).is(StateRunning, HealthDegraded, ReasonNoReader)
	b.moves().step(evSample{noReader: true}).is(StateRunning, HealthOK, ReasonNone)
}

func TestAFullDiskDegradesUntilThereIsRoom(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.moves().step(evSample{full: "/srv/rec"}).is(StateRunning, HealthDegraded, ReasonDiskFull)
	if !strings.Contains(b.m.detail, "/srv/rec") {
		t.Errorf("detail %q", b.m.detail)
	}
	if b.logs[len(b.logs)-1] != KindDegraded {
		t.Errorf("events %v", b.logs)
	}
	b.moves().step(evSample{}).is(StateRunning, HealthOK, ReasonNone)
	b.step(evSample{full: "/srv/rec"}).step(evExited{exit{code: 1}}).step(evEmpty{}).is(StateRestarting, HealthDown, ReasonExitCode)
}

func TestAStartThatWaitsForAReaderSaysSo(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).spawned().step(evSample{noReader: true}).is(StateStarting, HealthDegraded, ReasonNoReader)
	if b.m.detail == "" {
		t.Error("no detail")
	}
	b.step(evSample{}).is(StateStarting, HealthStarting, ReasonNone)
}

func TestAStartThatWaitsForDataSaysSo(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).step(evSpawned{pid: 7, waits: true}).is(StateStarting, HealthStarting, ReasonRequested)
	if !strings.Contains(b.m.detail, "stdin") {
		t.Errorf("detail %q", b.m.detail)
	}
	if b.step(evFed{}); b.m.detail != "" {
		t.Errorf("fed, yet %q", b.m.detail)
	}
}

func TestABrokenStreamThatIsNotToStartByItselfDoesNotWhenMended(t *testing.T) {
	b := &bench{t: t, m: newMachine("cam1", nil, "cam1.stream:3: rubbish", epoch, nil), now: epoch}
	b.step(evReload{def: testDef(func(d *streamfile.Definition) { d.Autostart = false })}).did().is(StateStopped, HealthNone, ReasonNone)
	// one that was stopped by hand meanwhile stays stopped
	b = &bench{t: t, m: newMachine("cam1", nil, "cam1.stream:3: rubbish", epoch, nil), now: epoch}
	b.step(evStop{}).step(evReload{def: testDef()}).did().is(StateStopped, HealthNone, ReasonNone)
}

func TestABrokenStreamShowsTheNewestError(t *testing.T) {
	b := &bench{t: t, m: newMachine("cam1", nil, "cam1.stream:3: rubbish", epoch, nil), now: epoch}
	if b.step(evReload{bad: "cam1.stream:4: other"}); b.m.detail != "cam1.stream:4: other" {
		t.Errorf("detail %q", b.m.detail)
	}
}

func TestARemovedStreamCannotBeStartedAgain(t *testing.T) {
	for _, ev := range []event{evStart{}, evRestart{}} {
		b := newBench(t, testDef()).running().step(evRemove{}).step(ev)
		b.exited(exit{code: 255, ended: true}).did("actForget", "actRemoved").is(StateStopped, HealthNone, ReasonRequested)
	}
}

func TestARestartThatWaitsForTheOldProcessMovesItsCallersAlong(t *testing.T) {
	b := newBench(t, testDef()).step(evStart{}).spawned()
	want := b.m.attempts
	w := upWaiter(want, WaitOK)
	b.step(evRestart{})
	if done, _, err := w(b.m); done {
		t.Fatalf("a start is answered %v because of a restart", err)
	}
	b.exited(exit{code: 255}).spawned()
	if done, _, _ := w(b.m); done {
		t.Fatal("answered before it delivers")
	}
	b.blocks(1)
	if done, pid, err := w(b.m); !done || err != nil || pid != b.pid {
		t.Errorf("%v, %d, %v", done, pid, err)
	}
}

func TestACallerWhoWaitsForDeliveryIsToldOfAStallThatIsOnlyLogged(t *testing.T) {
	b := newBench(t, testDef(func(d *streamfile.Definition) { d.OnStall = streamfile.OnStallLog })).step(evStart{}).spawned()
	w := upWaiter(b.m.attempts, WaitOK)
	b.wait(31*time.Second).is(StateStarting, HealthStalled, ReasonStartTimeout)
	if done, _, err := w(b.m); !done || err == nil {
		t.Errorf("%v, %v", done, err)
	}
}
