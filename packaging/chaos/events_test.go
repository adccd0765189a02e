package chaos

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// event is something that happens to the daemon.
type event struct {
	name string
	// lossy: a keeper is killed that may have read lines and not logged them.
	lossy bool
	do    func(*long)
}

// eventKinds are all there is; each happens before any happens twice.
var eventKinds = []event{
	{"kill -9 of the keeper", true, (*long).killed},
	{"systemctl restart", false, func(l *long) { l.Run("systemctl", "restart", "ffkeeper") }},
	{"kill -TERM of the keeper", false, func(l *long) { l.signalKeeper(syscall.SIGTERM) }},
	{"SIGSTOP until the watchdog aborts it", true, func(l *long) { l.signalKeeper(syscall.SIGSTOP) }},
	{"another version installed, and restarted", false, (*long).upgraded},
	{"re-exec of the shim", false, (*long).reexeced},
	{"systemctl daemon-reexec", false, func(l *long) { l.Run("systemctl", "daemon-reexec") }},
	{"restart of the bus", false, func(l *long) { l.Run("systemctl", "restart", "dbus.service") }},
	{"restart of the journal", false, func(l *long) { l.Run("systemctl", "restart", "systemd-journald.service") }},
	{"kill -9 in the middle of a start", true, (*long).killedInStart},
	{"kill -9 in the middle of a stop", true, (*long).killedInStop},
	{"kill -9 in the middle of a back-off wait", true, (*long).killedInBackoff},
	{"kill -9 in the middle of an adoption", true, (*long).killedInAdoption},
}

func (l *long) moment(d time.Duration) { time.Sleep(time.Duration(l.rnd.Int64N(int64(d)))) }

func (l *long) killed() { l.signalKeeper(syscall.SIGKILL) }

// upgraded is what a package does: new files, and a restart of the keeper,
// which then has the shim go on as the new program.
func (l *long) upgraded() {
	l.t.Helper()
	one, err := installTree()
	if err != nil {
		l.t.Fatal(err)
	}
	two, err := otherPrograms()
	if err != nil {
		l.t.Fatal(err)
	}
	dir, version := two, "two"
	if l.version == "two" {
		dir, version = filepath.Join(one, "bin"), "one"
	}
	l.install(dir)
	l.Run("systemctl", "restart", "ffkeeper")
	l.back()
	m, err := l.client.Manager(l.ctx())
	if err != nil || m.Version != version {
		l.t.Errorf("the keeper is of version %s, not %s: %v", m.Version, version, err)
	}
	l.version = version
	l.shimIsInstalled()
}

// reexeced installs the shim's program anew and reloads it: only another file
// tells that it was executed.
func (l *long) reexeced() {
	l.t.Helper()
	path := l.Path("/usr/bin/ffkeeper-shim")
	if out, err := exec.Command("sh", "-c", "cp $0 $0.new && mv $0.new $0", path).CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, out)
	}
	l.Run("systemctl", "reload", "ffkeeper-streams")
	l.shimIsInstalled()
}

// during kills the keeper a moment after a call was made, and answers what
// became of the call.
func (l *long) during(call func(context.Context) error) error {
	answer := make(chan error, 1)
	go func() { answer <- call(l.ctx()) }()
	l.moment(60 * time.Millisecond)
	l.killed()
	err := <-answer
	l.back()
	return err
}

// toyAt has the toy up or down before something is done to it.
func (l *long) toyAt(up bool) {
	l.t.Helper()
	var err error
	if up {
		_, err = l.client.Start(l.ctx(), "toy", client.Options{Wait: "ok"})
	} else {
		err = l.client.Stop(l.ctx(), "toy", client.Options{})
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// wait is when a call is to answer.
func (l *long) wait() client.Options {
	return client.Options{Wait: []string{"none", "done"}[l.rnd.IntN(2)]}
}

func (l *long) killedInStart() {
	l.t.Helper()
	l.toyAt(false)
	wait := l.wait()
	err := l.during(func(ctx context.Context) error {
		_, err := l.client.Start(ctx, "toy", wait)
		return err
	})
	// It has begun and goes on, or never has.
	h := l.until("toy", "up or down", func(h client.Health) bool { return delivers(h) || h.State == "stopped" })
	if err == nil && !delivers(h) {
		l.t.Errorf("a start that was answered is lost: %s", show(h))
	}
}

func (l *long) killedInStop() {
	l.t.Helper()
	l.toyAt(true)
	wait := l.wait()
	err := l.during(func(ctx context.Context) error { return l.client.Stop(ctx, "toy", wait) })
	h := l.until("toy", "up or down", func(h client.Health) bool { return delivers(h) || h.State == "stopped" })
	if err == nil && h.State != "stopped" {
		l.t.Errorf("a stop that was answered is lost: %s", show(h))
	}
	if h.State == "stopped" {
		packets(l.t, l.Path(outputs+"toy.mp4"))
	}
}

func (l *long) killedInBackoff() {
	l.t.Helper()
	before := l.until("flap", "waits for its restart", func(h client.Health) bool { return h.State == "restarting" && h.NextRestartUsec != nil })
	l.moment(300 * time.Millisecond)
	l.killed()
	l.back()
	after := l.until("flap", "lives again, or waits", func(h client.Health) bool { return h.PID != 0 || h.NextRestartUsec != nil })
	if after.RestartCount == before.RestartCount && after.NextRestartUsec != nil {
		if d := int64(*after.NextRestartUsec) - int64(*before.NextRestartUsec); d < -1e5 || d > 1e5 {
			l.t.Errorf("flap was to be restarted at %d, and is now %d µs later", *before.NextRestartUsec, d)
		}
	}
}

func (l *long) killedInAdoption() {
	l.t.Helper()
	l.killed()
	for range 1 + l.rnd.IntN(3) {
		eventually(l.t, "the next keeper", func() string {
			if l.keeperPID() == 0 {
				return "there is none"
			}
			return ""
		})
		l.moment(60 * time.Millisecond)
		l.killed()
	}
}
