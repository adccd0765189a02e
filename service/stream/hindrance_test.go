package stream

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/ffkeeper/ffkeeper/procmon"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func waits(cpu, memory, io float64) procmon.Pressure {
	some := func(percent float64) *procfs.PSIStats {
		return &procfs.PSIStats{Some: &procfs.PSILine{Avg10: percent}}
	}
	return procmon.Pressure{CPU: some(cpu), Memory: some(memory), IO: some(io)}
}

func TestWhatHindersAStreamIsNamed(t *testing.T) {
	for _, test := range []struct {
		name   string
		usage  *procmon.CgroupUsage
		host   string // what the host is short of
		reason Reason
		text   string
	}{
		{"CPU", &procmon.CgroupUsage{Pressure: waits(83.4, 0, 10)}, "", ReasonHostSlow, "its processes waited for a CPU for 83 % of the last 10 s: the host is too slow"},
		{"memory, and therefore the rest", &procmon.CgroupUsage{Pressure: waits(60, 55, 90)}, "", ReasonHostSlow, "its processes waited for memory for 55 % of the last 10 s: the host has too little"},
		{"a limit on memory", &procmon.CgroupUsage{Pressure: waits(60, 55, 90), MemoryLimited: true}, "", ReasonTooSlow, "its processes waited for memory for 55 % of the last 10 s: MemoryHigh= or MemoryMax= is too low"},
		{"I/O", &procmon.CgroupUsage{Pressure: waits(20, 0, 97)}, "", ReasonHostSlow, "its processes waited for I/O for 97 % of the last 10 s: a disk or network file system is too slow"},
		{"CPU more than I/O", &procmon.CgroupUsage{Pressure: waits(97, 0, 60)}, "", ReasonHostSlow, "its processes waited for a CPU for 97 % of the last 10 s: the host is too slow"},
		{"a quota", &procmon.CgroupUsage{Pressure: waits(80, 0, 0), ThrottledPercent: 90}, "", ReasonTooSlow, "throttled by CPUQuota= in 90 % of its periods"},
		{"a quota without PSI", &procmon.CgroupUsage{ThrottledPercent: 100}, "", ReasonTooSlow, "throttled by CPUQuota= in 100 % of its periods"},
		{"a quota now and then", &procmon.CgroupUsage{Pressure: waits(80, 0, 0), ThrottledPercent: 14}, "", ReasonHostSlow, "its processes waited for a CPU for 80 % of the last 10 s: the host is too slow"},
		{"a busy host, but the stream waits for nothing", &procmon.CgroupUsage{Pressure: waits(13, 0, 0)}, "processes waited", ReasonTooSlow, ""},
		{"no PSI of the cgroup, a busy host", &procmon.CgroupUsage{}, "load average is 9 on 2 CPUs", ReasonHostSlow, "load average is 9 on 2 CPUs: the host is too slow"},
		{"no cgroup, a busy host", nil, "load average is 9 on 2 CPUs", ReasonHostSlow, "load average is 9 on 2 CPUs: the host is too slow"},
		{"no cgroup, an idle host", nil, "", ReasonTooSlow, ""},
	} {
		o := &owner{Stream: &Stream{}}
		o.cfg.HostSlow = func() string { return test.host }
		var u *Usage
		if test.usage != nil {
			u = new(Usage)
			u.SetCgroup(*test.usage)
		}
		if h := o.hindrance(u); h.reason() != test.reason || h.text != test.text {
			t.Errorf("%s: %s, %q", test.name, h.reason(), h.text)
		}
	}
}

var (
	waitsForCPU = hindrance{causeCPU, "its processes waited for a CPU for 83 % of the last 10 s: the host is too slow"}
	throttled   = hindrance{causeQuota, "throttled by CPUQuota= in 90 % of its periods"}
)

func (b *bench) slow() *bench {
	b.t.Helper()
	b.wait(time.Second)
	b.last.HasFrame, b.last.HasOutTime = true, true
	b.last.Frame++
	b.last.OutTime += time.Second
	return b.step(evBlock{block: b.last, slow: true})
}

func (b *bench) detail(want string) *bench {
	b.t.Helper()
	if b.m.detail != want {
		b.t.Fatalf("at %s: detail %q, want %q", b.now.Sub(epoch), b.m.detail, want)
	}
	return b
}

func minSpeed(d *streamfile.Definition) { d.MinSpeed = 0.9 }

func TestAStreamTooSlowForItsHostSaysSoFromTheFirstMoment(t *testing.T) {
	b := newBench(t, testDef(minSpeed)).running().step(evSample{hindered: waitsForCPU}).is(StateRunning, HealthOK, ReasonNone)
	b.slow().is(StateRunning, HealthDegraded, ReasonHostSlow).said(KindDegraded)
	b.detail("speed below 0.9; " + waitsForCPU.text)
	// Only the figure changes: no new text, so no signal.
	b.step(evSample{hindered: hindrance{causeCPU, "85 %"}}).detail("speed below 0.9; " + waitsForCPU.text)
	b.step(evSample{hindered: throttled}).is(StateRunning, HealthDegraded, ReasonTooSlow).detail("speed below 0.9; " + throttled.text)
	b.step(evSample{}).is(StateRunning, HealthDegraded, ReasonTooSlow).detail("speed below 0.9")
	b.blocks(1).is(StateRunning, HealthOK, ReasonNone)
}

func TestAStallTellsAHostThatIsTooSlowFromADeadInput(t *testing.T) {
	b := newBench(t, testDef()).running().step(evSample{hindered: waitsForCPU}).wait(time.Minute)
	b.is(StateStopping, HealthStalled, ReasonStalled).detail("nothing came out for 1m0s; " + waitsForCPU.text)
	// Of the next process nothing is known yet.
	b.exited(exit{code: 255}).wait(2 * time.Second).did("actSpawn").spawned().blocks(1).wait(time.Minute)
	b.is(StateStopping, HealthStalled, ReasonStalled).detail("nothing came out for 1m0s; an input may have stopped sending, or an output taking")

	b = newBench(t, testDef()).running().step(evSample{hindered: throttled})
	for range 60 {
		b.wait(time.Second).frozen()
	}
	b.is(StateStopping, HealthStalled, ReasonPartialStall).detail("progress blocks go on, but nothing moved in them for 1m0s; " + throttled.text)

	b = newBench(t, testDef()).step(evStart{}).spawned().step(evSample{hindered: waitsForCPU}).wait(30 * time.Second)
	b.is(StateStopping, HealthStalled, ReasonStartTimeout)
	if !strings.HasSuffix(b.m.detail, "; "+waitsForCPU.text) {
		t.Errorf("detail %q", b.m.detail)
	}
}

func TestAStallOfASimpleCommandGuessesNothing(t *testing.T) {
	newBench(t, simpleDef()).step(evStart{}).spawned().step(evOutput{}).wait(time.Minute).
		is(StateRunning, HealthStalled, ReasonStalled).detail("nothing came out for 1m0s")
}

// What an earlier keeper has found is corrected by the first sample.
func TestReasonFromBeforeIsJudgedAnew(t *testing.T) {
	b := newBench(t, testDef(minSpeed)).running()
	b.m.tooSlow = ReasonHostSlow
	b.step(evSample{hindered: waitsForCPU}).is(StateRunning, HealthDegraded, ReasonHostSlow).detail("speed below 0.9; " + waitsForCPU.text)
	b.m.tooSlow, b.m.slowBy = ReasonHostSlow, hindrance{}
	b.step(evSample{}).is(StateRunning, HealthDegraded, ReasonTooSlow)
}
