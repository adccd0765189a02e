package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

// fakeRun starts the fake with modes, a picture and an mp4 in dir.
func fakeRun(t *testing.T, dir, modes, more string) *ffmpegtest.Process {
	t.Helper()
	args := quick + "-f lavfi -i testsrc " + more
	if modes != "" {
		args += " -fake " + modes
	}
	return ffmpegtest.Start(t, ffmpegtest.Command{
		Path: ffmpegtest.Build(t), Args: append(strings.Fields(args), "out.mp4"), Dir: dir,
	})
}

func finished(dir string) bool {
	data, _ := os.ReadFile(filepath.Join(dir, "out.mp4"))
	return bytes.HasSuffix(data, []byte("moov"))
}

func TestFakeEndsAsAsked(t *testing.T) {
	for modes, want := range map[string]struct {
		code    int
		signal  syscall.Signal
		end     bool
		blocks  int // at least
		atStart bool
	}{
		"blocks=3":                  {code: 0, end: true, blocks: 4},
		"blocks=3,exit=7":           {code: 7, end: true, blocks: 4},
		"for=200ms,exit=1":          {code: 1, end: true, blocks: 2},
		"exit-now=42":               {code: 42, atStart: true},
		"exit-now=0":                {code: 0, atStart: true},
		"crash=segv,after=2":        {code: -1, signal: syscall.SIGSEGV, blocks: 2},
		"crash=abrt":                {code: -1, signal: syscall.SIGABRT, blocks: 1},
		"crash=kill":                {code: -1, signal: syscall.SIGKILL, blocks: 1},
		"crash=term":                {code: -1, signal: syscall.SIGTERM, blocks: 1},
		"crash=31":                  {code: -1, signal: syscall.SIGSYS, blocks: 1},
		"no-such-mode":              {code: 2, atStart: true},
		"blocks=x":                  {code: 2, atStart: true},
		"for=-1s":                   {code: 2, atStart: true},
		"start-delay=50ms,blocks=1": {code: 0, end: true, blocks: 2},
		"ignore-q,blocks=2":         {code: 0, end: true, blocks: 3},
	} {
		t.Run(modes, func(t *testing.T) {
			dir := t.TempDir()
			e := fakeRun(t, dir, modes, "").Wait()
			if e.Code != want.code || e.Signal != want.signal || e.LastBlockEnd() != want.end || len(e.Blocks) < want.blocks {
				t.Errorf("code %d, signal %v, end %v, %d blocks; log %q", e.Code, e.Signal, e.LastBlockEnd(), len(e.Blocks), e.Lines)
			}
			if want.atStart && len(e.Blocks) > 0 {
				t.Errorf("%d blocks", len(e.Blocks))
			}
			if finished(dir) != want.end {
				t.Errorf("finished: %v", finished(dir))
			}
		})
	}
}

func TestFakeLeavesACore(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil || limit.Max == 0 {
		t.Skipf("no core can be left here (hard limit %d, %v)", limit.Max, err)
	}
	e := fakeRun(t, t.TempDir(), "crash=segv,core", "").Wait()
	if e.Signal != syscall.SIGSEGV || !e.Core {
		t.Errorf("signal %v, core %v", e.Signal, e.Core)
	}
}

func TestFakeDiesOnItsFirstStarts(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "starts")
	for start := 1; start <= 4; start++ {
		e := fakeRun(t, dir, "blocks=1,die=2:"+state, "-y").Wait()
		want := 1
		if start > 2 {
			want = 0
		}
		if e.Code != want || want == 0 != (len(e.Blocks) > 0) {
			t.Errorf("start %d: code %d, %d blocks", start, e.Code, len(e.Blocks))
		}
	}
}

// still are the figures of the last blocks that do not move any more, once
// there have been n more after the point.
func figuresOf(p *ffmpegtest.Process, n int) (first, last ffmpeg.Block) {
	blocks := p.AwaitBlocks(n)
	return blocks[n-4], blocks[n-1]
}

func TestFakeStandsStillAsAsked(t *testing.T) {
	for modes, want := range map[string]ffmpeg.Movement{
		"after=3":               {Frame: true, OutTime: true, TotalSize: true},
		"freeze,after=3":        {},
		"partial-stall,after=3": {OutTime: true, TotalSize: true},
		"lookahead=1h":          {Frame: true},
		"audio":                 {OutTime: true, TotalSize: true},
	} {
		t.Run(modes, func(t *testing.T) {
			t.Parallel()
			p := fakeRun(t, t.TempDir(), modes, "")
			a, b := figuresOf(p, 12)
			got := ffmpeg.Movement{
				Frame: a.Frame != b.Frame, OutTime: a.OutTime != b.OutTime, TotalSize: a.TotalSize != b.TotalSize,
			}
			if got != want {
				t.Errorf("moved: %+v, want %+v: %+v, then %+v", got, want, a, b)
			}
		})
	}
}

