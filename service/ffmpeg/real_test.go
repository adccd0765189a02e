package ffmpeg_test

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

const (
	picture = "-re -f lavfi -i testsrc=size=64x64:rate=25 "
	tone    = "-re -f lavfi -i sine "
	// fed is a picture that comes over TCP and stops after 60 frames.
	fed = "-f rawvideo -s 64x64 -r 25 -re -i TCP "
)

// watched is a real ffmpeg whose blocks go into a Liveness and a Rate.
type watched struct {
	t    *testing.T
	p    *ffmpegtest.Process
	live ffmpeg.Liveness
	rate ffmpeg.Rate
	fed  int
}

// watch starts the command line that Prepare makes, with blocks four times a
// second.
func watch(t *testing.T, args string) *watched {
	t.Helper()
	if strings.Contains(args, "TCP") {
		args = strings.ReplaceAll(args, "TCP", "tcp://"+server(t, 60*64*64*3/2))
	}
	program := ffmpegtest.Real(t)
	argv := append([]string{program, "-hide_banner", "-stats_period", "0.25"}, strings.Fields(args)...)
	prepared := ffmpeg.Prepare(argv, true)
	if !prepared.Progress || !prepared.Levels {
		t.Fatalf("Prepare: %+v", prepared)
	}
	return &watched{t: t, p: ffmpegtest.Start(t, ffmpegtest.Command{Path: program, Args: prepared.Argv[1:], Dir: t.TempDir()})}
}

// catchUp feeds the blocks that have come since, and judges.
func (w *watched) catchUp(timeout time.Duration) ffmpeg.Verdict {
	blocks := w.p.Blocks()
	arrived := w.p.Arrivals()
	for ; w.fed < min(len(blocks), len(arrived)); w.fed++ {
		w.live.Feed(blocks[w.fed], arrived[w.fed])
		w.rate.Add(blocks[w.fed], arrived[w.fed])
	}
	return w.live.Judge(time.Now(), timeout)
}

// becomes waits for a verdict. Nothing tells of silence but the time, so it
// looks.
func (w *watched) becomes(want ffmpeg.Verdict, timeout time.Duration) {
	w.t.Helper()
	var got ffmpeg.Verdict
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = w.catchUp(timeout); got == want {
			return
		}
	}
	blocks := w.p.Blocks()
	w.t.Fatalf("it is %v, not %v; the last of %d blocks: %+v", got, want, len(blocks), blocks[max(len(blocks)-3, 0):])
}

// stays wants all verdicts from the first delivery until the output has come to
// out.
func (w *watched) stays(want ffmpeg.Verdict, timeout, out time.Duration) {
	w.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got := w.catchUp(timeout); got != ffmpeg.Waiting && got != want {
			w.t.Fatalf("it is %v, not %v, after %+v", got, want, w.p.Blocks())
		}
		if blocks := w.p.Blocks(); len(blocks) > 0 && blocks[len(blocks)-1].OutTime >= out {
			return
		}
	}
	w.t.Fatalf("it never came to %v: %+v", out, w.p.Blocks())
}

// server sends n bytes to whoever connects, keeps the connection, and reads
// nothing.
func server(t *testing.T, n int) (host string) {
	t.Helper()
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
				c.Write(make([]byte, n))
				<-done
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestRealStallsAreTold(t *testing.T) {
	for _, c := range []struct {
		name, args string
		want       ffmpeg.Verdict
	}{
		// From ffmpeg 7.0 on this is Frozen, like the second.
		{"the only input", fed + "-c:v mpeg4 out.mkv", ffmpeg.Silent},
		{"one of two inputs", fed + tone + "-c:v mpeg4 -c:a aac out.mkv", ffmpeg.Frozen},
		{"one of two inputs has died", "-rw_timeout 500000 " + fed + tone + "-c:v mpeg4 -c:a aac out.mkv", ffmpeg.FramesStalled},
		{"an output that is not read", picture + "-f rawvideo tcp://OUT", ffmpeg.Silent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if strings.Contains(args, "OUT") {
				args = strings.ReplaceAll(args, "tcp://OUT", "-s 1920x1080 tcp://"+server(t, 0))
			}
			w := watch(t, args)
			w.becomes(ffmpeg.Delivering, 3*time.Second)
			w.becomes(c.want, 3*time.Second)
		})
	}
}

func TestAStoppedProcessIsSilent(t *testing.T) {
	t.Parallel()
	w := watch(t, picture+"-f null -")
	w.p.AwaitBlocks(4)
	w.becomes(ffmpeg.Delivering, 2*time.Second)
	w.p.Signal(syscall.SIGSTOP)
	w.becomes(ffmpeg.Silent, 2*time.Second)
	if pace := w.rate.Over(ffmpeg.DisplayWindow, time.Now().Add(ffmpeg.DisplayWindow)); !pace.HasSpeed || pace.Speed != 0 {
		t.Errorf("pace of a stopped process: %+v", pace)
	}
	w.p.Signal(syscall.SIGCONT)
	w.becomes(ffmpeg.Delivering, 2*time.Second)
}

// The timeouts are above what the machine may be held up by, and far below what
// stands still.
func TestRealDeliveryIsNoStall(t *testing.T) {
	for _, c := range []struct {
		name, args   string
		timeout, out time.Duration
	}{
		{"audio only", tone + "-c:a aac out.mp4", 3 * time.Second, 5 * time.Second},
		{"a frame in four seconds", picture + "-vf fps=1/4 -c:v mpeg4 out.mkv", 6 * time.Second, 8 * time.Second},
		{"a long look-ahead", picture + "-c:v libx264 -rc-lookahead 100 out.mp4", 3 * time.Second, time.Second},
		{"no size", picture + tone + "-c:v mpeg4 -c:a aac -f hls out.m3u8", 3 * time.Second, 5 * time.Second},
		{"time before zero", picture + "-vf setpts=PTS-60/TB -fps_mode passthrough -f null -", 3 * time.Second, -55 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, c.args)
			w.stays(ffmpeg.Delivering, c.timeout, c.out)
		})
	}
}

// TestRealExitsAreExplained runs what Prepare made of a command line that
// cannot work.
func TestRealExitsAreExplained(t *testing.T) {
	exists := filepath.Join(t.TempDir(), "out.mp4")
	for _, c := range []struct {
		name, args, want string
		exists           bool
	}{
		{"missing input", "-i /nonexistent/in.ts -f null -", "/nonexistent/in.ts: No such file or directory", false},
		{"refused", picture + "-f mpegts tcp://127.0.0.1:1", "tcp://127.0.0.1:1: Connection refused", false},
		{"bad option", picture + "-nosuchoption 1 -f null -", "Unrecognized option 'nosuchoption'.", false},
		{"bad filter", picture + "-vf nosuchfilter -f null -", "No such filter: 'nosuchfilter'", false},
		{"bad format", picture + "-f nosuchformat x", "Requested output format 'nosuchformat' is not a suitable output format", false},
		{"output exists", picture + exists, "File '" + exists + "' already exists. Exiting.", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.exists {
				writeFile(t, exists, "precious")
			}
			w := watch(t, c.args)
			e := w.p.Wait()
			if e.Code == 0 || e.Signal != 0 || ffmpeg.Clean(e.Code, e.Signal != 0, e.LastBlockEnd()) {
				t.Errorf("code %d, signal %v", e.Code, e.Signal)
			}
			if got := ffmpeg.Explain(e.Lines); got.Text != c.want || got.OutputExists != c.exists {
				t.Errorf("explained as %+v from %q", got, e.Lines)
			}
		})
	}
}
