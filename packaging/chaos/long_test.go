package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// shortEvents is how much happens to the daemon unless CHAOS_EVENTS= says
// otherwise.
const shortEvents = 10

// long is the state of TestChaos.
type long struct {
	*booted
	rnd     *rand.Rand
	version string
	shim    int                      // its process
	first   map[string]client.Health // as they began
	members map[string][]int         // their processes
	last    map[string]client.Health
	lists   map[string]playlist
	marks   []mark
}

// mark is how far the numbered lines were, as read by the keeper, before and
// after an event.
type mark struct {
	event         event
	before, after map[string]int
}

var (
	numberStreams = []string{"num0", "num1"}
	hlsStreams    = []string{"hls0", "hls1", "hls2"}
)

// TestChaos lets everything happen, at random, to the daemon of a real systemd
// that keeps twelve real ffmpegs on air.
func TestChaos(t *testing.T) {
	t.Parallel()
	events := shortEvents
	if s := os.Getenv("CHAOS_EVENTS"); s != "" {
		var err error
		if events, err = strconv.Atoi(s); err != nil {
			t.Fatalf("CHAOS_EVENTS: %v", err)
		}
	}
	streams := realStreams()
	for i, name := range numberStreams {
		streams[name] = "Type=simple\nExecStart=perl /usr/lib/chaos/numbers 0.02 " + outputs + name + ".last" + []string{"", " half"}[i]
	}
	streams["toy"] = "Autostart=no\nExecStart=ffmpeg -y -re -f lavfi -i testsrc2=size=160x90:rate=10 -c:v libx264 -preset ultrafast -threads 1 " + outputs + "toy.mp4"
	streams["flap"] = "Type=simple\nAutostart=no\nRestartSec=1s\nRestartFactor=1\nRestartJitter=0\nExecStart=sh -c \"sleep 0.3; exit 7\""
	l := &long{booted: boot(t, streams, nil), rnd: random(t), version: "one", lists: map[string]playlist{}}

	feeder := l.feed("fed")
	for name := range realStreams() {
		l.until(name, "delivers", delivers)
	}
	for _, name := range hlsStreams {
		eventually(t, "the playlist of "+name, func() string {
			if _, err := readPlaylist(l.Path(outputs + name + ".m3u8")); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	l.shim = l.shimPID()
	l.toyAt(false)
	fds := settledDescriptors(t, l.shim)
	l.start("flap")
	endWatch := watchLone(t, l.shim)
	monitor := l.follow("ffkeeperctl", "monitor")
	top := l.follow("ffkeeperctl", "top", "--delay", "500ms")
	l.begin()

	var deck []event
	for i := range events {
		if len(deck) == 0 {
			deck = slices.DeleteFunc(slices.Clone(eventKinds), func(e event) bool { return !strings.Contains(e.name, os.Getenv("CHAOS_ONLY")) })
			l.rnd.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		e := deck[0]
		deck = deck[1:]
		m := mark{event: e, before: l.numbers()}
		begun := time.Now()
		e.do(l)
		l.back()
		l.check(e.name)
		m.after = l.numbers()
		l.marks = append(l.marks, m)
		t.Logf("%d: %s (%.1f s)", i+1, e.name, time.Since(begun).Seconds())
		if t.Failed() {
			t.Fatalf("after event %d, %s", i+1, e.name)
		}
	}

	said, shown := len(monitor.out.String()), len(top.out.String())
	l.toyAt(false)
	l.toyAt(true)
	monitor.says(t, said, "toy")
	top.says(t, shown, "rec0")
	endWatch()
	if err := l.client.Stop(l.ctx(), "flap", client.Options{}); err != nil {
		t.Fatal(err)
	}
	l.toyAt(false)
	noLeak(t, l.shim, fds)
	l.finish(feeder)
}

func (l *long) start(name string) {
	l.t.Helper()
	if _, err := l.client.Start(l.ctx(), name, client.Options{}); err != nil {
		l.t.Fatal(err)
	}
}

// begin remembers how everything is.
func (l *long) begin() {
	l.t.Helper()
	l.first, l.members = map[string]client.Health{}, map[string][]int{}
	for name, h := range l.report() {
		if l.lasts(name) {
			l.first[name] = h
			l.members[name] = l.streamMembers(name)
		}
	}
	if n := len(l.first); n != 12+len(numberStreams) {
		l.t.Fatalf("there are %d streams", n)
	}
	l.last = l.first
}

// lasts: nothing may happen to that one.
func (l *long) lasts(name string) bool { return name != "toy" && name != "flap" && name != "testcard" }

func (l *long) report() map[string]client.Health {
	l.t.Helper()
	r, err := l.client.Report(l.ctx())
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// numbers is the last numbered line that the keeper keeps, of each.
func (l *long) numbers() map[string]int {
	l.t.Helper()
	n := map[string]int{}
	for _, name := range numberStreams {
		eventually(l.t, "a line of "+name, func() string {
			lines, err := l.client.Lines(l.ctx(), name, 1)
			if err != nil || len(lines) == 0 {
				return fmt.Sprint(err)
			}
			if _, err := fmt.Sscanf(lines[0].Text, "number %d", new(int)); err != nil {
				return lines[0].Text
			}
			n[name], _ = strconv.Atoi(strings.TrimPrefix(lines[0].Text, "number "))
			return ""
		})
	}
	return n
}

// check is made after each event.
func (l *long) check(what string) {
	l.t.Helper()
	if pid := l.shimPID(); pid != l.shim {
		l.t.Fatalf("%s: the shim is process %d, and was %d", what, pid, l.shim)
	}
	now := l.report()
	for name, was := range l.first {
		is, last := now[name], l.last[name]
		if is.State != "running" || is.PID != was.PID || is.RestartCount != 0 || len(is.ExitCodes) != 0 || is.UptimeSeconds < last.UptimeSeconds {
			l.t.Errorf("%s: %s was %s, is %s", what, name, show(last), show(is))
			continue
		}
		if pids := l.streamMembers(name); !slices.Equal(pids, l.members[name]) {
			l.t.Errorf("%s: the processes of %s were %v, and are %v", what, name, l.members[name], pids)
		}
		if is.Frame != nil && last.Frame != nil && *is.Frame < *last.Frame || is.OutTimeUsec != nil && last.OutTimeUsec != nil && *is.OutTimeUsec < *last.OutTimeUsec {
			l.t.Errorf("%s: progress of %s goes back: %+v, then %+v", what, name, last, is)
		}
	}
	// It is not only known to be there: it goes on.
	for name := range realStreams() {
		last := l.last[name]
		now[name] = l.until(name, "goes on", func(h client.Health) bool {
			return delivers(h) && h.OutTimeUsec != nil && (last.OutTimeUsec == nil || *h.OutTimeUsec > *last.OutTimeUsec)
		})
	}
	l.last = now
	for _, name := range hlsStreams {
		p, err := readPlaylist(l.Path(outputs + name + ".m3u8"))
		if err != nil {
			l.t.Errorf("%s: %v", what, err)
		} else if was := l.lists[name]; p.ended || p.first < was.first || p.last < was.last {
			l.t.Errorf("%s: the playlist of %s goes back from %+v to %+v", what, name, was, p)
		}
		l.lists[name] = p
	}
	eventually(l.t, "no zombie and no cgroup too many", func() string {
		if z := zombies(l.shim); len(z) > 0 {
			return fmt.Sprintf("zombies %v", z)
		}
		for _, name := range l.streamCgroups() {
			if len(l.streamMembers(name)) == 0 && l.lasts(name) {
				return "cgroup " + name
			}
		}
		return ""
	})
}

// finish stops the service, and looks at all that the streams have left.
func (l *long) finish(f *feeder) {
	l.t.Helper()
	final := l.report()
	pictures, err := f.end()
	if err != nil {
		l.t.Errorf("feeding: %v", err)
	}
	l.Run("systemctl", "stop", "ffkeeper")
	l.gone(l.shim)
	if dirs := l.streamCgroups(); len(dirs) > 0 {
		l.t.Errorf("cgroups are left: %v", dirs)
	}
	for name, file := range map[string]string{
		"rec0": "rec0.mp4", "rec1": "rec1.mp4", "rec2": "rec2.mp4", "flv0": "flv0.flv", "flv1": "flv1.flv",
		"aud0": "aud0.m4a", "aud1": "aud1.flac", "wrap": "wrap.mp4", "fed": "fed.mp4",
	} {
		n := packets(l.t, l.Path(outputs+file))
		switch {
		case name == "fed" && n != pictures:
			l.t.Errorf("%d pictures were fed, and %d are in the file", pictures, n)
		case final[name].Frame != nil && n < int(*final[name].Frame):
			l.t.Errorf("%s has %d packets, after %d frames", file, n, *final[name].Frame)
		}
	}
	for _, name := range hlsStreams {
		if p, err := readPlaylist(l.Path(outputs + name + ".m3u8")); err != nil || !p.ended {
			l.t.Errorf("the playlist of %s at the end: %+v, %v", name, p, err)
		}
	}
	for _, name := range numberStreams {
		l.numbersAreExact(name)
	}
}

// numbersAreExact: no line is doubled; none is lost, but where a keeper was
// killed that had read it.
func (l *long) numbersAreExact(name string) {
	l.t.Helper()
	last := lastNumber(l.t, l.Path(outputs+name+".last"))
	n := readNumbers(numberLines(l.lines(name)), last)
	lossy := 0
	for _, m := range l.marks {
		if m.event.lossy {
			lossy++
		}
	}
	l.t.Logf("%s: %d lines, %d lost at %d places in %d events that may lose some, %d ends of lines", name, last, n.lost(), len(n.gaps), lossy, n.fragments)
	if len(n.wrong) > 0 {
		l.t.Errorf("%s: %v", name, n.wrong)
	}
	for _, g := range n.gaps {
		// The last line that is missing is the last that was read: after the mark
		// before what happened, or that very one.
		var then []string
		lossy := false
		for _, m := range l.marks {
			if m.before[name] <= g.to && g.to <= m.after[name] {
				then = append(then, m.event.name)
				lossy = lossy || m.event.lossy
			}
		}
		if !lossy || g.size() > lossBound {
			l.t.Errorf("%s: lines %d to %d were lost; then happened: %q", name, g.from, g.to, then)
		}
	}
}
