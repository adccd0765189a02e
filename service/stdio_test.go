package service_test

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

const rawFrame = 160 * 90 * 3 // one frame of rgb24

// TestAClientFeedsRawFramesAndKeepsItsEndOpen: at stop the data is ended for
// ffmpeg although the client never closes, and the file is playable.
func TestAClientFeedsRawFramesAndKeepsItsEndOpen(t *testing.T) {
	for name, input := range map[string]string{"pipe:0": "pipe:0", "by name": "/dev/stdin"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t, map[string]string{"s": "ExecStart=ffmpeg -f rawvideo -pix_fmt rgb24 -s 160x90 -r 25 -i " + input +
				" -c:v libx264 -preset ultrafast -y @WORK@/out.mp4"})
			pid := k.start("s")
			f, err := k.OpenStdin(k.ctx(), "s")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			frame := make([]byte, rawFrame)
			for range 50 {
				if _, err := f.Write(frame); err != nil {
					t.Fatal(err)
				}
			}
			if input != "pipe:0" {
				f.Close() // a plain pipe ends only with its last holder
			}
			s := k.until("s", "delivery", func(s *stream.Snapshot) bool { return s.State == stream.StateRunning })
			if s.PID != pid {
				t.Errorf("pid %d, was %d", s.PID, pid)
			}
			if s := k.stop("s"); s.Detail != "" || k.log.has("s", stream.KindForced) {
				t.Errorf("stopped with %q, events %v", s.Detail, k.log.events("s"))
			}
			playable(t, k.path("out.mp4"), 1.9)
		})
	}
}

func TestWriteStdinNeverBlocksAndSaysHowMuchWasTaken(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nStandardInput=pipe\nExecStart=sleep 1000"})
	if _, err := k.WriteStdin(k.ctx(), "s", []byte("x")); kindOf(err) != service.NotRunning {
		t.Errorf("before the start: %v", err)
	}
	k.start("s")
	before := k.snap("s").LastActivity
	n, err := k.WriteStdin(k.ctx(), "s", make([]byte, 2<<20))
	if err != nil || n == 0 || n > 1<<20 {
		t.Errorf("took %d, %v", n, err)
	}
	if after := k.snap("s").LastActivity; !after.After(before) {
		t.Error("taken data is activity")
	}
	for n > 0 {
		if n, err = k.WriteStdin(k.ctx(), "s", make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	k.stop("s")
	if _, err := k.WriteStdin(k.ctx(), "s", []byte("x")); kindOf(err) != service.NotRunning {
		t.Errorf("after the stop: %v", err)
	}
}

func TestWriteStdinToAStreamThatTakesNoData(t *testing.T) {
	k := newKeeper(t, map[string]string{
		"null":   "Type=simple\nExecStart=sleep 1000",
		"closed": "Type=simple\nStandardInput=pipe\nExecStart=sh -c \"exec <&-; echo closed; exec sleep 1000\"",
	})
	k.start("null")
	if _, err := k.WriteStdin(k.ctx(), "null", []byte("x")); kindOf(err) != service.StdinClosed {
		t.Errorf("null: %v", err)
	}
	k.start("closed")
	k.until("closed", "its word", func(s *stream.Snapshot) bool { return len(s.Lines) > 0 })
	if _, err := k.WriteStdin(k.ctx(), "closed", []byte("x")); kindOf(err) != service.StdinClosed {
		t.Errorf("closed: %v", err)
	}
}

func TestDataArrivesInOrder(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nStandardInput=pipe\nExecStart=sh -c \"cat > @WORK@/got\""})
	k.start("s")
	var want strings.Builder
	for i := range 2000 {
		line := strings.Repeat(string(rune('a'+i%26)), i%100) + "\n"
		want.WriteString(line)
		for data := []byte(line); len(data) > 0; {
			n, err := k.WriteStdin(k.ctx(), "s", data)
			if err != nil {
				t.Fatal(err)
			}
			if data = data[n:]; n == 0 {
				time.Sleep(time.Millisecond) // full: its reader needs the processor
			}
		}
	}
	k.stop("s")
	if got, _ := os.ReadFile(k.path("got")); string(got) != want.String() {
		t.Errorf("%d bytes arrived, %d were written", len(got), want.Len())
	}
}

// TestAClientReadsRawVideo: without a reader the stream is degraded, not
// stalled; with one it delivers.
func TestAClientReadsRawVideo(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "ActivityTimeoutSec=2\nHealthCheckSec=1\n" +
		"ExecStart=ffmpeg -re -f lavfi -i testsrc=size=160x90:rate=25 -f rawvideo -pix_fmt rgb24 pipe:1"})
	pid := k.start("s")
	k.until("s", "no-reader", func(s *stream.Snapshot) bool {
		return s.Health == stream.HealthDegraded && s.Reason == stream.ReasonNoReader
	})
	f, err := k.OpenStdout(k.ctx(), "s")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := io.ReadFull(f, make([]byte, 50*rawFrame)); err != nil {
		t.Fatalf("read %d: %v", n, err)
	}
	go io.Copy(io.Discard, f)
	s := k.until("s", "health", func(s *stream.Snapshot) bool { return s.Health == stream.HealthOK })
	if s.PID != pid || k.log.has("s", stream.KindStalled) {
		t.Errorf("pid %d (was %d), events %v", s.PID, pid, k.log.events("s"))
	}
}

func TestStandardErrorThatIsNotReadLeavesStandardOutputInTheJournal(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nStandardOutput=journal\nStandardError=null\n" +
		"ExecStart=sh -c \"echo complaint >&2; echo word; exec sleep 1000\""})
	k.start("s")
	s := k.until("s", "its word", func(s *stream.Snapshot) bool { return len(s.Lines) > 0 })
	if len(s.Lines) != 1 || s.Lines[0].Text != "word" {
		t.Errorf("kept are %v", s.Lines)
	}
	var said []string
	for _, r := range k.log.of("s") {
		if r.attrs["FFKEEPER_EVENT"] == "" {
			said = append(said, r.text)
		}
	}
	if !slices.Equal(said, []string{"word"}) {
		t.Errorf("the journal has %q", said)
	}
}
