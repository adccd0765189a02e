package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// deathsWanted is how often the keeper dies in TestStreamsSurviveHundredsOfDeaths.
const deathsWanted = 200

// What runs through all deaths, untouched.
func steadyStreams() map[string]string {
	files := map[string]string{
		// In states that must last.
		"quiet":   "Type=simple\nExecStart=@LONE@ sh -c \"echo one; echo two; echo three >&2; exec sleep 10000\"",
		"waiting": "Type=simple\nRestartSec=1h\nRestartMaxDelaySec=1h\nExecStart=sh -c \"exit 3\"",
		"failed":  "Type=simple\nRestart=no\nExecStart=sh -c \"exit 4\"",
		"stopped": "Type=simple\nExecStart=sleep 10000",
		// Lives for 50 ms, and ends with another code each time.
		"brief": "Type=simple\nRestartSec=50ms\nRestartFactor=1\nRestartJitter=0\nExecStart=@LONE@ perl @DATA@/brief @WORK@/brief.runs",
	}
	for i := range 2 {
		files[fmt.Sprintf("enc%d", i)] = "ExecStart=@FAKE@ -re -stats_period 0.05 -f lavfi -i testsrc -f mp4 -y @WORK@/${NAME}.mp4"
		files[fmt.Sprintf("num%d", i)] = "Type=simple\nExecStart=@LONE@ perl @DATA@/numbers 0.01 @WORK@/${NAME}.last" + []string{"", " half"}[i]
	}
	return files
}

// What things are done to while the keeper dies.
func touchedStreams() map[string]string {
	files := map[string]string{
		"built": "Type=simple\nAutostart=no\nCommandBuilder=@DATA@/builder",
	}
	for i := range 3 {
		files[fmt.Sprintf("toy%d", i)] = "RestartSec=50ms\nRestartFactor=1\nExecStart=@FAKE@ -re -fake q-at-once,slow-finish=40ms -stats_period 0.05 -f lavfi -i testsrc -f mp4 -y @WORK@/${NAME}.mp4"
	}
	return files
}

// lives is the state of the test.
type lives struct {
	*plain
	rnd     *rand.Rand
	before  map[string]client.Health // of the round
	at      time.Time                // of before
	waiting uint64                   // when the waiting stream is to be started again
	extra   bool                     // the file of the stream "extra" is there
}

func TestStreamsSurviveHundredsOfDeaths(t *testing.T) {
	t.Parallel()
	files := steadyStreams()
	maps.Copy(files, touchedStreams())
	l := &lives{plain: newPlain(t, files), rnd: random(t)}
	endWatch := watchLone(t, l.shim.pid, "built")
	l.start()
	l.answered()
	l.settle()
	var fds int
	l.calm(func() { fds = settledDescriptors(t, l.shim.pid) })

	rounds := 0
	scenarios := []func(*lives){(*lives).nothing, (*lives).call, (*lives).call, (*lives).call, (*lives).crash, (*lives).crash, (*lives).reload}
	for ; l.deaths < deathsWanted && !t.Failed(); rounds++ {
		l.remember()
		scenarios[l.rnd.IntN(len(scenarios))](l)
		l.steady()
	}
	if !t.Failed() {
		l.calm(func() { noLeak(t, l.shim.pid, fds) })
	}
	endWatch()
	l.finish()
	t.Logf("%d deaths in %d rounds", l.deaths, rounds)
}

// settle waits for the beginning: everything in the state that it is to keep.
func (l *lives) settle() {
	l.t.Helper()
	if err := l.client.Stop(l.ctx(), "stopped", client.Options{}); err != nil {
		l.t.Fatal(err)
	}
	for name := range steadyStreams() {
		switch {
		case strings.HasPrefix(name, "enc"):
			l.until(name, "delivers", func(h client.Health) bool { return h.Health == "ok" })
		case strings.HasPrefix(name, "num"), name == "brief":
			l.until(name, "runs", func(h client.Health) bool { return h.PID != 0 })
		}
	}
	w := l.until("waiting", "waits", func(h client.Health) bool { return h.State == "restarting" && h.NextRestartUsec != nil })
	l.waiting = *w.NextRestartUsec
	l.until("failed", "has failed", func(h client.Health) bool { return h.State == "failed" })
	// By then what was seen of it has been written down.
	l.until("quiet", "has run for a while", func(h client.Health) bool { return h.UptimeSeconds > 2 })
	l.idle()
}

// idle waits until what is touched stands still, wherever.
func (l *lives) idle() {
	l.t.Helper()
	for name := range touchedStreams() {
		l.until(name, "to be up or down", func(h client.Health) bool {
			return h.State == "running" && (h.Health == "ok" || name == "built") || h.State == "stopped"
		})
	}
}

// calm stops everything that comes and goes for a look, and starts it again.
func (l *lives) calm(look func()) {
	l.t.Helper()
	names := append(slices.Sorted(maps.Keys(touchedStreams())), "brief")
	for _, name := range names {
		if err := l.client.Stop(l.ctx(), name, client.Options{}); err != nil {
			l.t.Fatal(err)
		}
	}
	if l.extra {
		l.toggleExtra()
		if _, err := l.client.Reload(l.ctx()); err != nil {
			l.t.Fatal(err)
		}
	}
	eventually(l.t, "no zombies", func() string {
		if z := zombies(l.shim.pid); len(z) > 0 {
			return fmt.Sprint(z)
		}
		return ""
	})
	look()
	for _, name := range names {
		if _, err := l.client.Start(l.ctx(), name, client.Options{}); err != nil {
			l.t.Fatal(err)
		}
	}
	l.idle()
}

