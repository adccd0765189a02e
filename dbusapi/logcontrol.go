package dbusapi

import (
	_ "embed"

	"github.com/godbus/dbus/v5"
)

// logControlXML describes the one interface that is not ours, which systemctl
// speaks to any service.
//
//go:embed org.freedesktop.LogControl1.xml
var logControlXML string

const (
	logControlInterface = "org.freedesktop.LogControl1"
	logControlPath      = dbus.ObjectPath("/org/freedesktop/LogControl1")
)

// LogControl is the log of this process, for whoever may change it while it is
// in use. The functions may be called from any goroutine, and do not block;
// values are those of org.freedesktop.LogControl1(5). An error is one of the
// value, for the caller.
type LogControl struct {
	Level      func() string
	SetLevel   func(level string) error
	Target     func() string
	SetTarget  func(target string) error
	Identifier string // SYSLOG_IDENTIFIER of the records
}

// properties are all there are, as they are now.
func (l *LogControl) properties() map[string]dbus.Variant {
	return map[string]dbus.Variant{
		"LogLevel":         variantString(l.Level()),
		"LogTarget":        variantString(l.Target()),
		"SyslogIdentifier": variantString(l.Identifier),
	}
}

// setter of a property; nil: it is read-only.
func (l *LogControl) setter(property string) func(string) error {
	switch property {
	case "LogLevel":
		return l.SetLevel
	case "LogTarget":
		return l.SetTarget
	}
	return nil
}

// setLogControl sets a property of the log. Whom systemd's own services allow
// that is allowed it here: root and the service's user; polkit has no action
// for it.
func (c *call) setLogControl(property string, set func(string) error) error {
	if err := c.auth.trusted(c.ctx, c.msg.Sender, "set "+property); err != nil {
		return err
	}
	value, ok := c.args[2].(dbus.Variant).Value().(string)
	if !ok {
		return errorf(errInvalidArgs, "%s is a string", property)
	}
	if err := set(value); err != nil {
		return errorf(errInvalidArgs, "cannot set %s: %v", property, err)
	}
	return nil
}
