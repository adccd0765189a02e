package chaos

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// some are real streams by name, and those of others.
func some(others map[string]string, names ...string) map[string]string {
	s, all := map[string]string{}, realStreams()
	for _, name := range names {
		s[name] = all[name]
	}
	for name, text := range others {
		s[name] = text
	}
	return s
}

// nothingRuns: keeper, shim and streams are gone, and systemd is not about to
// start any of it again.
func (b *booted) nothingRuns(what string) {
	b.t.Helper()
	jobs := func() string { return b.Run("systemctl", "list-jobs", "--no-legend") }
	// It looks whether there is something to stop, whenever the keeper has come
	// to rest.
	eventually(b.t, "ffkeeper-stopped.service to end", func() string {
		if list := jobs(); strings.Contains(list, "ffkeeper-stopped.service") {
			return list
		}
		return ""
	})
	for _, unit := range []string{keeperUnit, shimUnit} {
		if state, result := b.Property(unit, "ActiveState"), b.Property(unit, "Result"); state != "inactive" || result != "success" {
			b.t.Errorf("after %s %s is %s, %s", what, unit, state, result)
		}
	}
	if list := jobs(); list != "" && !strings.HasPrefix(list, "No jobs") {
		b.t.Errorf("after %s systemd has to do %s", what, list)
	}
	left := b.Exec("find", "/proc", "-mindepth", "1", "-maxdepth", "1", "(", "-user", "ffkeeper", "-o", "-user", "ffkeeper-streams", ")").Stdout
	if left != "" {
		b.t.Errorf("after %s there are %s", what, left)
	}
}

// withoutKeeper ends the keeper in a way that systemd does not mend: a wrong
// setting. withKeeper starts one again.
func (b *booted) withoutKeeper() {
	b.t.Helper()
	b.write("/etc/default/ffkeeper", "FFKEEPER_LOG_LEVEL=loud\n")
	b.signalKeeper(syscall.SIGKILL)
	eventually(b.t, "systemd to give up on the keeper", func() string {
		if s := b.Property(keeperUnit, "ActiveState"); s != "failed" {
			return "it is " + s
		}
		return ""
	})
}

func (b *booted) withKeeper() {
	b.t.Helper()
	b.write("/etc/default/ffkeeper", "")
	b.Run("systemctl", "start", "ffkeeper")
	b.back()
}

// TestStoppingTheStreamsServiceFinishesEverything, with a keeper, which then
// stops too, and without one.
func TestStoppingTheStreamsServiceFinishesEverything(t *testing.T) {
	t.Parallel()
	b := boot(t, some(nil, "rec0", "hls1", "fed", "aud0", "wrap"), nil)
	feeder := b.feed("fed")
	b.writes()
	monitor := b.follow("ffkeeperctl", "monitor")
	monitor.says(t, 0, "rec0")
	shim := b.shimPID()
	b.Run("systemctl", "stop", shimUnit)
	b.gone(shim)
	b.nothingRuns("systemctl stop ffkeeper-streams")
	feeder.end()
	b.filesAreFinished()
	if r := b.Journal("-t", "rec0", "-g", "command received|received signal"); len(r) != 1 || !strings.Contains(r[0]["MESSAGE"], "[q]") {
		t.Errorf("the keeper was there, and rec0 was stopped by %v", r)
	}

	said := len(monitor.out.String())
	b.Run("sh", "-c", "rm "+outputs+"*")
	b.Run("systemctl", "start", "ffkeeper")
	feeder = b.feed("fed")
	b.writes()
	monitor.says(t, said, "rec0")
	b.withoutKeeper()
	shim = b.shimPID()
	if !alive(shim) || len(b.streamMembers("rec0")) == 0 {
		t.Fatal("without a keeper the streams do not run on")
	}
	b.Run("systemctl", "stop", shimUnit)
	b.gone(shim)
	b.Run("systemctl", "reset-failed", keeperUnit)
	b.nothingRuns("systemctl stop ffkeeper-streams without a keeper")
	feeder.end()
	b.filesAreFinished()
}

// writes waits until every stream has something to finish.
func (b *booted) writes() {
	b.t.Helper()
	for _, name := range []string{"rec0", "hls1", "fed", "aud0", "wrap"} {
		b.until(name, "delivers", delivers)
	}
	// Its second half takes some seconds to make out what it gets, and a TERM
	// before it has begun with the file ends it without one.
	eventually(b.t, "the pipeline's file", func() string {
		info, err := os.Stat(b.Path(outputs + "wrap.mp4"))
		if err == nil && info.Size() > 0 {
			return ""
		}
		return fmt.Sprint(err)
	})
	begun := b.until("wrap", "delivers", delivers)
	b.until("wrap", "goes on", func(h client.Health) bool { return h.Frame != nil && *h.Frame > *begun.Frame })
}

func (b *booted) filesAreFinished() {
	b.t.Helper()
	for _, file := range []string{"rec0.mp4", "fed.mp4", "aud0.m4a", "wrap.mp4"} {
		if n := packets(b.t, b.Path(outputs+file)); n == 0 {
			b.t.Errorf("%s is empty", file)
		}
	}
	if p, err := readPlaylist(b.Path(outputs + "hls1.m3u8")); err != nil || !p.ended {
		b.t.Errorf("the playlist of hls1: %+v, %v", p, err)
	}
}

