package service_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// source is some seconds of MPEG-TS.
func source(t *testing.T) []byte {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=25", "-t", "4",
		"-c:v", "mpeg2video", "-f", "mpegts", "pipe:1").Output()
	if err != nil {
		t.Fatalf("cannot make a test source: %v", err)
	}
	return out
}

// listen serves every connection with f until the test ends.
func listen(t *testing.T, f func(c net.Conn)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { close(done); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
				<-done // open, but silent
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

const stallOptions = "ActivityTimeoutSec=2\nTimeoutStopSec=2\nRestartSec=100ms\n"

// TestStallsOfRealFFmpegAreSeen provokes each way in which an ffmpeg is alive
// and delivers nothing, and expects a verdict, the end of the old process and
// a new one.
func TestStallsOfRealFFmpegAreSeen(t *testing.T) {
	ts := source(t)
	send := listen(t, func(c net.Conn) { c.Write(ts) })
	deaf := listen(t, func(net.Conn) {})
	for _, c := range []struct {
		name, exec string
		reason     stream.Reason
		provoke    func(t *testing.T, k *keeper)
	}{
		{"tcp input stops sending", fmt.Sprintf("ffmpeg -re -probesize 50000 -analyzeduration 500000 -i tcp://127.0.0.1:%d -c copy -f null /dev/null", send), stream.ReasonStalled, nil},
		{"fifo stops", "ffmpeg -re -probesize 50000 -analyzeduration 500000 -f mpegts -i @WORK@/fifo -c copy -f null /dev/null", stream.ReasonStalled, func(t *testing.T, k *keeper) {
			feed(t, k.path("fifo"), ts)
		}},
		{"one of two inputs", fmt.Sprintf("ffmpeg -re -f lavfi -i testsrc=size=160x90:rate=25 -probesize 50000 -analyzeduration 500000 -i tcp://127.0.0.1:%d -filter_complex overlay=eof_action=endall -f null /dev/null", send), stream.ReasonPartialStall, nil},
		{"output nobody reads", fmt.Sprintf("ffmpeg -re -f lavfi -i testsrc=size=640x360:rate=25 -c:v rawvideo -f nut tcp://127.0.0.1:%d", deaf), stream.ReasonStalled, nil},
		{"SIGSTOP", "ffmpeg -re -f lavfi -i sine -f null /dev/null", stream.ReasonStalled, func(t *testing.T, k *keeper) {
			s := k.until("s", "delivery", func(s *stream.Snapshot) bool { return s.State == stream.StateRunning })
			syscall.Kill(s.PID, syscall.SIGSTOP)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			options := stallOptions
			if c.reason == stream.ReasonPartialStall {
				// On a busy machine an ffmpeg may get no processor for two seconds.
				options += "ActivityTimeoutSec=4\n"
			}
			k := newKeeper(t, map[string]string{"s": options + "ExecStart=" + c.exec})
			if err := syscall.Mkfifo(k.path("fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			pid := k.start("s")
			if c.provoke != nil {
				c.provoke(t, k)
			}
			s := k.until("s", "a verdict", func(s *stream.Snapshot) bool {
				return k.log.has("s", stream.KindStalled)
			})
			if s.Reason != c.reason {
				t.Errorf("reason %q (%s), want %q", s.Reason, s.Detail, c.reason)
			}
			k.until("s", "a new process", func(s *stream.Snapshot) bool { return s.PID != 0 && s.PID != pid })
			if alive(pid) {
				t.Errorf("the stalled process %d still lives", pid)
			}
		})
	}
}

// feed writes to a FIFO and keeps it open.
func feed(t *testing.T, fifo string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	go f.Write(data)
}

// TestFullDiskIsNamedThoughFFmpegSaysNothing: HLS onto a full disk goes on with
// empty segments, and with its progress.
func TestFullDiskIsNamedThoughFFmpegSaysNothing(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	k := newKeeper(t, map[string]string{
		"s": "HealthCheckSec=1s\nExecStart=ffmpeg -re -f lavfi -i testsrc2=size=640x360:rate=25 -c:v mpeg4 -b:v 4M -f hls -hls_time 1 -hls_list_size 0 " + disk + "/x.m3u8",
		// What writes elsewhere is not concerned.
		"other": "HealthCheckSec=1s\nExecStart=ffmpeg -re -f lavfi -i sine -f null /dev/null",
	})
	pid := k.start("s")
	k.startOK("other")
	s := k.until("s", "the full disk", func(s *stream.Snapshot) bool { return s.Reason == stream.ReasonDiskFull })
	if s.Health != stream.HealthDegraded || s.PID != pid || !strings.Contains(s.Detail, disk) {
		t.Errorf("%s, pid %d, was %d: %s", s.Health, s.PID, pid, s.Detail)
	}
	if !k.log.has("s", stream.KindDegraded) {
		t.Error("the journal is not told")
	}
	if s := k.snap("other"); s.Health != stream.HealthOK {
		t.Errorf("the other is %s: %s", s.Health, s.Reason)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=200m"); err != nil {
		t.Fatal(err)
	}
	k.until("s", "room", func(s *stream.Snapshot) bool { return s.Health == stream.HealthOK })
}

// TestNoFalseAlarm runs what a naive watch takes for a stall: sound without
// frames, a frame every four seconds, an encoder that looks far ahead.
func TestNoFalseAlarm(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"audio":     "ExecStart=ffmpeg -re -f lavfi -i sine -c:a aac -f adts -y @WORK@/a.aac",
		"quarter":   "ExecStart=ffmpeg -re -f lavfi -i testsrc=size=160x90:rate=25 -vf fps=1/4 -c:v mpeg4 -f mpegts -y @WORK@/q.ts",
		"lookahead": "ExecStart=ffmpeg -re -f lavfi -i testsrc=size=160x90:rate=5 -c:v libx264 -preset veryslow -x264-params rc-lookahead=60:bframes=8 -f mp4 -y @WORK@/l.mp4",
	}
	for name := range files {
		files[name] += "\nActivityTimeoutSec=5\nTimeoutStopSec=2"
	}
	k := newKeeper(t, files)
	pids := map[string]int{}
	for name := range files {
		pids[name] = k.start(name)
	}
	// Twice the time-out after each has first delivered, not one verdict.
	for name := range files {
		k.until(name, "twelve seconds of life", func(s *stream.Snapshot) bool {
			return s.PID != 0 && time.Since(s.Started) > 12*time.Second
		})
	}
	for name, pid := range pids {
		s := k.snap(name)
		if s.PID != pid || s.Health != stream.HealthOK || k.log.has(name, stream.KindStalled) {
			t.Errorf("%s: pid %d (was %d), %s, events %v", name, s.PID, pid, s.Health, k.log.events(name))
		}
	}
}
