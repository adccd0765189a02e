package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busaddress"
)

// Error is an error that the keeper, or the bus, answered with.
type Error struct {
	Name string // of the D-Bus error
	Text string // for people
}

func (e *Error) Error() string { return e.Text }

// ErrNotRunning: there is no keeper on the bus. The error's text says how to
// start one.
var ErrNotRunning = errors.New("ffkeeperd is not running")

// notRunningError is ErrNotRunning with a text for the bus at hand.
type notRunningError struct{ text string }

func (e *notRunningError) Error() string   { return e.text }
func (e *notRunningError) Is(t error) bool { return t == ErrNotRunning }

func (c *Client) notRunning() error {
	if c.remote != nil {
		return &notRunningError{fmt.Sprintf("ffkeeperd is not running on %s; start it there with: systemctl start ffkeeper", c.remote.Host)}
	}
	switch c.bus {
	case busaddress.System:
		return &notRunningError{"ffkeeperd is not running on the system bus; start it with: systemctl start ffkeeper"}
	case busaddress.Session:
		return &notRunningError{"ffkeeperd is not running on the session bus; start it with: FFKEEPER_BUS=session ffkeeperd"}
	case busaddress.Private:
		return &notRunningError{fmt.Sprintf("ffkeeperd is not running with a private bus in %s; start it with: FFKEEPER_BUS=private FFKEEPER_STATE_DIR=%s ffkeeperd", c.stateDir, c.stateDir)}
	}
	return &notRunningError{"ffkeeperd is not running on the bus at " + c.bus}
}

// explain makes a client's error of godbus's.
func (c *Client) explain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var e dbus.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("lost the %s: %w", c.busText(), err)
	}
	switch e.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return c.notRunning()
	}
	return &Error{Name: e.Name, Text: e.Error()}
}

func is(err error, names ...string) bool {
	var e *Error
	if errors.As(err, &e) {
		for _, name := range names {
			if e.Name == name {
				return true
			}
		}
	}
	return false
}

const (
	keeperError   = "org.ffkeeper1.Error."
	standardError = "org.freedesktop.DBus.Error."
)

// IsNoSuchStream: there is no stream of that name.
func IsNoSuchStream(err error) bool { return is(err, keeperError+"NoSuchStream") }

// IsBadSetting: the stream's file cannot be used.
func IsBadSetting(err error) bool { return is(err, keeperError+"BadSetting") }

// IsSpawnFailed: the stream's command could not be run.
func IsSpawnFailed(err error) bool { return is(err, keeperError+"SpawnFailed") }

// IsStdinClosed: the stream takes no data, or no more.
func IsStdinClosed(err error) bool { return is(err, keeperError+"StdinClosed") }

// IsStreamNotRunning: the stream has no process.
func IsStreamNotRunning(err error) bool { return is(err, keeperError+"NotRunning") }

// IsBusy: something else is done to the stream, or somebody else holds what
// was asked for.
func IsBusy(err error) bool { return is(err, keeperError+"Busy") }

// IsInvalidArgs: an argument or an option makes no sense.
func IsInvalidArgs(err error) bool { return is(err, standardError+"InvalidArgs") }

// IsAccessDenied: the caller may not, and no password would help.
func IsAccessDenied(err error) bool { return is(err, standardError+"AccessDenied") }

// IsInteractionNeeded: a password would help; see Client.Interactive.
func IsInteractionNeeded(err error) bool {
	return is(err, standardError+"InteractiveAuthorizationRequired")
}

// IsLimitsExceeded: too many calls at once, or too long a one.
func IsLimitsExceeded(err error) bool { return is(err, standardError+"LimitsExceeded") }
