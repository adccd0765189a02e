package main

import (
	"bytes"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

// observed is what a supervisor can see of a run.
type observed struct {
	Code     int
	Signal   syscall.Signal
	Started  bool // there was a block
	End      bool // the last block said end
	Finished bool // the output has its trailer
	LastLine string
	Tagged   bool // every line but continuations carries its level
	Stats    bool // there were reports beside the final one
	Asked    bool // it asked whether to overwrite
}

// scene is one thing to do to both.
type scene struct {
	name string
	args string // DIR is a fresh directory, TCP a server that sends a few raw frames and then nothing
	fake string // for -fake, where the fake cannot know from the arguments
	do   func(p *ffmpegtest.Process)
	real func(p *ffmpegtest.Process) // done to the real one after do, where a mode has the fake do it to itself
	want observed                    // the little that must be so on both; for the reader, and lest both err together
	env  func(t *testing.T, dir string)
	// stalls: do is to begin when the real one waits for its input in one of
	// these system calls. The fake stalls after a block by itself.
	stalls []int
}

const (
	picture = "-re -f lavfi -i testsrc=size=64x64:rate=25 "
	toMP4   = "-c:v mpeg4 DIR/out.mp4"
	raw     = "-f rawvideo -s 64x64 -r 25 -i "
)

// rawFrames are n frames of what raw expects.
func rawFrames(n int) string { return strings.Repeat("\x80", n*64*64*3/2) }

// pending sends all signals at once, and to the main thread, lest another one
// takes its signal only after the main thread has acted on the first.
func pending(p *ffmpegtest.Process, signals ...syscall.Signal) {
	p.Signal(syscall.SIGSTOP)
	for _, s := range signals {
		p.SignalThread(s)
	}
	p.Signal(syscall.SIGCONT)
}

// exists is a directory in which the output is there already.
func exists(t *testing.T, dir string) {
	if err := os.WriteFile(filepath.Join(dir, "out.mp4"), []byte("moov, and precious"), 0o644); err != nil {
		t.Fatal(err)
	}
}

var scenes = []scene{
	{name: "q", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Write("q")
	}, want: observed{Code: 0, Started: true, End: true, Finished: true}},
	{name: "one TERM", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Signal(syscall.SIGTERM)
	}, want: observed{Code: 255, Started: true, End: true, Finished: true, LastLine: "[info] Exiting normally, received signal 15."}},
	{name: "one INT", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Signal(syscall.SIGINT)
	}, want: observed{Code: 255, Started: true, End: true, Finished: true, LastLine: "[info] Exiting normally, received signal 2."}},
	{name: "HUP", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Signal(syscall.SIGHUP)
	}, want: observed{Code: -1, Signal: syscall.SIGHUP, Started: true}},
	{name: "two signals before the trailer", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		pending(p, syscall.SIGINT, syscall.SIGTERM)
	}, want: observed{Code: 255, Started: true}},
	{name: "four signals", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		pending(p, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGXCPU)
	}, want: observed{Code: 123, Started: true, LastLine: "Received > 3 system signals, hard exiting"}},
	{name: "TERM right after the start", args: picture + toMP4, fake: "dead-time=10s", do: func(p *ffmpegtest.Process) {
		p.Signal(syscall.SIGTERM)
	}, want: observed{Code: -1, Signal: syscall.SIGTERM}},
	{name: "q with -nostdin", args: "-nostdin " + picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Write("q")
		p.AwaitBlocks(5)
		p.Signal(syscall.SIGTERM)
	}, want: observed{Code: 255, Started: true, End: true, Finished: true}},
	{name: "closed stdin is no q", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.CloseStdin()
		p.AwaitBlocks(5)
		p.Signal(syscall.SIGTERM)
	}, want: observed{Code: 255, Started: true, End: true, Finished: true}},
	{name: "end of the input", args: picture + "-t 0.6 " + toMP4,
		want: observed{Code: 0, Started: true, End: true, Finished: true}},
	{name: "no level tags", args: "-loglevel info " + picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Signal(syscall.SIGTERM)
	}, want: observed{Code: 255, Started: true, End: true, Finished: true, LastLine: "Exiting normally, received signal 15."}},
	{name: "quiet", args: "-loglevel level+error " + picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Signal(syscall.SIGTERM)
	}, want: observed{Code: 255, Started: true, End: true, Finished: true}},
	{name: "stats", args: "-stats " + picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(3)
		p.Write("q")
	}, want: observed{Code: 0, Started: true, End: true, Finished: true, Stats: true}},

	{name: "missing input", args: "-i /nonexistent/in.ts " + toMP4,
		want: observed{Code: 1, LastLine: "[error] /nonexistent/in.ts: No such file or directory"}},
	{name: "missing directory", args: picture + "-c:v mpeg4 /nonexistent/out.mp4",
		want: observed{Code: 1, LastLine: "[error] /nonexistent/out.mp4: No such file or directory"}},
	{name: "no output", args: picture, want: observed{Code: 1, LastLine: "[fatal] At least one output file must be specified"}},
	{name: "output exists, -n", args: "-n " + picture + toMP4, env: exists,
		want: observed{Code: 1, Finished: true, LastLine: "[fatal] File 'DIR/out.mp4' already exists. Exiting."}},
	{name: "output exists, -nostdin", args: "-nostdin " + picture + toMP4, env: exists,
		want: observed{Code: 1, Finished: true, LastLine: "[fatal] File 'DIR/out.mp4' already exists. Exiting."}},
	{name: "output exists, -y", args: "-y " + picture + toMP4, env: exists, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		p.Write("q")
	}, want: observed{Code: 0, Started: true, End: true, Finished: true}},
	{name: "output exists, asked, no", args: picture + toMP4, env: exists, do: func(p *ffmpegtest.Process) {
		p.Write("n\n")
	}, want: observed{Code: 1, Finished: true, Asked: true}},
	{name: "output exists, asked, yes", args: picture + toMP4, env: exists, do: func(p *ffmpegtest.Process) {
		p.Write("y\n")
		p.AwaitBlocks(2)
		p.Write("q")
	}, want: observed{Code: 0, Started: true, End: true, Finished: true, Asked: true}},

	{name: "end of stdin data", args: raw + "pipe:0 " + toMP4, do: func(p *ffmpegtest.Process) {
		p.Write(rawFrames(20))
		p.AwaitBlocks(1)
		p.CloseStdin()
	}, want: observed{Code: 0, Started: true, End: true, Finished: true}},
	{name: "TERM while it waits for stdin data", args: raw + "- " + toMP4, do: func(p *ffmpegtest.Process) {
		p.Write(rawFrames(20))
		p.AwaitBlocks(1)
		p.Signal(syscall.SIGTERM)
		p.CloseStdin()
	}, want: observed{Code: 255, Started: true, End: true, Finished: true}},

	{name: "stalled network input: q, then two TERM", args: raw + "TCP " + toMP4, fake: "stall", stalls: pollCalls, do: func(p *ffmpegtest.Process) {
		p.Write("q")
		pending(p, syscall.SIGTERM, syscall.SIGINT)
	}, want: observed{Code: 255, Started: true}},
	{name: "stalled FIFO: four signals", args: raw + "DIR/fifo " + toMP4, fake: "stall-fifo",
		env: func(t *testing.T, dir string) {
			path := filepath.Join(dir, "fifo")
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			// Open to the end of the test, or the input would be at its end.
			t.Cleanup(func() { f.Close() })
			if _, err := f.WriteString(rawFrames(8)); err != nil {
				t.Fatal(err)
			}
		}, stalls: []int{syscall.SYS_READ}, do: func(p *ffmpegtest.Process) {
			pending(p, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
			p.Signal(syscall.SIGXCPU)
		}, want: observed{Code: 123, Started: true}},
	{name: "an output that never opens", args: picture + "-c:v mpeg4 -f flv rtmp://TCPHOST/app/key", fake: "never-start",
		do: func(p *ffmpegtest.Process) {
			p.AwaitLine("an input", func(l string) bool { return strings.Contains(l, "Input #0") })
			p.Signal(syscall.SIGTERM)
		}, want: observed{Code: 1, LastLine: "[info] Exiting normally, received signal 15."}},

	{name: "stopped, TERM, continued", args: picture + toMP4, do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
		pending(p, syscall.SIGTERM)
	}, want: observed{Code: 255, Started: true, End: true, Finished: true}},
	{name: "killed", args: picture + toMP4, fake: "after=2,crash=kill", do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
	}, real: func(p *ffmpegtest.Process) {
		p.Signal(syscall.SIGKILL)
	}, want: observed{Code: -1, Signal: syscall.SIGKILL, Started: true}},
	{name: "crashed", args: picture + toMP4, fake: "after=2,crash=segv", do: func(p *ffmpegtest.Process) {
		p.AwaitBlocks(2)
	}, real: func(p *ffmpegtest.Process) {
		p.SignalThread(syscall.SIGSEGV)
	}, want: observed{Code: -1, Signal: syscall.SIGSEGV, Started: true}},
	{name: "one of two inputs stops: q, then two signals", args: picture + raw + "TCP -filter_complex overlay " + toMP4, fake: "freeze",
		do: func(p *ffmpegtest.Process) {
			p.AwaitBlock("blocks in which nothing moves", lately(5, ffmpeg.Movement{}))
			p.Write("q")
			p.AwaitLine("answer to q", func(l string) bool { return strings.Contains(l, "[q] command received") })
			pending(p, syscall.SIGTERM, syscall.SIGINT)
		}, want: observed{Code: 255, Started: true}},
	{name: "picture ends, sound goes on", args: "-rw_timeout 300000 " + raw + "TCP -re -f lavfi -i sine " + toMP4, fake: "after=3,partial-stall",
		do: func(p *ffmpegtest.Process) {
			p.AwaitBlock("blocks with a picture that stands still", func(all []ffmpeg.Block) bool {
				n := len(all)
				return n > 5 && all[n-1].Frame > 0 && all[n-1].Frame == all[n-6].Frame && all[n-1].OutTime > all[n-6].OutTime
			})
			p.Signal(syscall.SIGTERM)
		}, want: observed{Code: 255, Started: true, End: true, Finished: true}},
	{name: "an encoder looks ahead", args: "-loglevel level+error " + picture + "-c:v libx264 -x264-params rc-lookahead=30 DIR/out.mp4", fake: "lookahead=1s",
		do: func(p *ffmpegtest.Process) {
			p.AwaitBlock("blocks in which only frame moves", lately(3, ffmpeg.Movement{Frame: true}))
			p.AwaitBlock("media time", func(all []ffmpeg.Block) bool { return all[len(all)-1].OutTime > 0 })
			p.Write("q")
		}, want: observed{Code: 0, Started: true, End: true, Finished: true}},
}

