package shim

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrLost is in every error that says the shim is gone.
var ErrLost = errors.New("the shim is gone")

// ErrClosed is the loss that Close caused, ErrLeft that of a Leave.
var (
	ErrClosed = fmt.Errorf("closed: %w", ErrLost)
	ErrLeft   = fmt.Errorf("left as asked: %w", ErrLost)
)

// ErrBusy says that another keeper is connected.
var ErrBusy = errors.New("another keeper is connected")

// errTooMany answers requests that come faster than they can be dealt with.
var errTooMany = errors.New("too many requests at once")

// SpawnError says why a process could not be started. errors.Is finds the
// errno (ENOENT, EACCES, EAGAIN, EMFILE, ENOMEM, ...) in it.
type SpawnError struct {
	Path      string // the program
	Op        string // what failed: "exec", "chdir", "fork", "pipe", "set nice to -5", ...
	Err       error  // most often a syscall.Errno
	NoProgram bool   // the program is missing or cannot be executed: trying again is no use
}

func (e *SpawnError) Error() string {
	return fmt.Sprintf("cannot start %s: %s: %v", e.Path, e.Op, e.Err)
}

func (e *SpawnError) Unwrap() error { return e.Err }

// execError is the SpawnError of a failed execve of path.
func execError(path string, err error) *SpawnError {
	e := &SpawnError{Path: path, Op: "exec", Err: err}
	switch err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EISDIR,
		syscall.ENOEXEC, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.ELIBBAD:
		e.NoProgram = true
	}
	return e
}

// remoteError is an error that travelled in a message.
type remoteError struct {
	Text      text `json:"text"`
	Errno     int  `json:"errno,omitempty"`
	Op        text `json:"op,omitempty"`
	Path      text `json:"path,omitempty"`
	NoProgram bool `json:"no_program,omitempty"`
	Spawn     bool `json:"spawn,omitempty"`
	Busy      bool `json:"busy,omitempty"`
}

// toWire makes err fit for travelling.
func toWire(err error) *remoteError {
	r := &remoteError{Text: text(err.Error())}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
	}
	var spawn *SpawnError
	if errors.As(err, &spawn) {
		r.Spawn, r.Op, r.Path, r.NoProgram = true, text(spawn.Op), text(spawn.Path), spawn.NoProgram
		r.Text = text(spawn.Err.Error())
	}
	r.Busy = errors.Is(err, ErrBusy)
	return r
}

// fromWire is the error that toWire was given, as far as it can be told.
func fromWire(r *remoteError) error {
	if r == nil {
		return errors.New("no reason given")
	}
	var err error = errors.New(string(r.Text))
	switch errno := syscall.Errno(r.Errno); {
	case r.Busy:
		err = ErrBusy
	case errno != 0 && errno.Error() == string(r.Text):
		err = errno
	case errno != 0:
		err = &errnoError{string(r.Text), errno}
	}
	if r.Spawn {
		return &SpawnError{Path: string(r.Path), Op: string(r.Op), Err: err, NoProgram: r.NoProgram}
	}
	return err
}

// errnoError keeps both the words of the other side and the errno.
type errnoError struct {
	text  string
	errno syscall.Errno
}

func (e *errnoError) Error() string { return e.text }
func (e *errnoError) Unwrap() error { return e.errno }
