package dbusapi

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/wire"
	"github.com/ffkeeper/ffkeeper/service"
)

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// running is a server on a bus of its own.
type running struct {
	*Server
	bus    *bustest.Bus
	cancel context.CancelFunc
	done   chan error
}

// start serves an API on a bus and waits until the name is owned.
func start(t testing.TB, api service.API, change ...func(*Options)) *running {
	t.Helper()
	return startOn(t, bustest.Start(t), api, change...)
}

func startOn(t testing.TB, bus *bustest.Bus, api service.API, change ...func(*Options)) *running {
	t.Helper()
	opts := Options{Bus: bus.Address, Version: "1.2.3"}
	for _, f := range change {
		f(&opts)
	}
	s, err := New(api, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Server: s, bus: bus, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	select {
	case <-s.Ready():
	case err := <-r.done:
		r.done <- err
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("the name is not owned")
	}
	return r
}

// connect connects a client that is not ours.
func (r *running) connect(t testing.TB, opts ...dbus.ConnOption) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(r.bus.Address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func manager(c *dbus.Conn) dbus.BusObject { return c.Object(busName, managerPath) }

func streamObject(c *dbus.Conn, name string) dbus.BusObject {
	return c.Object(busName, StreamPath(name))
}

// errorOf is a call's D-Bus error name, "" for none.
func errorOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e dbus.Error
	if !errors.As(err, &e) {
		t.Fatalf("not a D-Bus error: %v", err)
	}
	return e.Name
}

func openFDs(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// dialPlain is a connection such as a session has, that hears nothing.
func dialPlain(t testing.TB, bus *bustest.Bus) (*wire.Conn, error) {
	c, err := wire.Dial(within(t), bus.Address, func(*wire.Conn, *wire.Message) {})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}