// lately says whether in each of the last n blocks exactly that has moved.
func lately(n int, want ffmpeg.Movement) func([]ffmpeg.Block) bool {
	return func(all []ffmpeg.Block) bool {
		if len(all) <= n {
			return false
		}
		last := all[len(all)-n-1:]
		for i, b := range last[1:] {
			a := last[i]
			if (ffmpeg.Movement{Frame: b.Frame != a.Frame, OutTime: b.OutTime != a.OutTime, TotalSize: b.TotalSize != a.TotalSize}) != want {
				return false
			}
		}
		return true
	}
}

// TestFakeMatchesReal plays each scene to both and holds what can be seen of
// the fake against the real one.
func TestFakeMatchesReal(t *testing.T) {
	// Caught, it is no longer ignored by what is started from here, as it would be
	// under nohup.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) })
	programs := map[string]string{"real": ffmpegtest.Real(t), "fake": ffmpegtest.Build(t)}
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]observed{}
			for which, program := range programs {
				seen[which] = s.play(t, program, which == "fake")
			}
			if diff := cmp.Diff(seen["real"], seen["fake"]); diff != "" {
				t.Errorf("-real +fake\n%s", diff)
			}
			want, got := s.want, seen["real"]
			if want.LastLine == "" {
				want.LastLine = got.LastLine
			}
			want.Tagged = got.Tagged
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +real\n%s", diff)
			}
		})
	}
}

