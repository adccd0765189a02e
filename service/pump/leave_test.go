package pump

import (
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Two readers one after the other, as two keepers are: no byte is lost and
// none is read twice, however the writing and the reading fall.
func TestWhatLeaveLeavesIsReadByTheNext(t *testing.T) {
	p := newPump(t)
	for n := range 50 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		next := dup(t, r)
		woken := make(chan struct{}, 1)
		s, err := p.Add(r, 0, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("0123456789\n", 200+n)
		written := make(chan struct{})
		go func() {
			defer close(written)
			defer w.Close()
			for line := range strings.Lines(text) {
				if _, err := w.WriteString(line); err != nil {
					t.Error(err)
				}
			}
		}()
		<-woken
		taken, _ := s.Take(nil)
		got := string(taken) + string(s.Leave())
		if again := s.Leave(); len(again) > 0 {
			t.Errorf("left twice: %q", again)
		}
		rest, err := io.ReadAll(next)
		if err != nil {
			t.Fatal(err)
		}
		<-written
		next.Close()
		if got += string(rest); got != text {
			t.Fatalf("%d bytes of %d", len(got), len(text))
		}
	}
}

// dup is another descriptor of f's pipe, as the shim keeps one.
func dup(t *testing.T, f *os.File) *os.File {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	conn.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "next")
}