func TestFakeResumes(t *testing.T) {
	for _, stall := range []string{"stall", "freeze", "partial-stall"} {
		t.Run(stall, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := fakeRun(t, dir, stall+",after=2,resume=500ms", "")
			began := p.AwaitBlocks(2)[1].Frame
			p.AwaitBlock("movement", func(all []ffmpeg.Block) bool { return all[len(all)-1].Frame > began+2 })
			if stall == "stall" {
				a := p.Arrivals()
				if gap := a[2].Sub(a[1]); gap < 400*time.Millisecond {
					t.Errorf("blocks went on after %v", gap)
				}
			}
		})
	}
}

func TestFakePace(t *testing.T) {
	p := fakeRun(t, t.TempDir(), "speed=0.5,fps=50", "")
	blocks := p.AwaitBlocks(12)
	arrived := p.Arrivals()
	var rate ffmpeg.Rate
	for i, b := range blocks {
		rate.Add(b, arrived[i])
	}
	pace := rate.Over(ffmpeg.DisplayWindow, arrived[len(blocks)-1])
	if pace.Speed < 0.3 || pace.Speed > 0.8 || pace.FPS < 15 || pace.FPS > 40 {
		t.Errorf("%+v", pace)
	}
}

func TestFakeIgnoresWhatItIsAskedToIgnore(t *testing.T) {
	t.Run("q", func(t *testing.T) {
		p := fakeRun(t, t.TempDir(), "ignore-q,q-at-once", "")
		p.AwaitBlocks(1)
		p.Write("q")
		p.AwaitBlocks(5)
		p.Signal(syscall.SIGTERM)
		if e := p.Wait(); e.Code != 255 || !e.LastBlockEnd() {
			t.Errorf("code %d", e.Code)
		}
	})
	t.Run("signals", func(t *testing.T) {
		p := fakeRun(t, t.TempDir(), "ignore-term,ignore-q", "")
		p.AwaitBlocks(1)
		for range 3 {
			for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
				p.Signal(sig)
			}
			p.AwaitBlocks(len(p.Blocks()) + 2)
		}
		p.Signal(syscall.SIGKILL)
		if e := p.Wait(); e.Signal != syscall.SIGKILL {
			t.Errorf("code %d, signal %v", e.Code, e.Signal)
		}
	})
}

