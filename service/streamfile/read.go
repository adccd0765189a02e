package streamfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxFile is the largest stream file, drop-in or environment file, in bytes.
const maxFile = 1 << 20

// readFile reads a regular file of at most maxFile bytes. Anything else is an
// error and is not opened: a FIFO would block, a device might act. The error
// does not name the file; errors.Is finds the cause.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = regular(info)
	}
	if err != nil {
		return nil, cause(err)
	}
	// It may have been exchanged since; then O_NONBLOCK opens even a FIFO.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = regular(info)
	}
	if err != nil {
		return nil, cause(err)
	}
	data := make([]byte, 0, info.Size()+1)
	data, err = appendAll(data, io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(data) > maxFile {
		return nil, errTooLarge
	}
	return data, nil
}

var errTooLarge = fmt.Errorf("it is larger than %d bytes", maxFile)

// appendAll reads r to its end into data.
func appendAll(data []byte, r io.Reader) ([]byte, error) {
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			return data, err
		}
	}
}

// regular says what is wrong with a file that is no regular one, or too large.
func regular(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular() && info.Size() > maxFile:
		return errTooLarge
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return errors.New("it is a directory")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("it is a FIFO")
	case mode&fs.ModeSocket != 0:
		return errors.New("it is a socket")
	default:
		return errors.New("it is a device")
	}
}

// cause is err without the path that the caller names anyway.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// null is the device number of /dev/null.
const null = 1<<8 | 3

// masks: the file is what stands for "there is none", as with systemd: it is,
// or links to, /dev/null, or it is empty.
func masks(info fs.FileInfo) bool {
	if info.Mode().IsRegular() {
		return info.Size() == 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == null
}
