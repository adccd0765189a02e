package streamfile

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// program finds what name in a command runs: an absolute path as it is, a bare
// ffmpeg by FFKEEPER_FFMPEG, any other bare name in path. The error is a
// *NoProgramError.
func (h *host) program(name, path string) (string, error) {
	file := name
	if name == "ffmpeg" {
		file = h.ffmpeg
	}
	if filepath.IsAbs(file) {
		if err := executable(file); err != nil && err != errUnseen {
			return "", &NoProgramError{Program: file, Err: err}
		}
		return file, nil
	}
	if h.lookPath != nil {
		found, err := h.lookPath(file)
		if err != nil {
			return "", &NoProgramError{Program: file, Err: err}
		}
		return found, nil
	}
	if !strings.Contains(file, "/") {
		unseen := ""
		for _, dir := range filepath.SplitList(path) {
			// The stream's working directory is no place to find programs in.
			if !filepath.IsAbs(dir) {
				continue
			}
			switch found := filepath.Join(dir, file); executable(found) {
			case nil:
				return found, nil
			case errUnseen:
				unseen = cmp.Or(unseen, found)
			}
		}
		// Only where it is nowhere else may it be what is hidden from us.
		if unseen != "" {
			return unseen, nil
		}
	}
	return "", &NoProgramError{Program: file, Path: path, Err: fs.ErrNotExist}
}

// executable says why file cannot be run: errUnseen where this process may not
// look at it, for then only the shim, which runs as another user, knows.
func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return errUnseen
	case err != nil:
		return cause(err)
	case info.IsDir():
		return errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case info.Mode()&0o111 == 0:
		return errNotExecutable
	}
	return nil
}

var errUnseen = errors.New("it is out of this process's sight")

var errNotExecutable = &notExecutable{}

type notExecutable struct{}

func (*notExecutable) Error() string        { return "it is not executable" }
func (*notExecutable) Is(target error) bool { return target == fs.ErrPermission }
