package wire

import (
	"context"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Call calls a method of another peer, which the bus may have to start first,
// and returns the values of its reply. An error reply is a dbus.Error.
func (c *Conn) Call(ctx context.Context, dest string, path dbus.ObjectPath, iface, member string, args ...any) ([]any, error) {
	serial := c.nextSerial()
	reply := make(chan *Message, 1)
	c.mu.Lock()
	c.calls[serial] = reply
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.calls, serial)
		c.mu.Unlock()
	}()
	err := c.post(&outgoing{
		typ: dbus.TypeMethodCall, dest: dest, path: path, iface: iface, member: member, body: args,
	}, serial, noFD, c.out.put)
	if err != nil {
		return nil, err
	}
	select {
	case m := <-reply:
		values, err := m.Decode()
		if m.Type == dbus.TypeError {
			return nil, dbus.Error{Name: m.ErrorName, Body: values}
		}
		return values, err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
		return nil, c.err
	}
}

// Reply answers a call, unless its sender wants no answer. It waits while much
// is queued, so that whoever answers many calls is no faster than the bus.
func (c *Conn) Reply(to *Message, args ...any) error {
	return c.reply(to, noFD, args)
}

// ReplyFile answers a call with one descriptor, a copy of the file's. The file
// remains the caller's, and keeps its mode (File.Fd would make it, and every
// descriptor that shares its description, a blocking one).
func (c *Conn) ReplyFile(to *Message, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	fd, dupErr := noFD, error(nil)
	if err := raw.Control(func(n uintptr) {
		fd, dupErr = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 3)
	}); err != nil {
		return err
	}
	if dupErr != nil {
		return fmt.Errorf("cannot duplicate a descriptor: %w", dupErr)
	}
	return c.reply(to, fd, []any{dbus.UnixFD(0)})
}

func (c *Conn) reply(to *Message, fd int, args []any) error {
	if to.Flags&dbus.FlagNoReplyExpected != 0 {
		closeFD(fd)
		return nil
	}
	return c.post(&outgoing{
		typ: dbus.TypeMethodReply, replySerial: to.Serial, dest: to.Sender, body: args,
	}, c.nextSerial(), fd, c.out.putPatiently)
}

// ReplyError answers a call with an error, unless its sender wants no answer.
// It never waits.
func (c *Conn) ReplyError(to *Message, name, message string) error {
	if to.Flags&dbus.FlagNoReplyExpected != 0 {
		return nil
	}
	return c.post(&outgoing{
		typ: dbus.TypeError, errorName: name, replySerial: to.Serial, dest: to.Sender, body: []any{message},
	}, c.nextSerial(), noFD, c.out.put)
}

// Emit broadcasts a signal. It never waits.
func (c *Conn) Emit(path dbus.ObjectPath, iface, member string, args ...any) error {
	return c.post(&outgoing{
		typ: dbus.TypeSignal, flags: dbus.FlagNoReplyExpected, path: path, iface: iface, member: member, body: args,
	}, c.nextSerial(), noFD, c.out.put)
}

// nextSerial is never 0, which means none. After four thousand million
// messages serials come again; by then no call of that age is pending.
func (c *Conn) nextSerial() uint32 {
	for {
		if s := c.serial.Add(1); s != 0 {
			return s
		}
	}
}

// post encodes a message and queues it, with a descriptor that is the queue's
// from here on. An error that is not the connection's end means that the
// message cannot be encoded: nothing of it is sent.
func (c *Conn) post(o *outgoing, serial uint32, fd int, put func([]byte, int) bool) error {
	fds := 0
	if fd != noFD {
		fds = 1
	}
	b, err := o.encode(serial, fds)
	if err != nil {
		closeFD(fd)
		return err
	}
	if put(b, fd) {
		return nil
	}
	c.fail(errBacklog) // without effect if it has ended already
	return c.Err()
}

// noFD stands for no descriptor.
const noFD = -1

func closeFD(fd int) {
	if fd != noFD {
		unix.Close(fd)
	}
}