func (l *lives) remember() { l.at, l.before = time.Now(), l.report() }

// moment lets a random part of up to d pass.
func (l *lives) moment(d time.Duration) { time.Sleep(time.Duration(l.rnd.Int64N(int64(d)))) }

// die kills the keeper after a moment, does what is to be done while there is
// none, lets a few more die while they take over, and waits for one that lives.
func (l *lives) die(within time.Duration, meanwhile func()) {
	l.t.Helper()
	l.moment(within)
	l.kill()
	if meanwhile != nil {
		meanwhile()
	}
	for l.rnd.IntN(2) == 0 {
		took := max(l.took, 20*time.Millisecond)
		l.start()
		l.moment(took * 3 / 2)
		l.kill()
	}
	l.start()
	l.answered()
}

// steady checks, after the deaths of a round, what must not have noticed them.
func (l *lives) steady() {
	l.t.Helper()
	passed := time.Since(l.at).Seconds()
	after := l.report()
	check := func(name string, ok bool) {
		l.t.Helper()
		if !ok {
			l.t.Errorf("after %d deaths: %s was %s, is %s", l.deaths, name, show(l.before[name]), show(after[name]))
		}
	}
	for name, was := range l.before {
		is := after[name]
		switch {
		case strings.HasPrefix(name, "enc"), strings.HasPrefix(name, "num"), name == "quiet":
			check(name, is.State == "running" && is.PID == was.PID && is.PID != 0 && is.RestartCount == 0 && len(is.ExitCodes) == 0 &&
				is.UptimeSeconds >= was.UptimeSeconds && is.UptimeSeconds <= was.UptimeSeconds+passed+1)
			if was.Frame != nil {
				// None is known before the next block: what a killed keeper had
				// left may be older than what it had shown.
				check(name, (is.Frame == nil || *is.Frame >= *was.Frame) && is.Health == "ok")
				l.until(name, "further frames", func(h client.Health) bool { return h.Frame != nil && *h.Frame > *was.Frame })
			}
		case name == "waiting":
			check(name, is.State == "restarting" && is.NextRestartUsec != nil && is.ConsecutiveFailures == 1 &&
				slices.Equal(is.ExitCodes, []int32{3}))
			// The same moment, by clocks that are set against each other anew.
			if is.NextRestartUsec != nil && max(*is.NextRestartUsec, l.waiting)-min(*is.NextRestartUsec, l.waiting) > 1e6 {
				l.t.Errorf("waiting was to be restarted at %d, and is at %d", l.waiting, *is.NextRestartUsec)
			}
		case name == "failed":
			check(name, is.State == "failed" && slices.Equal(is.ExitCodes, []int32{4}))
		case name == "stopped":
			check(name, is.State == "stopped" && is.PID == 0 && len(is.ExitCodes) == 1)
		}
	}
	lines, err := l.client.Lines(l.ctx(), "quiet", 50)
	var texts []string
	for _, line := range lines {
		texts = append(texts, line.Text)
	}
	slices.Sort(texts) // of two pipes
	if err != nil || !slices.Equal(texts, []string{"one", "three", "two"}) {
		l.t.Errorf("the kept lines of quiet are %q, %v", texts, err)
	}
}

// finish stops everything, and checks what can only be told at the end.
func (l *lives) finish() {
	l.t.Helper()
	failures, err := l.client.StopAll(l.ctx(), client.Options{})
	if err != nil || len(failures) > 0 {
		l.t.Fatalf("%v %v", failures, err)
	}
	l.runsAreExact()
	for _, name := range []string{"num0", "num1"} {
		last := lastNumber(l.t, l.work+"/"+name+".last")
		var n numbers
		eventually(l.t, "its last line in the log", func() string {
			n = readNumbers(numberLines(l.logged(name)), last)
			if k := len(n.gaps); k > 0 && n.gaps[k-1].to == last {
				return fmt.Sprint(n.gaps[k-1])
			}
			return ""
		})
		l.t.Logf("%s: %d lines, %d lost at %d places in %d deaths, %d ends of lines", name, last, n.lost(), len(n.gaps), l.deaths, n.fragments)
		if len(n.wrong) > 0 {
			l.t.Errorf("%s: %v", name, n.wrong)
		}
		if len(n.gaps) > l.deaths || n.fragments > l.deaths {
			l.t.Errorf("%s lost lines at %d places, with %d deaths; %d ends of lines", name, len(n.gaps), l.deaths, n.fragments)
		}
		for _, g := range n.gaps {
			if g.size() > lossBound {
				l.t.Errorf("%s lost %d lines at one death, from %d on", name, g.size(), g.from)
			}
		}
	}
	eventually(l.t, "nothing left", func() string {
		if c := children(l.shim.pid); len(c) > 0 {
			return fmt.Sprint(c)
		}
		return ""
	})
}