func (s scene) play(t *testing.T, program string, fake bool) observed {
	t.Helper()
	dir := t.TempDir()
	if s.env != nil {
		s.env(t, dir)
	}
	args := "-hide_banner -progress pipe:3 -stats_period 0.1 "
	if !strings.Contains(s.args, "-stats") {
		args += "-nostats "
	}
	if !strings.Contains(s.args, "-loglevel") {
		args += "-loglevel repeat+level+info "
	}
	if fake && s.fake != "" {
		args += "-fake " + s.fake + " "
	}
	args += strings.ReplaceAll(s.args, "DIR", dir)
	if strings.Contains(args, "TCP") {
		host := server(t)
		args = strings.ReplaceAll(args, "TCPHOST", host)
		args = strings.ReplaceAll(args, "TCP", "tcp://"+host)
	}
	p := ffmpegtest.Start(t, ffmpegtest.Command{Path: program, Args: strings.Fields(args), Dir: dir})
	if s.stalls != nil {
		p.AwaitBlocks(1)
		if !fake {
			awaitCall(t, p.PID(), s.stalls)
		}
	}
	if s.do != nil {
		s.do(p)
	}
	if s.real != nil && !fake {
		s.real(p)
	}
	e := p.Wait()

	file, _ := os.ReadFile(filepath.Join(dir, "out.mp4"))
	o := observed{
		Code: e.Code, Signal: e.Signal, Started: len(e.Blocks) > 0, End: e.LastBlockEnd(),
		Finished: bytes.Contains(file, []byte("moov")), Tagged: true,
	}
	reports := 0
	for _, line := range e.Lines {
		// ffmpeg and its own question share a line.
		if _, after, asked := strings.Cut(line, "Overwrite? [y/N] "); asked {
			o.Asked = true
			line = after
		}
		if ffmpeg.IsStats(line) {
			reports++
		} else if line != "" {
			o.LastLine = strings.ReplaceAll(line, dir, "DIR")
		}
		if parsed := ffmpeg.ParseLine(line); !parsed.HasLevel && !continuation(line) {
			o.Tagged = false
		}
	}
	o.Stats = reports > 1
	const hard = "Received > 3 system signals, hard exiting"
	switch text := strings.TrimPrefix(o.LastLine, "[info] "); {
	case slices.Contains(e.Lines, hard):
		o.LastLine = hard // a handler writes it, while others may still write
	case strings.HasPrefix(text, "video:"):
		o.LastLine = "(the summary)"
	case strings.HasPrefix(text, "  "):
		o.LastLine = "(the description of an output)"
	case len(e.Signals) > 1:
		// Which of them counts as the last is up to the kernel.
		o.LastLine = lastSignal.ReplaceAllString(o.LastLine, "signal N.")
	}
	// The context of a line is no matter.
	if m := context.FindString(o.LastLine); m != "" {
		o.LastLine = o.LastLine[len(m):]
	}
	return o
}

