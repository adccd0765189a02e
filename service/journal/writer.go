package journal

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// writer is a stream as a sink. Its Write may block as long as it likes; then
// the queue fills meanwhile.
type writer struct {
	out   io.Writer
	owned *os.File // a duplicate to close, or nil
}

// maxWrite bounds one write, so that a slow reader sees whole lines soon.
const maxWrite = 64 << 10

// newWriter returns a sink for out. Standard output and error are duplicated
// first: when nobody reads them any more, package os ends the program at the
// first write to either, and nothing that happens to a log may end the keeper.
func newWriter(out io.Writer) *writer {
	w := &writer{out: out}
	f, ok := out.(*os.File)
	if !ok {
		return w
	}
	fd := descriptor(f)
	if fd != 1 && fd != 2 {
		return w
	}
	if dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err == nil {
		w.owned = os.NewFile(uintptr(dup), f.Name())
		w.out = w.owned
	}
	return w
}

func (w *writer) send(b *batch, from int) (done, lost int) {
	for i := from; i < len(b.records); {
		start, end := b.start(i), i+1
		for end < len(b.records) && b.records[end].end-start <= maxWrite {
			end++
		}
		if _, err := w.out.Write(b.buf[start:b.records[end-1].end]); err != nil {
			lost += end - i
		}
		done += end - i
		i = end
	}
	return done, lost
}

func (w *writer) close() {
	if w.owned != nil {
		_ = w.owned.Close()
	}
}

// descriptor returns the file descriptor of f, or -1.
func descriptor(f *os.File) int {
	c, err := f.SyscallConn()
	if err != nil {
		return -1
	}
	fd := -1
	_ = c.Control(func(d uintptr) { fd = int(d) })
	return fd
}

// isColourTerminal reports whether out is a terminal that may be coloured
// (https://no-color.org).
func isColourTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(descriptor(f), unix.TCGETS)
	return err == nil
}