func TestFakeFinishesSlowly(t *testing.T) {
	size := func(dir string) int64 {
		info, err := os.Stat(filepath.Join(dir, "out.mp4"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	t.Run("undisturbed", func(t *testing.T) {
		dir := t.TempDir()
		p := fakeRun(t, dir, "slow-finish=600ms,q-at-once", "")
		p.AwaitBlocks(2)
		before := size(dir)
		p.Write("q")
		e := p.Wait()
		if e.Code != 0 || !e.LastBlockEnd() || !finished(dir) || e.Took < 500*time.Millisecond {
			t.Errorf("code %d, end %v, finished %v, took %v", e.Code, e.LastBlockEnd(), finished(dir), e.Took)
		}
		if grown := size(dir) - before; grown < 4*4096 {
			t.Errorf("it grew by %d bytes", grown)
		}
	})
	t.Run("a second signal", func(t *testing.T) {
		dir := t.TempDir()
		p := fakeRun(t, dir, "slow-finish=1h", "")
		p.AwaitBlocks(2)
		p.Signal(syscall.SIGTERM)
		before := size(dir)
		for deadline := time.Now().Add(20 * time.Second); size(dir) < before+4096 && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		p.Signal(syscall.SIGTERM)
		if e := p.Wait(); e.Code != 255 || e.LastBlockEnd() || finished(dir) {
			t.Errorf("code %d, end %v, finished %v", e.Code, e.LastBlockEnd(), finished(dir))
		}
	})
}

func TestFakeWritesToStderrAsAsked(t *testing.T) {
	t.Run("lines", func(t *testing.T) {
		e := fakeRun(t, t.TempDir(), "lines=warning,blocks=5", "").Wait()
		if n := count(e.Lines, "[fake @ 0x55d0fa6e0000] [warning] line "); n != 5 {
			t.Errorf("%d lines", n)
		}
	})
	t.Run("below the log level", func(t *testing.T) {
		e := fakeRun(t, t.TempDir(), "lines=debug,blocks=5", "").Wait()
		if n := count(e.Lines, "[fake"); n != 0 {
			t.Errorf("%d lines", n)
		}
	})
	t.Run("secrets", func(t *testing.T) {
		args := quick + "-f lavfi -i testsrc -fake secrets,blocks=1 -f flv rtmp://host/app/KEY"
		e := ffmpegtest.Start(t, ffmpegtest.Command{Path: ffmpegtest.Build(t), Args: strings.Fields(args)}).Wait()
		if n := count(e.Lines, "rtmp://host/app/KEY"); n != 4 {
			t.Errorf("the URL is in %d lines: %q", n, e.Lines)
		}
	})
	t.Run("odd lines", func(t *testing.T) {
		e := fakeRun(t, t.TempDir(), "long-line=20000,bad-utf8,blocks=2", "").Wait()
		long, bad := 0, 0
		for _, line := range e.Lines {
			if len(line) > 7000 {
				long++
			}
			if !utf8.ValidString(line) {
				bad++
			}
		}
		if long != 1 || bad != 1 {
			t.Errorf("%d long, %d bad", long, bad)
		}
	})
	t.Run("flood", func(t *testing.T) {
		p := fakeRun(t, t.TempDir(), "flood", "")
		p.AwaitBlocks(5) // it goes on beside
		p.Write("q")
		if e := p.Wait(); e.Code != 0 || count(e.Lines, "[warning]") < 10_000 {
			t.Errorf("code %d, %d lines", e.Code, len(e.Lines))
		}
	})
}

func count(lines []string, part string) (n int) {
	for _, line := range lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func TestFakeReadsRawFrames(t *testing.T) {
	args := quick + "-f rawvideo -video_size 64x64 -pix_fmt rgb24 -i - out.mp4"
	dir := t.TempDir()
	p := ffmpegtest.Start(t, ffmpegtest.Command{Path: ffmpegtest.Build(t), Args: strings.Fields(args), Dir: dir})
	p.Write(strings.Repeat("q", 64*64*3*10))
	p.AwaitBlocks(1)
	p.Write(strings.Repeat("q", 64*64*3*40))
	p.CloseStdin()
	e := p.Wait()
	if last := e.Blocks[len(e.Blocks)-1]; e.Code != 0 || last.Frame != 50 || last.OutTime != 2*time.Second || !finished(dir) {
		t.Errorf("code %d, %+v", e.Code, last)
	}
}

func TestFakeWritesRawData(t *testing.T) {
	for rate, least := range map[int]int{0: 4 << 20, 100_000: 10_000} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		args := quick + "-f lavfi -i testsrc -fake stdout-rate=" + strconv.Itoa(rate) + " -f rawvideo pipe:1"
		p := ffmpegtest.Start(t, ffmpegtest.Command{Path: ffmpegtest.Build(t), Args: strings.Fields(args), Stdout: w})
		w.Close()
		if _, err := io.CopyN(io.Discard, r, int64(least)); err != nil {
			t.Errorf("rate %d: %v", rate, err)
		}
		drained := make(chan struct{})
		go func() {
			io.Copy(io.Discard, r)
			close(drained)
		}()
		p.Write("q")
		if e := p.Wait(); e.Code != 0 || !e.LastBlockEnd() {
			t.Errorf("rate %d: code %d", rate, e.Code)
		}
		<-drained
		r.Close()
	}
}

// TestFakeLeavesOthersBehind: who is left holds our pipes; with stubborn, TERM
// does not end it.
func TestFakeLeavesOthersBehind(t *testing.T) {
	for modes, want := range map[string]int{
		"orphans=5:1h":           5,
		"grandchild=1h":          1,
		"grandchild=1h,stubborn": 1,
	} {
		t.Run(modes, func(t *testing.T) {
			p := fakeRun(t, t.TempDir(), "blocks=2,"+modes, "")
			if e := p.WaitMain(); e.Code != 0 {
				t.Fatalf("code %d", e.Code)
			}
			left := group(t, p.PID())
			if len(left) != want {
				t.Fatalf("%d processes are left", len(left))
			}
			for _, pid := range left {
				syscall.Kill(pid, syscall.SIGTERM)
			}
			stubborn := strings.Contains(modes, "stubborn")
			if !stubborn {
				p.Wait() // the pipes are closed
				return
			}
			for range 20 {
				if len(group(t, p.PID())) != want {
					t.Fatal("it ended on TERM")
				}
				time.Sleep(5 * time.Millisecond)
			}
			syscall.Kill(-p.PID(), syscall.SIGKILL)
			p.Wait()
		})
	}
}

// group are the living processes of a group.
func group(t *testing.T, pgid int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, after, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(after)
		if len(fields) > 2 && fields[2] == strconv.Itoa(pgid) && fields[0] != "Z" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}
