package stream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/procmon"
	"github.com/ffkeeper/ffkeeper/service/pump"
	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// TestLinesCutInTwoAtAHandOverComeOutWholeAndOnce: numbered lines are written
// in pieces of any size; keepers come and go meanwhile, and between two of
// them the shim reads, or does not.
func TestLinesCutInTwoAtAHandOverComeOutWholeAndOnce(t *testing.T) {
	const lines = 1500 // fewer than would be a flood
	p, err := pump.New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	stderr, progress := newTwoEnds(t), newTwoEnds(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rnd := rand.New(rand.NewPCG(3, 9))
		var text, blocks []byte
		for i := range lines {
			text = fmt.Appendf(text, "[info] line %d of those\n", i)
			blocks = fmt.Appendf(blocks, "frame=%d\nout_time_us=%d\nprogress=continue\n", i, i)
		}
		for len(text) > 0 || len(blocks) > 0 {
			n, k := min(len(text), 1+rnd.IntN(60)), min(len(blocks), 1+rnd.IntN(90))
			stderr.w.Write(text[:n])
			progress.w.Write(blocks[:k])
			text, blocks = text[n:], blocks[k:]
		}
	}()

	rnd := rand.New(rand.NewPCG(4, 9))
	link, _, _ := newFakeShim(t).connect(func(shim.Event) {})
	log := new(warnings)
	held := &shim.Held{Child: shim.Child{ID: 1, Stream: "cam1", PID: 7, Started: time.Now()}}
	frame := uint64(0)
	for keeper := 0; ; keeper++ {
		last := false
		select {
		case <-ended:
			last = true
		default:
		}
		held.Stderr, held.Progress = stderr.again(t), progress.again(t)
		link.mu.Lock()
		in := Inheritances(link.notes, []*shim.Held{held})["cam1"]
		link.mu.Unlock()
		// From here on all of it is this keeper's; held is the next one's.
		held = &shim.Held{Child: held.Child, Drained: map[shim.End]shim.Drained{}}
		def := streamfile.New("cam1", []string{"/bin/sh", "run"})
		s := New(Config{
			Name: "cam1", Definition: def, Shim: link, Pump: p, Log: log.logger(), Redact: redact.New(),
			Publish: func(Transition) {}, Lasting: true, Inherited: in,
		})
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		seen := log.lines()
		if last {
			log.await(t, fmt.Sprintf("line %d of those", lines-1))
		} else if rnd.IntN(2) == 0 {
			log.awaitMore(t, seen, ended) // else it is left at once
		}
		snap := s.Snapshot(t.Context())
		if g := snap.Progress; g != nil {
			if g.Frame < frame || g.Frame >= lines {
				t.Errorf("frame %d after %d", g.Frame, frame)
			}
			frame = g.Frame
		}
		if err := s.HandOver(t.Context()); err != nil {
			t.Error(err)
		}
		cancel()
		if last {
			if keeper < 3 {
				t.Errorf("only %d keepers", keeper)
			}
			break
		}
		if rnd.IntN(2) == 0 {
			held.Drained[shim.Stderr] = shim.Drained{Data: stderr.drain(t)}
			held.Drained[shim.Progress] = shim.Drained{Data: progress.drain(t)}
		}
	}
	want := 0
	for _, m := range regexp.MustCompile(`msg="([^"]*those)"`).FindAllStringSubmatch(log.all(), -1) {
		if m[1] != fmt.Sprintf("line %d of those", want) {
			t.Fatalf("%q, want line %d", m[1], want)
		}
		want++
	}
	if want != lines || strings.Contains(log.all(), "dropped") {
		t.Errorf("%d lines of %d", want, lines)
	}
}

// twoEnds is a pipe of which the shim keeps a descriptor.
type twoEnds struct{ r, w *os.File }

func newTwoEnds(t *testing.T) *twoEnds {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// A small one holds its writer up until somebody has read.
	withFD(r, func(fd int) { unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 4096) })
	t.Cleanup(func() { r.Close(); w.Close() })
	return &twoEnds{r, w}
}

// again is a descriptor for the next keeper.
func (e *twoEnds) again(t *testing.T) (f *os.File) {
	withFD(e.r, func(fd int) {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.SetNonblock(n, true)
		f = os.NewFile(uintptr(n), "pipe")
	})
	return f
}

