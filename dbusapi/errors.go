package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ffkeeper/ffkeeper/service"
)

// Names of the standard errors, from the D-Bus specification and dbus-protocol.h.
const (
	errFailed                = "org.freedesktop.DBus.Error.Failed"
	errAccessDenied          = "org.freedesktop.DBus.Error.AccessDenied"
	errInteractiveNeeded     = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	errInvalidArgs           = "org.freedesktop.DBus.Error.InvalidArgs"
	errLimitsExceeded        = "org.freedesktop.DBus.Error.LimitsExceeded"
	errPropertyReadOnly      = "org.freedesktop.DBus.Error.PropertyReadOnly"
	errTimeout               = "org.freedesktop.DBus.Error.Timeout"
	errUnknownInterface      = "org.freedesktop.DBus.Error.UnknownInterface"
	errUnknownMethod         = "org.freedesktop.DBus.Error.UnknownMethod"
	errUnknownObject         = "org.freedesktop.DBus.Error.UnknownObject"
	errUnknownProperty       = "org.freedesktop.DBus.Error.UnknownProperty"
	keeperErrors             = "org.ffkeeper1.Error."
	maxErrorText         int = 4096 // bytes
)

// busError is an error with its D-Bus name.
type busError struct{ name, text string }

func (e *busError) Error() string { return e.text }

func errorf(name, format string, args ...any) error {
	return &busError{name, fmt.Sprintf(format, args...)}
}

// errorName says under which name an error goes out.
func errorName(err error) string {
	var own *busError
	var kept *service.Error
	switch {
	case errors.As(err, &own):
		return own.name
	case errors.As(err, &kept) && kept.Kind == service.InvalidArgs:
		return errInvalidArgs
	case errors.As(err, &kept):
		return keeperErrors + string(kept.Kind)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errTimeout
	}
	return errFailed
}

func errorText(err error) string {
	text := clean(err.Error())
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "..."
	}
	return text
}

// noSuch reports whether a stream does not exist.
func noSuch(err error) bool {
	var e *service.Error
	return errors.As(err, &e) && e.Kind == service.NoSuchStream
}

// clean makes a string fit for the bus, which ends the connection of whoever
// sends anything but UTF-8, or a zero byte within. Lines of ffmpeg may hold
// either.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func cleanAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = clean(s)
	}
	return out
}
