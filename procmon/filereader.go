package procmon

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// fileReader reads small files of the kernel's into one buffer, with no more
// system calls than that takes: os.ReadFile also asks for the size, which these
// have not, reads once more for the end, and has the poller watch the file.
type fileReader struct{ text *buffer }

type buffer [4096]byte

// buffers are shared: held between samples, those of a thousand streams would
// be megabytes.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

// buffer is this reader's until done.
func (r *fileReader) buffer() []byte {
	if r.text == nil {
		r.text = buffers.Get().(*buffer)
	}
	return r.text[:]
}

// done gives the buffer back; what read has answered is not valid any more.
func (r *fileReader) done() {
	if r.text != nil {
		buffers.Put(r.text)
		r.text = nil
	}
}

// read answers the file as the kernel gives it by one read(2), at most 4 KB;
// it is valid until the next call.
func (r *fileReader) read(name string) ([]byte, error) {
	fd, err := retry(func() (int, error) { return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	text := r.buffer()
	n, err := retry(func() (int, error) { return unix.Read(fd, text) })
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: name, Err: err}
	}
	return text[:n], nil
}

// retry goes on after a signal (signal(7), SA_RESTART does not cover all).
func retry(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); err != unix.EINTR {
			return n, err
		}
	}
}
