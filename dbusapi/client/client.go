// Package client is the keeper seen from another program: the calls of
// org.ffkeeper1 with Go types, and what happens as a channel of events.
//
//	c, err := client.Dial("system", "")
//	if err != nil { ... }
//	defer c.Close()
//	pid, err := c.Start(ctx, "cam1", client.Options{Wait: "ok"})
//	switch {
//	case client.IsNoSuchStream(err): ...
//	case errors.Is(err, client.ErrNotRunning): ... // the text says how to start it
//	}
//
// A Client may be used from many goroutines, and outlives a restart of the bus
// and of the keeper: the next call connects again.
package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busaddress"
)

const (
	busName          = "org.ffkeeper1"
	managerPath      = dbus.ObjectPath("/org/ffkeeper1")
	managerInterface = "org.ffkeeper1.Manager"
	streamInterface  = "org.ffkeeper1.Stream"

	objectManagerInterface = "org.freedesktop.DBus.ObjectManager"
	propertiesInterface    = "org.freedesktop.DBus.Properties"

	// dialTimeout bounds connecting to a bus that hangs.
	dialTimeout = 10 * time.Second
)

// Client speaks with the keeper on one bus.
type Client struct {
	// Interactive lets polkit ask the person at the terminal or the desktop
	// for a password. Set it before the first call.
	Interactive bool

	bus, stateDir string
	remote        *Remote // nil: this host
	dialTimeout   time.Duration
	dialling      context.Context // of the first dial; nil: nothing but the timeout bounds it

	mu     sync.Mutex
	conn   *dbus.Conn
	closed bool
}

// Dial connects to a bus: "system", "session", "private" (the one whose
// address the keeper has left in stateDir) or a D-Bus address. That there is a
// bus does not mean that there is a keeper; the first call tells.
func Dial(bus, stateDir string) (*Client, error) {
	c := &Client{bus: bus, stateDir: stateDir, dialTimeout: dialTimeout}
	if _, err := c.connection(); err != nil {
		return nil, err
	}
	return c, nil
}

// Close ends the connection; calls in work fail.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn != nil {
		c.conn.Close()
	}
}

// connection is the one in use, or a new one if that is lost.
func (c *Client) connection() (*dbus.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.New("the client is closed")
	}
	if c.conn != nil && c.conn.Connected() {
		return c.conn, nil
	}
	conn, err := c.dial()
	if err != nil {
		return nil, err
	}
	c.conn = conn
	return conn, nil
}

// dial makes a connection of its own.
func (c *Client) dial(opts ...dbus.ConnOption) (*dbus.Conn, error) {
	if c.remote != nil {
		return c.dialRemote(opts...)
	}
	address, err := busaddress.Of(c.bus, c.stateDir)
	if errors.Is(err, busaddress.ErrNoKeeper) {
		return nil, c.notRunning()
	}
	if err != nil {
		return nil, err
	}
	conn, err := dbus.Dial(address, opts...)
	if err != nil {
		if c.bus == busaddress.Private { // the file of one that was killed
			return nil, c.notRunning()
		}
		return nil, fmt.Errorf("cannot connect to the %s: %w", c.busText(), err)
	}
	if err := c.introduce(conn); err != nil {
		return nil, fmt.Errorf("cannot connect to the %s: %w", c.busText(), err)
	}
	return conn, nil
}

// dialRemote is dial through ssh, whose own word on a failure tells more than
// that the connection has ended.
func (c *Client) dialRemote(opts ...dbus.ConnOption) (*dbus.Conn, error) {
	t, err := c.remote.open(c.bus)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", c.remote.Host, err)
	}
	conn, err := dbus.NewConn(t, opts...)
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("cannot connect to %s: %w", c.remote.Host, err)
	}
	if err := c.introduce(conn); err != nil {
		if said := t.why(); said != "" {
			err = errors.New(said)
		}
		return nil, fmt.Errorf("cannot connect to %s: %w", c.remote.Host, err)
	}
	return conn, nil
}

// introduce makes us known on a new connection, which is closed if that fails.
func (c *Client) introduce(conn *dbus.Conn) error {
	// Closing the connection ends an authentication with a bus that hangs.
	timer := time.AfterFunc(c.dialTimeout, func() { conn.Close() })
	if c.dialling != nil {
		defer context.AfterFunc(c.dialling, func() { conn.Close() })()
	}
	err := conn.Auth(nil)
	if err == nil {
		err = conn.Hello()
	}
	if !timer.Stop() && err != nil {
		err = fmt.Errorf("it does not answer: %w", err)
	}
	if err != nil {
		conn.Close()
	}
	return err
}

func (c *Client) busText() string {
	if c.remote != nil {
		return "bus of " + c.remote.Host
	}
	switch c.bus {
	case busaddress.System, busaddress.Session, busaddress.Private:
		return c.bus + " bus"
	}
	return "bus at " + c.bus
}

// flags of every call: a client does not start the keeper behind the
// administrator's back.
func (c *Client) flags() dbus.Flags {
	flags := dbus.FlagNoAutoStart
	if c.Interactive {
		flags |= dbus.FlagAllowInteractiveAuthorization
	}
	return flags
}

// call calls a method of the manager, and stores its results.
func (c *Client) call(ctx context.Context, member string, args []any, results ...any) error {
	return c.callOn(ctx, managerPath, managerInterface, member, args, results...)
}

func (c *Client) callOn(ctx context.Context, path dbus.ObjectPath, iface, member string, args []any, results ...any) error {
	conn, err := c.connection()
	if err != nil {
		return err
	}
	reply := <-c.send(ctx, conn, path, iface, member, args).Done
	if reply.Err != nil {
		return c.explain(reply.Err)
	}
	if err := reply.Store(results...); err != nil {
		return fmt.Errorf("cannot understand the answer to %s: %w", member, err)
	}
	return nil
}

// send makes a call as godbus's Object does, which however drops the flag
// ALLOW_INTERACTIVE_AUTHORIZATION.
func (c *Client) send(ctx context.Context, conn *dbus.Conn, path dbus.ObjectPath, iface, member string, args []any) *dbus.Call {
	m := &dbus.Message{
		Type:  dbus.TypeMethodCall,
		Flags: c.flags(),
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(busName),
			dbus.FieldPath:        dbus.MakeVariant(path),
			dbus.FieldInterface:   dbus.MakeVariant(iface),
			dbus.FieldMember:      dbus.MakeVariant(member),
		},
		Body: args,
	}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return conn.SendWithContext(ctx, m, make(chan *dbus.Call, 1))
}

// callFile calls a method that answers with a descriptor. One that comes when
// nobody waits any more is closed.
func (c *Client) callFile(ctx context.Context, member, name string) (*os.File, error) {
	conn, err := c.connection()
	if err != nil {
		return nil, err
	}
	call := c.send(context.Background(), conn, managerPath, managerInterface, member, []any{name})
	select {
	case <-call.Done:
		return c.file(call, name)
	case <-ctx.Done():
		go func() {
			<-call.Done
			if f, err := c.file(call, name); err == nil {
				f.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func (c *Client) file(call *dbus.Call, name string) (*os.File, error) {
	if call.Err != nil {
		return nil, c.explain(call.Err)
	}
	var fd dbus.UnixFD
	if err := call.Store(&fd); err != nil {
		return nil, fmt.Errorf("cannot understand the answer to %s: %w", call.Method, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
