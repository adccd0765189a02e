package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	keeperName = "org.ffkeeper1"
	manager    = keeperName + ".Manager"
)

// callTime bounds a call; a person who answers is one of ours.
const callTime = 30 * time.Second

// methods by the names in docs/security.md, with a call that changes nothing
// that another test minds.
var methods = map[string][]any{
	"GetHealth":   {"cam1"},
	"ListStreams": {},
	"ResetFailed": {"cam1"},
	"WriteStdin":  {"cam1", []byte{}},
	"Reload":      {},
}

// bus is an attempt at a call: DESTINATION:METHOD.
func bus(what string) error {
	c, err := dbus.ConnectSystemBus()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	switch what {
	case "systemd":
		return c.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").
			CallWithContext(ctx, "org.freedesktop.systemd1.Manager.ListUnits", 0).Err
	case "start-unit":
		return c.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").
			CallWithContext(ctx, "org.freedesktop.systemd1.Manager.RestartUnit", 0, "systemd-tmpfiles-clean.service", "replace").Err
	case "own-name":
		reply, err := c.RequestName(keeperName, dbus.NameFlagDoNotQueue)
		if err == nil && reply == dbus.RequestNameReplyExists {
			return nil // it may; somebody has it
		}
		return err
	}
	return callMethod(ctx, c, what, 0)
}

func callMethod(ctx context.Context, c *dbus.Conn, method string, flags dbus.Flags) error {
	args, ok := methods[method]
	if !ok {
		return fmt.Errorf("no method %s", method)
	}
	return (<-send(ctx, c, method, flags, args).Done).Err
}

// send makes the message itself, for godbus's objects drop the flag that lets
// polkit ask.
func send(ctx context.Context, c *dbus.Conn, method string, flags dbus.Flags, args []any) *dbus.Call {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: flags, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(keeperName),
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/ffkeeper1")),
		dbus.FieldInterface:   dbus.MakeVariant(manager),
		dbus.FieldMember:      dbus.MakeVariant(method),
	}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return c.SendWithContext(ctx, m, make(chan *dbus.Call, 1))
}

// call prints "METHOD = ok" or "METHOD = ERROR" for each method; one that ends
// in a "?" lets polkit ask a person. "leave?" is a question during which the
// caller leaves the bus. With "wait" in the first place it waits for a line on
// standard input before it begins, so that an agent can be there.
func call(names []string) {
	if names[0] == "wait" {
		fmt.Println("waiting")
		fmt.Scanln()
		names = names[1:]
	}
	for _, name := range names {
		method, flags := name, dbus.Flags(0)
		if strings.HasSuffix(name, "?") {
			method, flags = strings.TrimSuffix(name, "?"), dbus.FlagAllowInteractiveAuthorization
		}
		fmt.Printf("%s = %s\n", name, answer(method, flags))
	}
}

func answer(method string, flags dbus.Flags) string {
	c, err := dbus.ConnectSystemBus()
	if err != nil {
		return errorName(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	if method == "leave" {
		send(ctx, c, "ResetFailed", flags, methods["ResetFailed"])
		fmt.Scanln() // until the agent has been asked
		return "left"
	}
	if err := callMethod(ctx, c, method, flags); err != nil {
		return errorName(err)
	}
	return "ok"
}

func errorName(err error) string {
	var e dbus.Error
	if errors.As(err, &e) {
		return strings.TrimPrefix(strings.TrimPrefix(e.Name, "org.freedesktop.DBus.Error."), keeperName+".Error.")
	}
	return err.Error()
}

// flood keeps many more calls on their way than one connection may, says
// "refused ERROR" when the first is, and for a line on standard input "refused
// again" when the next one is.
func flood() {
	c, err := dbus.ConnectSystemBus()
	if err != nil {
		fatal(err)
	}
	answers := make(chan *dbus.Call, 4096)
	object := c.Object(keeperName, "/org/ffkeeper1")
	for range cap(answers) / 2 {
		object.Go(manager+".GetHealthReport", 0, answers)
	}
	first, again := true, make(chan bool, 1)
	go func() {
		fmt.Scanln()
		again <- true
	}()
	for a := range answers {
		if errors.Is(a.Err, dbus.ErrClosed) {
			fatal(a.Err)
		}
		if a.Err != nil {
			if first {
				fmt.Println("refused", errorName(a.Err))
				first = false
			}
			select {
			case <-again:
				fmt.Println("refused again")
			default:
			}
		}
		object.Go(manager+".GetHealthReport", 0, answers)
	}
}
