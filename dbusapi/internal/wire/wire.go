// Package wire is one connection to a message bus, made for a service that
// every program on the bus may call, friendly or not. The values are godbus's,
// and so is their form on the wire, but for the few types that nearly all our
// messages are made of (encode.go, Message.Decode); connecting, framing and
// descriptors are our own, because godbus's connection does not withstand its
// callers: an array of descriptors in a call ends the process with a panic, a
// dictionary keyed by booleans or a descriptor nobody asked for ends the
// connection or stays open for ever, 1 MiB of bytes keep the one reading
// goroutine busy for 120 ms, and each call gets a goroutine of its own, in no
// order.
//
// Invariants:
//   - no descriptor ever enters the process: the socket is read with read(2),
//     and the kernel drops what a message carries beside its bytes;
//   - of a message no more than MaxBody bytes are kept, whatever its length;
//   - nothing received is decoded here: the receiver first looks at the
//     signature and at the size, then asks for Decode;
//   - one goroutine reads and hands messages on in their order, one writes;
//     neither waits for anything but its own direction of the socket.
package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/godbus/dbus/v5"
)

// The bus itself, as a peer.
const (
	BusName      = "org.freedesktop.DBus"
	BusPath      = "/org/freedesktop/DBus"
	BusInterface = "org.freedesktop.DBus"
)

// ErrClosed is the reason of a connection that was closed by Close.
var ErrClosed = errors.New("connection closed")

// Handler gets the method calls and signals that arrive, in order, on the
// connection's one reading goroutine. It must not block.
type Handler func(*Conn, *Message)

// Conn is a connection to a message bus. All methods may be called from any
// goroutine.
type Conn struct {
	sock   *net.UnixConn
	in     *bufio.Reader
	handle Handler
	unique string

	// turn is held by the reading goroutine while it works on a message.
	turn chan struct{}

	serial atomic.Uint32
	mu     sync.Mutex
	calls  map[uint32]chan *Message // awaiting their replies

	out outbox

	once sync.Once
	done chan struct{}
	err  error // why it ended; read after done
}

// Dial connects to the first reachable address of a D-Bus address list,
// authenticates as the own uid and says Hello. ctx bounds all of that, not the
// connection's life.
func Dial(ctx context.Context, address string, handle Handler) (*Conn, error) {
	sock, err := dialSocket(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		sock:   sock,
		in:     bufio.NewReaderSize(sock, 64<<10),
		handle: handle,
		turn:   make(chan struct{}, 1),
		calls:  map[uint32]chan *Message{},
		done:   make(chan struct{}),
	}
	c.out.init()
	if err := c.authenticate(ctx); err != nil {
		sock.Close()
		return nil, fmt.Errorf("cannot authenticate: %w", err)
	}
	go c.read()
	go c.write()
	hello, err := c.Call(ctx, BusName, BusPath, BusInterface, "Hello")
	if err == nil {
		err = dbus.Store(hello, &c.unique)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot say hello to the bus: %w", err)
	}
	return c, nil
}

// UniqueName is the name the bus gave this connection, such as :1.42.
func (c *Conn) UniqueName() string { return c.unique }

// Done is closed when the connection is lost or closed.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended; nil while it lives.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close ends the connection at once; what Flush has not seen out is lost.
func (c *Conn) Close() { c.fail(ErrClosed) }

func (c *Conn) fail(why error) {
	c.once.Do(func() {
		c.err = why
		c.out.close()
		c.sock.Close()
		close(c.done)
	})
}

// Probe waits until the reading goroutine is not at work on a message: while
// the goroutine is sound, hardly at all, and however long the bus is silent.
func (c *Conn) Probe(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		<-c.turn
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the goroutine that reads the bus is stuck: %w", ctx.Err())
	}
}

func (c *Conn) read() {
	for {
		m, err := readMessage(c.in)
		if errors.Is(err, io.EOF) {
			err = errors.New("the bus has ended the connection")
		}
		if err != nil {
			c.fail(err)
			return
		}
		if m == nil {
			continue
		}
		c.turn <- struct{}{}
		switch m.Type {
		case dbus.TypeMethodReply, dbus.TypeError:
			c.answer(m)
		case dbus.TypeMethodCall, dbus.TypeSignal:
			c.handle(c, m)
		}
		<-c.turn
	}
}

// answer hands a reply to the call it belongs to, if there is one: a reply
// from anybody else but the one called cannot arrive, for the bus lets only
// expected replies through.
func (c *Conn) answer(m *Message) {
	c.mu.Lock()
	ch := c.calls[m.ReplySerial]
	delete(c.calls, m.ReplySerial)
	c.mu.Unlock()
	if ch != nil {
		ch <- m
	}
}
