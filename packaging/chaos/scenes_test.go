package chaos

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// What happens around a keeper's death, one of these a round.

func (l *lives) nothing() { l.die(5*time.Millisecond, nil) }

// call has the keeper die around a call that changes something. What was
// answered has happened; what was not, either has or has not.
func (l *lives) call() {
	l.t.Helper()
	names := slices.Sorted(maps.Keys(touchedStreams()))
	name := names[l.rnd.IntN(len(names))]
	before := l.before[name]
	wait := client.Options{Wait: []string{"none", "done"}[l.rnd.IntN(2)]}
	verb := []string{"start", "stop", "restart"}[l.rnd.IntN(3)]
	do := func() (err error) {
		switch verb {
		case "start":
			_, err = l.client.Start(l.ctx(), name, wait)
		case "stop":
			err = l.client.Stop(l.ctx(), name, wait)
		default:
			_, err = l.client.Restart(l.ctx(), name, wait)
		}
		return err
	}
	answer := make(chan error, 1)
	go func() { answer <- do() }()
	l.die(60*time.Millisecond, nil)
	err := <-answer

	l.idle()
	after := l.report()[name]
	up := after.State == "running"
	same := after.PID == before.PID && after.RestartCount == before.RestartCount && slices.Equal(after.ExitCodes, before.ExitCodes)
	var wrong bool
	switch {
	case verb == "start" && before.PID != 0:
		wrong = !same
	case verb == "start":
		wrong = err == nil && !up || after.RestartCount != before.RestartCount
	case verb == "stop":
		wrong = err == nil && up || up && !same || after.RestartCount != before.RestartCount
		if before.State == "running" && !up {
			l.finished(name, before, after)
		}
	case before.PID == 0: // restart of what did not run
		wrong = err == nil && !up || after.RestartCount != before.RestartCount
	case same:
		wrong = err == nil
	default:
		wrong = !up || after.PID == before.PID || after.RestartCount != before.RestartCount+1
	}
	if wrong {
		l.t.Errorf("%s %s, answered with %v: was %s, is %s", verb, name, err, show(before), show(after))
	}
}

// finished checks the file of a stream that was stopped, and that this was its
// only end.
func (l *lives) finished(name string, before, after client.Health) {
	l.t.Helper()
	if len(after.ExitCodes) != min(10, len(before.ExitCodes)+1) {
		l.t.Errorf("%s was stopped once; exit codes %v, then %v", name, before.ExitCodes, after.ExitCodes)
	}
	if name == "built" {
		return
	}
	b, err := os.ReadFile(l.work + "/" + name + ".mp4")
	if err != nil || !strings.HasSuffix(string(b), "moov") {
		l.t.Errorf("the file of %s has not been finished (%v); %s", name, err, show(after))
	}
	p, err := l.client.Properties(l.ctx(), name)
	if err != nil || p.Wanted || p.Detail != "" {
		l.t.Errorf("%s: wanted %v, %q, %v", name, p.Wanted, p.Detail, err)
	}
}

// crash kills a stream around the keeper's death, or while there is none.
func (l *lives) crash() {
	l.t.Helper()
	name := fmt.Sprintf("toy%d", l.rnd.IntN(3))
	before := l.before[name]
	if before.PID == 0 {
		l.nothing()
		return
	}
	hit := func() { syscall.Kill(int(before.PID), syscall.SIGKILL) }
	if l.rnd.IntN(2) == 0 {
		hit()
		l.die(15*time.Millisecond, nil)
	} else {
		l.die(5*time.Millisecond, hit)
	}
	l.until(name, "runs again", func(h client.Health) bool { return h.Health == "ok" && h.PID != before.PID })
	after := l.report()[name]
	codes := append(slices.Clone(before.ExitCodes), -9)
	if after.RestartCount != before.RestartCount+1 || !slices.Equal(after.ExitCodes, codes[max(0, len(codes)-10):]) {
		l.t.Errorf("%s was killed once: was %s, is %s", name, show(before), show(after))
	}
}

// reload has the keeper die while files come, change and go.
func (l *lives) reload() {
	l.t.Helper()
	l.toggleExtra()
	change := l.rnd.IntN(2) == 0
	if change {
		l.file("enc0", steadyStreams()["enc0"]+fmt.Sprintf("\nDescription=%d", l.deaths))
	}
	if l.rnd.IntN(2) == 0 {
		l.keeper.signal(syscall.SIGHUP)
		l.die(20*time.Millisecond, nil)
	} else {
		answer := make(chan error, 1)
		go func() { _, err := l.client.Reload(l.ctx()); answer <- err }()
		l.die(20*time.Millisecond, nil)
		<-answer
	}
	// Whatever came of that one: now it is in force.
	if _, err := l.client.Reload(l.ctx()); err != nil {
		l.t.Fatal(err)
	}
	_, err := l.client.Health(l.ctx(), "extra")
	switch {
	case l.extra:
		l.until("extra", "runs", func(h client.Health) bool { return h.State == "running" })
	case !client.IsNoSuchStream(err):
		l.t.Errorf("extra, whose file is gone: %v", err)
	}
	if change {
		p, err := l.client.Properties(l.ctx(), "enc0")
		if err != nil || !p.NeedsRestart {
			l.t.Errorf("enc0 has changed, and needs a restart: %v, %v", p.NeedsRestart, err)
		}
	}
}

func (l *lives) toggleExtra() {
	l.t.Helper()
	if l.extra = !l.extra; l.extra {
		l.file("extra", "Type=simple\nExecStart=@LONE@ sleep 10000")
	} else if err := os.Remove(l.path("extra")); err != nil {
		l.t.Fatal(err)
	}
}