// TestKilledShimTakesItsStreamsAlongAndEachIsStartedOnce.
func TestKilledShimTakesItsStreamsAlongAndEachIsStartedOnce(t *testing.T) {
	t.Parallel()
	wanted := []string{"hls0", "hls1", "hls2", "pipe"}
	b := boot(t, some(map[string]string{
		"pipe":    "Type=simple\nExecStart=sh -c \"sleep 4001 | sleep 4002\"",
		"stopped": "Type=simple\nExecStart=sleep 4003",
		"failed":  "Type=simple\nRestart=no\nExecStart=sh -c \"exit 4\"",
	}, "hls0", "hls1", "hls2"), nil)
	for _, name := range wanted {
		b.until(name, "runs", func(h client.Health) bool { return h.PID != 0 && (name == "pipe" || delivers(h)) })
	}
	if err := b.client.Stop(b.ctx(), "stopped", client.Options{}); err != nil {
		t.Fatal(err)
	}
	b.until("failed", "has failed", func(h client.Health) bool { return h.State == "failed" })
	monitor, top := b.follow("ffkeeperctl", "monitor"), b.follow("ffkeeperctl", "top", "--delay", "300ms")
	top.says(t, monitor.says(t, 0, "hls0"), "hls0")

	shim, keeper := b.shimPID(), b.keeperPID()
	var old []int
	for _, name := range wanted {
		old = append(old, b.streamMembers(name)...)
	}
	if len(old) != 3+3 { // the pipeline is a shell and two
		t.Fatalf("the processes are %v", old)
	}
	syscall.Kill(shim, syscall.SIGKILL)
	b.gone(shim)
	for _, pid := range old {
		b.gone(pid)
	}
	said, shown := len(monitor.out.String()), len(top.out.String())
	for _, name := range wanted {
		b.until(name, "runs again", func(h client.Health) bool {
			return h.PID != 0 && h.RestartCount == 1 && h.ConsecutiveFailures == 0 && (name == "pipe" || delivers(h))
		})
		// Its beginning, and the one after the shim was lost.
		if r := b.Journal("FFKEEPER_STREAM="+name, "FFKEEPER_EVENT=started"); len(r) != 2 {
			t.Errorf("%s was started %d times", name, len(r))
		}
		if pids := b.streamMembers(name); len(pids) != map[bool]int{true: 3, false: 1}[name == "pipe"] || slices.Contains(old, pids[0]) {
			t.Errorf("the processes of %s are %v", name, pids)
		}
	}
	for name, state := range map[string]string{"stopped": "stopped", "failed": "failed"} {
		if h, err := b.client.Health(b.ctx(), name); err != nil || h.State != state || h.PID != 0 {
			t.Errorf("%s: %s, %v", name, show(h), err)
		}
	}
	if b.keeperPID() != keeper || b.Property(shimUnit, "NRestarts") != "1" {
		t.Errorf("the keeper was process %d and is %d; the shim was restarted %s times", keeper, b.keeperPID(), b.Property(shimUnit, "NRestarts"))
	}
	monitor.says(t, said, "hls2")
	top.says(t, shown, "hls2")
	if z := zombies(b.shimPID()); len(z) > 0 {
		t.Errorf("zombies %v", z)
	}
}

// TestFilesThatChangeWithoutAKeeper: what runs goes on, and can be stopped
// properly though its file is another one, or gone.
func TestFilesThatChangeWithoutAKeeper(t *testing.T) {
	t.Parallel()
	b := boot(t, some(nil, "rec0", "rec1", "rec2"), nil)
	before := map[string]client.Health{}
	names := []string{"rec0", "rec1", "rec2"}
	for _, name := range names {
		before[name] = b.until(name, "delivers", delivers)
	}
	b.withoutKeeper()
	b.write(streamFile("rec0"), "[Stream]\nDescription=changed\nExecStart=sleep 1000\nType=simple\n")
	b.write(streamFile("rec2"), "[Stream]\nExecStrat=sleep 1000\n")
	if err := os.Remove(b.Path(streamFile("rec1"))); err != nil {
		t.Fatal(err)
	}
	b.withKeeper()
	for _, name := range names {
		is := b.until(name, "goes on", func(h client.Health) bool { return delivers(h) && h.Frame != nil && *h.Frame > *before[name].Frame })
		p, err := b.client.Properties(b.ctx(), name)
		// A broken file is no new definition; one that is gone has none.
		if err != nil || is.PID != before[name].PID || p.RestartCount != 0 || p.NeedsRestart != (name != "rec2") {
			t.Errorf("%s: pid %d, then %s; it needs a restart: %v, %v", name, before[name].PID, show(is), p.NeedsRestart, err)
		}
	}
	if got := b.Run("ffkeeperctl", "status", "rec0"); !strings.Contains(got, "restart") {
		t.Errorf("ffkeeperctl does not tell that rec0 needs a restart:\n%s", got)
	}
	for _, name := range names {
		b.Run("ffkeeperctl", "stop", name)
		if packets(t, b.Path(outputs+name+".mp4")) == 0 {
			t.Errorf("the recording of %s is empty", name)
		}
	}
	// The one without a file is forgotten once it has stopped.
	eventually(t, "rec1 to be forgotten", func() string {
		_, err := b.client.Health(b.ctx(), "rec1")
		if !client.IsNoSuchStream(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
	if pid, err := b.client.Start(b.ctx(), "rec0", client.Options{}); err != nil || pid == 0 {
		t.Errorf("rec0 in its new form: %v", err)
	}
	p, err := b.client.Properties(b.ctx(), "rec0")
	if err != nil || p.NeedsRestart || p.Description != "changed" {
		t.Errorf("rec0 is %q, needs a restart %v, %v", p.Description, p.NeedsRestart, err)
	}
}
