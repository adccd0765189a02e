package stream

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// secretPipes puts each of files into a pipe of its own and answers the ends
// to read, for the descriptors from 4 on. The caller closes them.
//
// A pipe is read once: what the process has taken is nowhere any more. A
// memory file could be opened at any later time, through /proc/PID/fd, by
// every other process of the streams' user.
func secretPipes(files []streamfile.Secret) (ends []*os.File, err error) {
	for _, f := range files {
		end, err := secretPipe(f.Reveal())
		if err != nil {
			closeFiles(ends)
			return nil, fmt.Errorf("cannot hand over a preset or credential: %w", err)
		}
		ends = append(ends, end)
	}
	return ends, nil
}

func secretPipe(content string) (*os.File, error) {
	var pair [2]int
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	read, write := pair[0], pair[1]
	defer unix.Close(write) // its end is the end of the file
	n, err := unix.Write(write, []byte(content))
	if err == nil && n < len(content) {
		err = fmt.Errorf("the pipe took %d of %d bytes", n, len(content))
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(read), unix.F_SETFL, 0) // what a program expects of a file it reads
	}
	if err == nil {
		// It is opened anew, as /dev/fd/N, by another user than made it. Who
		// gets so far is decided by /proc/PID/fd.
		err = unix.Fchmod(read, 0o444)
	}
	if err != nil {
		unix.Close(read)
		return nil, err
	}
	return os.NewFile(uintptr(read), "secret"), nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
