package main

import (
	"errors"
	"fmt"
)

// Exit codes, those of systemctl. 3 and 4 come from status and is-active.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotRunning  = 3
	exitUnknown     = 4 // status, is-active: no such stream, or nobody to ask
	exitDenied      = 4
	exitNoSuch      = 5
	exitInterrupted = 130
)

// exitCodesHelp is the text of help and manual.
const exitCodesHelp = `Exit codes:
  0    done; status: running; health, is-healthy: healthy
  1    failed (a start, a broken file, no keeper); not healthy
  2    wrong usage
  3    status, is-active: not running
  4    status, is-active, is-healthy: no such stream, or no keeper to ask;
       other commands: access denied
  5    other commands: no such stream
  130  interrupted`

// exitError carries an exit code; without err nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// fail makes an error one of running, not of usage.
func fail(err error) error {
	var e *exitError
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &exitError{exitFailure, err}
}

func failf(format string, args ...any) error {
	return &exitError{exitFailure, fmt.Errorf(format, args...)}
}

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// code is an exit without a message: what had to be said has been said.
func code(n int) error {
	if n == exitOK {
		return nil
	}
	return &exitError{code: n}
}