// drain reads what there is.
func (e *twoEnds) drain(t *testing.T) []byte {
	buf := make([]byte, 64<<10)
	n := 0
	withFD(e.r, func(fd int) {
		unix.SetNonblock(fd, true)
		var err error
		if n, err = unix.Read(fd, buf); err != nil && err != unix.EAGAIN {
			t.Error(err)
		}
	})
	return buf[:max(n, 0)]
}

// drainedRig is a running stream whose keeper has been killed, and what it has
// said since.
func drainedRig(t *testing.T, f func(r *rig, log *warnings), said map[shim.End]shim.Drained, change ...func(*Config)) {
	log := new(warnings)
	onRig(t, "run", func(r *rig) {
		r.run()
		r.post(func() { r.in.owner.feedStderr([]byte("[warning] before\n[info] half")) })
		time.Sleep(time.Minute)
		r.handOver()
		c := r.child()
		r.set(func(*fakeShim) { c.drained = said })
		r.keeper(func(c *Config) { c.Log = log.logger() })
		f(r, log)
	}, change...)
}

func asFFmpeg(c *Config) {
	c.Definition.Type, c.Definition.OnStall = streamfile.TypeFFmpeg, streamfile.OnStallRestart
}

func TestWhatWasDrainedIsReadFirstAndOnce(t *testing.T) {
	drainedRig(t, func(r *rig, log *warnings) {
		r.is(StateRunning) // the blocks say that it delivers
		s := r.Snapshot(background())
		if s.Progress == nil || s.Progress.Frame != 7 || len(s.RecentErrors) != 2 || s.RecentErrors[1] != "meanwhile" {
			t.Errorf("%+v, %q", s.Progress, s.RecentErrors)
		}
		if strings.Count(log.all(), "meanwhile") != 1 || strings.Contains(log.all(), "msg=before") || log.have(string(KindUnread)) {
			t.Errorf("said %q", log.all())
		}
		r.handOver()
		r.keeper()
		r.is(StateRunning)
		if strings.Count(log.all(), "meanwhile") != 1 {
			t.Errorf("said %q", log.all())
		}
	}, map[shim.End]shim.Drained{
		shim.Stderr:   {Data: []byte("[error] meanwhile\n")},
		shim.Progress: {Data: []byte("frame=6\nprogress=continue\nframe=7\nprogress=continue\n")},
	}, asFFmpeg)
}

func TestWhatWasDroppedIsCountedAndSaid(t *testing.T) {
	drainedRig(t, func(r *rig, log *warnings) {
		r.is(StateStarting) // nothing says that it delivers
		if !log.have("FFKEEPER_EVENT=unread") || !log.have("300 bytes") || !log.have("msg=after") {
			t.Errorf("said %q", log.all())
		}
	}, map[shim.End]shim.Drained{
		shim.Stderr: {Data: []byte("[info] after\n"), Dropped: 100},
		shim.Stdout: {Data: []byte("also\n"), Dropped: 200},
	}, asFFmpeg)
}

// What the shim keeps of an hour's blocks begins in the middle of one.
func TestAnHoursAbsenceIsNoStandingPicture(t *testing.T) {
	log := new(warnings)
	onRig(t, "run", func(r *rig) {
		pid := r.run()
		r.post(func() { r.in.owner.feedProgress([]byte("frame=1\nout_time_us=1\nprogress=continue\n")) })
		r.is(StateRunning)
		r.handOver()
		time.Sleep(time.Hour)
		c := r.child()
		r.set(func(*fakeShim) {
			c.drained = map[shim.End]shim.Drained{shim.Progress: {
				Data:    []byte("_time_us=1\nout_time_us=8\nprogress=continue\nframe=90000\nout_time_us=9\nprogress=continue\n"),
				Dropped: 1 << 20,
			}}
		})
		r.keeper(func(c *Config) { c.Log = log.logger() })
		r.runsOn(pid)
		if s := r.Snapshot(background()); s.Health != HealthOK || s.Progress == nil || s.Progress.Frame != 90000 {
			t.Errorf("%s/%s %+v", s.Health, s.Reason, s.Progress)
		}
		if log.have(string(KindDegraded)) {
			t.Errorf("said %q", log.all())
		}
	}, asFFmpeg)
}