var context = regexp.MustCompile(`^(\[[^\]]* @ 0x[0-9a-f]+\] )+`)

var lastSignal = regexp.MustCompile(`signal \d+\.$`)

// pollCalls are the system calls in which ffmpeg waits for a socket.
var pollCalls = []int{syscall.SYS_PPOLL, 7 /* poll, on amd64 */}

// awaitCall waits until the main thread is in one of the system calls for good:
// seen there often enough that it is not passing through.
func awaitCall(t *testing.T, pid int, calls []int) {
	t.Helper()
	file := "/proc/" + strconv.Itoa(pid) + "/syscall"
	seen := 0
	for deadline := time.Now().Add(30 * time.Second); seen < 20; time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		number, _, _ := strings.Cut(string(data), " ")
		call, err := strconv.Atoi(number)
		if err == nil && slices.Contains(calls, call) {
			seen++
		} else {
			seen = 0
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not wait for its input: in system call %q", data)
		}
	}
}

func continuation(line string) bool {
	return line == "" || strings.HasPrefix(line, "[q] command") || strings.HasPrefix(line, "Received >")
}

// server sends 20 raw frames to whoever connects, and keeps the connection.
func server(t *testing.T) (host string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		close(done)
		l.Close()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				c.Write([]byte(rawFrames(20)))
				<-done
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}
