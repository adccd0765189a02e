package pump

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

func newPump(t testing.TB, o ...Option) *Pump {
	t.Helper()
	p, err := New(o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// source is a Source with its writer and a channel that tells of wake.
type source struct {
	*Source
	w     *os.File
	woken chan struct{}
}

func add(t testing.TB, p *Pump, limit int) *source {
	t.Helper()
	return addPipe(t, p, limit, DefaultLimit)
}

// addPipe is add with a pipe that holds so many bytes.
func addPipe(t testing.TB, p *Pump, limit, size int) *source {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if size != DefaultLimit { // as pipes are
		if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, size); err != nil {
			t.Fatal(err)
		}
	}
	s := &source{w: w, woken: make(chan struct{}, 100)}
	s.Source, err = p.Add(r, limit, func() { s.woken <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); s.Finish() })
	return s
}

func (s *source) write(t testing.TB, text string) {
	t.Helper()
	if _, err := s.w.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func (s *source) wait(t testing.TB) {
	t.Helper()
	select {
	case <-s.woken:
	case <-time.After(patience):
		t.Fatal("not woken")
	}
}

// round returns when the pump has read everything that is ready now: the
// first answer may come from a round that had begun before.
func round(t testing.TB, p *Pump) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 2 {
		if err := p.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTakeAnswersWhatWasWritten(t *testing.T) {
	s := add(t, newPump(t), 0)
	s.write(t, "one\n")
	s.wait(t)
	if data, eof := s.Take(nil); string(data) != "one\n" || eof {
		t.Errorf("got %q, %v", data, eof)
	}
	if data, eof := s.Take(nil); data != nil || eof {
		t.Errorf("got %q, %v from an idle source", data, eof)
	}
}

func TestWakeIsCalledOnceUntilTake(t *testing.T) {
	p := newPump(t, WithInterval(0))
	s := add(t, p, 0)
	for range 5 {
		s.write(t, "x")
		round(t, p)
	}
	if n := len(s.woken); n != 1 {
		t.Errorf("woken %d times, want 1", n)
	}
	if data, _ := s.Take(nil); string(data) != "xxxxx" {
		t.Errorf("got %q", data)
	}
	s.write(t, "y")
	round(t, p)
	if n := len(s.woken); n != 2 {
		t.Errorf("woken %d times after Take, want 2", n)
	}
}

func TestEndOfFileWakesAndIsAnsweredWithTheLastData(t *testing.T) {
	s := add(t, newPump(t), 0)
	s.write(t, "last words")
	s.w.Close()
	s.wait(t)
	var all []byte
	for {
		data, eof := s.Take(nil)
		all = append(all, data...)
		if eof {
			break
		}
		s.wait(t)
	}
	if string(all) != "last words" || s.Err() != nil {
		t.Errorf("got %q, %v", all, s.Err())
	}
	if data, eof := s.Take(nil); data != nil || !eof {
		t.Errorf("end of file is not answered again: %q, %v", data, eof)
	}
}

func TestReadErrorIsReported(t *testing.T) {
	master, slave := openTerminal(t)
	woken := make(chan struct{}, 1)
	s, err := newPump(t).Add(master, 0, func() { woken <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Finish()
	slave.Close() // reading the master then answers EIO
	select {
	case <-woken:
	case <-time.After(patience):
		t.Fatal("not woken")
	}
	if _, eof := s.Take(nil); !eof || !errors.Is(s.Err(), unix.EIO) {
		t.Errorf("got eof %v, error %v", eof, s.Err())
	}
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	// TIOCGPTPEER opens the other side without needing its name in /dev/pts.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	return master, os.NewFile(peer, "pts")
}

func TestFinishAnswersBufferAndPipe(t *testing.T) {
	p := newPump(t, WithInterval(time.Hour)) // reads once, then never again
	s := add(t, p, 0)
	s.write(t, "read by the pump, ")
	s.wait(t)
	s.write(t, "still in the pipe")
	if got := string(s.Finish()); got != "read by the pump, still in the pipe" {
		t.Errorf("got %q", got)
	}
	if got := s.Finish(); got != nil {
		t.Errorf("second Finish: %q", got)
	}
	if _, err := s.w.WriteString("x"); !errors.Is(err, unix.EPIPE) {
		t.Errorf("write after Finish: %v, want EPIPE: the file is still open", err)
	}
}

func TestFinishEndsThoughTheWriterFloods(t *testing.T) {
	p := newPump(t)
	s := add(t, p, 0)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for chunk := make([]byte, 64<<10); ; {
			if _, err := s.w.Write(chunk); err != nil {
				return
			}
		}
	}()
	s.wait(t)
	if n := len(s.Finish()); n > FinishBound+DefaultLimit {
		t.Errorf("got %d bytes", n)
	}
	<-stopped
}

func TestFullSourceIsReadAgainAfterTake(t *testing.T) {
	p := newPump(t, WithInterval(0))
	s := add(t, p, 1000)
	text := strings.Repeat("0123456789", 250)
	s.write(t, text)
	var got []byte
	for len(got) < len(text) {
		s.wait(t)
		data, _ := s.Take(nil)
		if len(data) > 1000 {
			t.Fatalf("%d bytes buffered, the limit is 1000", len(data))
		}
		got = append(got, data...)
	}
	if string(got) != text {
		t.Error("bytes lost or changed")
	}
}

// With an empty event mask the kernel goes on reporting EPOLLHUP.
func TestFullSourceWithoutWriterKeepsNobodyAwake(t *testing.T) {
	p := newPump(t, WithInterval(0))
	s := add(t, p, 10)
	s.write(t, "01234567890123456789")
	s.w.Close()
	s.wait(t)
	round(t, p)
	var events [8]unix.EpollEvent
	if n, err := unix.EpollWait(p.epfd, events[:], 0); n != 0 || err != nil {
		t.Errorf("%d events, %v; want none", n, err)
	}
}

func TestIdleSourceHoldsNoBuffer(t *testing.T) {
	p := newPump(t, WithInterval(0))
	s := add(t, p, 0)
	s.write(t, "x")
	s.wait(t)
	data, _ := s.Take(nil)
	s.Take(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buf != nil {
		t.Errorf("holds %d bytes", cap(s.buf))
	}
}

func TestCloseEndsSourcesAndKeepsWhatTheyHave(t *testing.T) {
	p := newPump(t)
	s := add(t, p, 0)
	idle := add(t, p, 0)
	s.write(t, "kept")
	s.wait(t)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	idle.wait(t)
	if data, eof := s.Take(nil); string(data) != "kept" || !eof || s.Err() != ErrClosed {
		t.Errorf("got %q, %v, %v", data, eof, s.Err())
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	if _, err := p.Add(r, 0, func() {}); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	if err := p.Ping(context.Background()); err != ErrClosed {
		t.Errorf("Ping after Close: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestAddRefusesWhatCannotBeWatched(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := newPump(t)
	_, err = p.Add(f, 0, func() {})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), f.Name()) {
		t.Errorf("got %v", err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Errorf("a refused file is not the caller's any more: %v", err)
	}
	if len(p.sources) != 0 {
		t.Error("a refused source is kept")
	}
}

func TestPingTellsThatWakeBlocks(t *testing.T) {
	p := newPump(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	entered, release := make(chan struct{}), make(chan struct{})
	s, err := p.Add(r, 0, func() { close(entered); <-release })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Finish()
	w.WriteString("x")
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := p.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(release)
	round(t, p)
}

func TestLimitBeyondTheLargestBuffer(t *testing.T) {
	p := newPump(t, WithInterval(0))
	const limit = 300_000
	s := add(t, p, limit)
	text := bytes.Repeat([]byte("abcdefg"), 100_000)
	go func() { s.w.Write(text); s.w.Close() }()
	var got []byte
	for eof := false; !eof; {
		s.wait(t)
		var data []byte
		data, eof = s.Take(nil)
		if len(data) > limit {
			t.Fatalf("%d bytes buffered", len(data))
		}
		got = append(got, data...)
	}
	if !bytes.Equal(got, text) {
		t.Error("bytes lost or changed")
	}
}

func TestAPipeThatWasHalfFullIsReadMoreOften(t *testing.T) {
	for _, c := range []struct {
		got, room int
		want      time.Duration
	}{
		{0, 64 << 10, time.Second},
		{32<<10 - 1, 64 << 10, time.Second},
		{32 << 10, 64 << 10, time.Second / 2},
		{64 << 10, 64 << 10, time.Second / 2},
		{1 << 20, 1 << 20, time.Second / 2},
		{4<<10 - 1, 8 << 10, time.Second},
		{4 << 10, 8 << 10, time.Second / 16},
		{10, 10, shortest},
	} {
		if d := pauseAfter(c.got, c.room, time.Second); d != c.want {
			t.Errorf("after %d bytes of %d: %s, want %s", c.got, c.room, d, c.want)
		}
	}
	if d := pauseAfter(1, 1, time.Millisecond); d != time.Millisecond {
		t.Errorf("an interval below the shortest becomes %s", d)
	}
}

// TestASmallPipeIsReadAgainLongBeforeTheInterval: once it was half full, the next
// byte comes through in a sixteenth of it.
func TestASmallPipeIsReadAgainLongBeforeTheInterval(t *testing.T) {
	s := addPipe(t, newPump(t, WithInterval(2*patience)), 0, 8<<10)
	s.write(t, strings.Repeat("x", 4<<10))
	s.wait(t)
	s.Take(nil)
	s.write(t, "y")
	s.wait(t) // no longer than half of the interval
}