// A new keeper's first look at the disk has not come back yet, and one alone
// proves nothing; neither is a reason to say that all is well.
func TestAFullDiskIsOneUnderTheNextKeeperToo(t *testing.T) {
	log := new(warnings)
	var room procmon.Room
	with := func(c *Config) {
		c.Log = log.logger()
		c.Definition.ExecStart.Words = []string{"ffmpeg", "-i", "x", "/srv/rec/x.m3u8"}
		c.Room = func(file string) procmon.Room {
			if file != "/srv/rec/x.m3u8" {
				t.Errorf("asked for %s", file)
			}
			return room
		}
	}
	onRig(t, "run", func(r *rig) {
		pid := r.run()
		frame := 0
		sampled := func(now procmon.Room, want Health) {
			t.Helper()
			room = now
			frame++
			r.post(func() { r.in.owner.feedProgress(fmt.Appendf(nil, "frame=%d\nprogress=continue\n", frame)) })
			r.Sampled(pid, &Usage{})
			synctest.Wait()
			if s := r.Core(); s.Health != want || (want == HealthDegraded) != (s.Reason == ReasonDiskFull) {
				t.Errorf("%+v: %s/%s", now, s.Health, s.Reason)
			}
		}
		sampled(procmon.Room{}, HealthOK)
		sampled(procmon.Room{Known: true, Full: true}, HealthOK)
		sampled(procmon.Room{Known: true, Full: true, For: diskPatience}, HealthDegraded)
		r.handOver()
		r.keeper(with)
		r.runsOn(pid)
		sampled(procmon.Room{}, HealthDegraded)
		sampled(procmon.Room{Known: true, Full: true}, HealthDegraded)
		if log.have(string(KindRecovered)) {
			t.Errorf("said %q", log.all())
		}
		sampled(procmon.Room{Known: true}, HealthOK)
	}, asFFmpeg, with)
}

func TestTheLastWordsOfWhatEndedMeanwhileExplainIt(t *testing.T) {
	log := new(warnings)
	onRig(t, "run", func(r *rig) {
		r.run()
		r.die()
		c := r.child()
		r.set(func(*fakeShim) {
			c.drained = map[shim.End]shim.Drained{shim.Stderr: {Data: []byte("[error] rtsp://cam/: Connection refused\n")}}
		})
		r.exits(c, 1, true)
		r.keeper(func(c *Config) { c.Log = log.logger() })
		r.is(StateRestarting)
		if s := r.Core(); !strings.Contains(s.Detail, "Connection refused") {
			t.Errorf("detail %q", s.Detail)
		}
	}, asFFmpeg)
}

func TestAStartTimeoutCountsFromTheStartThoughNobodyWasThere(t *testing.T) {
	onRig(t, "run", func(r *rig) {
		r.run()
		time.Sleep(10 * time.Second)
		r.die()
		time.Sleep(5 * time.Second)
		r.keeper() // which gives it one more time-out from now
		time.Sleep(30*time.Second - 1)
		r.is(StateStarting)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if s := r.Core(); s.Reason != ReasonStartTimeout {
			t.Errorf("%s/%s", s.State, s.Reason)
		}
	}, asFFmpeg)
	// Long ago it is over at once.
	onRig(t, "run", func(r *rig) {
		r.run()
		r.die()
		time.Sleep(time.Hour)
		r.keeper()
		synctest.Wait()
		if s := r.Core(); s.Reason != ReasonStartTimeout || s.ConsecutiveFailures != 1 {
			t.Errorf("%s/%s", s.State, s.Reason)
		}
	}, asFFmpeg)
}

func TestAStallIsJudgedAfterATimeOfGrace(t *testing.T) {
	running := func(r *rig) {
		r.run()
		r.post(func() { r.in.owner.feedProgress([]byte("frame=1\nprogress=continue\n")) })
		r.is(StateRunning)
	}
	onRig(t, "run", func(r *rig) {
		running(r)
		time.Sleep(50 * time.Second)
		r.die()
		time.Sleep(5 * time.Second)
		r.keeper()
		time.Sleep(time.Minute - 1)
		r.is(StateRunning)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if s := r.Core(); s.Reason != ReasonStalled {
			t.Errorf("%s/%s", s.State, s.Reason)
		}
	}, asFFmpeg)
	// Keepers that come and go do not put it off for ever.
	onRig(t, "run", func(r *rig) {
		running(r)
		end := time.Now().Add(2*time.Minute + time.Second)
		for r.Core().State == StateRunning && time.Now().Before(end) {
			time.Sleep(10 * time.Second)
			r.die()
			r.keeper()
			synctest.Wait()
		}
		if s := r.Core(); s.Reason != ReasonStalled {
			t.Errorf("%s/%s", s.State, s.Reason)
		}
	}, asFFmpeg)
}
