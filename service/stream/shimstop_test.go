package stream

import (
	"slices"
	"testing"
	"time"
)

func TestWhatEndsWithAShimThatIsBeingStoppedIsNoFailure(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.step(evShimStopping{})
	b.step(evExited{exit{code: 255}}).is(StateRestarting, HealthDown, ReasonShimLost)
	b.step(evEmpty{}).is(StateRestarting, HealthDown, ReasonShimLost)
	b.wait(time.Hour).did()
	b.step(evShimLost{}).is(StateRestarting, HealthDown, ReasonShimLost)
	b.step(evShimBack{}).is(StateStarting, HealthStarting, ReasonShimLost)
	b.spawned()
	if b.m.failures != 0 || b.m.restarts != 1 || !slices.Equal(b.m.exitCodes, []int{255}) {
		t.Errorf("%d failures, %d restarts, exit codes %v", b.m.failures, b.m.restarts, b.m.exitCodes)
	}
	// The next one is a failure again.
	b.blocks(1).exited(exit{code: 1}).is(StateRestarting, HealthDown, ReasonExitCode)
}

func TestAStreamThatIsNotWantedStopsWithTheShim(t *testing.T) {
	b := newBench(t, testDef()).running()
	b.step(evShimStopping{}).step(evStop{}).exited(exit{code: 255})
	b.is(StateStopped, HealthNone, ReasonRequested)
	b.step(evShimLost{}).step(evShimBack{}).is(StateStopped, HealthNone, ReasonRequested)
}
