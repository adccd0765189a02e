package main

import (
	"context"
	"errors"
	"strings"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// textError is an error that is just its text.
type textError string

func (e textError) Error() string { return string(e) }

// explain makes an error of the client one for people: what could not be done
// ("start cam1"; "" where only the connection is meant), why, what helps; and
// gives it its exit code.
func explain(what string, err error) error {
	var already *exitError
	if err == nil || errors.As(err, &already) && already.err == nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	code, remedy := exitFailure, ""
	switch {
	case already != nil:
		code = already.code
	case errors.Is(err, client.ErrNotRunning):
		what = "" // it is the same for whatever was wanted
	case client.IsNoSuchStream(err):
		code, remedy = exitNoSuch, "ffkeeperctl list shows all"
	case client.IsAccessDenied(err):
		code, remedy = exitDenied, "run it as root, or have polkit allow it to you"
	case client.IsInteractionNeeded(err):
		code, remedy = exitDenied, "a password is needed: run it on a terminal, or as root"
	case client.IsLimitsExceeded(err):
		remedy = "try again with less at a time"
	case client.IsBadSetting(err):
		remedy = "ffkeeperctl verify --all shows all that is wrong with the files"
	case client.IsSpawnFailed(err):
		remedy = "ffkeeperctl status and logs tell more"
	case errors.Is(err, context.DeadlineExceeded):
		err = textError("the keeper does not answer in time")
	}
	text := err.Error()
	if what != "" && !strings.HasPrefix(text, what+": ") {
		// the keeper begins with the stream, which what ends with
		name := what[strings.LastIndexByte(what, ' ')+1:]
		text = what + ": " + strings.TrimPrefix(text, name+": ")
	}
	if remedy != "" {
		text += "; " + remedy
	}
	return &exitError{code, explained{text, err}}
}

// explained has a text of its own, and the cause for errors.Is.
type explained struct {
	text  string
	cause error
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.cause }

// exitCodeOf is the code an error ends the program with.
func exitCodeOf(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	}
	return exitFailure
}

// withCode changes the exit code, except that of an interruption.
func withCode(err error, n int) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var e *exitError
	if errors.As(err, &e) {
		return &exitError{n, e.err}
	}
	return &exitError{n, err}
}
