package streamfile

import (
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
		if err := executable(file); err != nil {
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
		for _, dir := range filepath.SplitList(path) {
			// The stream's working directory is no place to find programs in.
			if !filepath.IsAbs(dir) {
				continue
			}
			if found := filepath.Join(dir, file); executable(found) == nil {
				return found, nil
			}
		}
	}
	return "", &NoProgramError{Program: file, Path: path, Err: fs.ErrNotExist}
}

// executable says why file cannot be run. Only the shim, which runs as another
// user, knows for certain: what this process may not look at passes.
func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil
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

var errNotExecutable = &notExecutable{}

type notExecutable struct{}

func (*notExecutable) Error() string        { return "it is not executable" }
func (*notExecutable) Is(target error) bool { return target == fs.ErrPermission }
