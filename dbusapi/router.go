package dbusapi

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/wire"
	"github.com/ffkeeper/ffkeeper/service"
)

const (
	// maxArguments is the most that any call but WriteStdin may carry: names
	// and options. More would only be decoded to be refused.
	maxArguments = 16 << 10

	// maxStdin is how much of one WriteStdin is taken.
	maxStdin = 1 << 20
)

// operation is what the code adds to a method of the XML. The router does
// everything that must not be forgotten: signature, size, options, existence,
// authorization, in this order.
type operation struct {
	run     func(*call) (any, error)
	action  string     // polkit's; "": reading, free to all
	options *optionSet // of the last argument, an a{sv}
	named   bool       // the first argument is the name of a stream
	bytes   bool       // the last argument is an ay, perhaps a long one
}

// results are a method's values where it has not exactly one. A method with
// one returns the value itself, one with none nil. An *os.File goes out as a
// descriptor.
type results []any

// method is a method of the XML with its operation.
type method struct {
	operation
	iface, name string
	in, out     string // signatures
}

// call is one method call in work.
type call struct {
	*session
	ctx    context.Context // ends when nobody waits for the answer any more
	slow   func()          // lets the sender's next call begin, if this one takes long
	msg    *wire.Message
	method *method
	kind   kind

	stream  string // the stream it is about; "": none
	byPath  bool   // it was named by the object
	args    []any  // without that name, without options and bytes
	options service.CallOptions
	data    []byte // at most maxStdin
}

// buildMethods joins the XML with the operations; either having what the
// other lacks is an error.
func buildMethods(c *contract, operations map[string]map[string]operation) (map[string]map[string]*method, error) {
	all := map[string]map[string]*method{}
	for iface, described := range c.interfaces {
		ops := operations[iface]
		all[iface] = map[string]*method{}
		for _, m := range described.Methods {
			op, ok := ops[m.Name]
			if !ok {
				return nil, fmt.Errorf("method %s.%s is not implemented", iface, m.Name)
			}
			in, out := signatures(m)
			all[iface][m.Name] = &method{operation: op, iface: iface, name: m.Name, in: in, out: out}
		}
		for name := range ops {
			if all[iface][name] == nil {
				return nil, fmt.Errorf("method %s.%s is not in the XML", iface, name)
			}
		}
	}
	return all, nil
}

// serve answers one call. It runs on the sender's lane.
func (s *session) serve(ctx context.Context, m *wire.Message, mayWait func()) {
	c := &call{session: s, ctx: ctx, slow: mayWait, msg: m}
	if err := c.answer(); err != nil {
		s.conn.ReplyError(m, errorName(err), errorText(err))
	}
}

// answer carries the call out and replies, unless there is an error. A panic
// ends the call, not the process.
func (c *call) answer() (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a D-Bus call panicked", "method", c.msg.Interface+"."+c.msg.Member, "path", string(c.msg.Path), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errorf(errFailed, "internal error in %s", c.msg.Member)
		}
	}()
	value, err := c.do()
	if err != nil {
		return err
	}
	return c.reply(value)
}

func (c *call) do() (any, error) {
	if err := c.find(); err != nil {
		return nil, err
	}
	if err := c.decode(); err != nil {
		return nil, err
	}
	if c.ctx.Err() != nil && !c.changes(c.method.name) {
		return nil, c.ctx.Err() // reading for one that has left
	}
	if c.method.action != "" {
		if err := c.permit(); err != nil {
			return nil, err
		}
		if !c.method.bytes { // pieces of data keep their order, whatever it costs
			c.slow()
		}
	}
	value, err := c.method.run(c)
	if err != nil && c.byPath && noSuch(err) {
		err = c.unknownObject()
	}
	return value, err
}

// find looks up object, interface and method.
func (c *call) find() error {
	c.kind, c.stream = place(c.msg.Path)
	c.byPath = c.kind == kindStream
	iface, member := c.msg.Interface, c.msg.Member
	if iface == peerInterface { // asks who is there, not what
		c.method = c.methods[peerInterface][member]
		if c.method == nil {
			return c.unknownMethod()
		}
		return nil
	}
	offered := interfacesOf(c.kind)
	known := false
	for _, name := range offered {
		if iface != "" && iface != name {
			continue
		}
		known = true
		if m := c.methods[name][member]; m != nil {
			c.method = m
			return nil
		}
	}
	// Only who asks for what there is not pays for finding out whether the
	// object is there at all.
	switch {
	case !c.exists():
		return c.unknownObject()
	case !known && iface != "":
		return errorf(errUnknownInterface, "%s has no interface %s", c.msg.Path, iface)
	}
	return c.unknownMethod()
}

func (c *call) exists() bool {
	switch c.kind {
	case kindNone:
		return false
	case kindStream:
		_, err := c.api.Core(c.stream)
		return err == nil
	case kindLog:
		return c.opts.LogControl != nil
	case kindNode:
		return c.msg.Path != "/org/freedesktop" || c.opts.LogControl != nil
	}
	return true
}

func (c *call) unknownObject() error {
	return errorf(errUnknownObject, "there is no object %s", clip(string(c.msg.Path)))
}

func (c *call) unknownMethod() error {
	return errorf(errUnknownMethod, "there is no method %s in interface %q of %s", c.msg.Member, c.msg.Interface, clip(string(c.msg.Path)))
}

// decode checks the arguments against the XML and reads them.
func (c *call) decode() error {
	m := c.method
	if c.msg.Signature != m.in {
		return errorf(errInvalidArgs, "%s takes arguments %q, not %q", m.name, m.in, c.msg.Signature)
	}
	if m.bytes {
		return c.decodeBytes()
	}
	if c.msg.BodyLen > maxArguments {
		return errorf(errLimitsExceeded, "%s takes at most %d bytes of arguments, not %d", m.name, maxArguments, c.msg.BodyLen)
	}
	args, err := c.msg.Decode()
	if err != nil {
		return errorf(errInvalidArgs, "%s: %v", m.name, err)
	}
	if m.named {
		c.stream, args = args[0].(string), args[1:]
	}
	if m.options != nil {
		last := len(args) - 1
		c.options, err = m.options.parse(args[last].(map[string]dbus.Variant))
		if err != nil {
			return err
		}
		args = args[:last]
	}
	c.args = args
	return nil
}

// decodeBytes reads data without godbus, which would take long, and from a
// message of which the end may not have been kept.
func (c *call) decodeBytes() error {
	values := c.msg.Values()
	if c.method.named {
		c.stream = values.String()
	}
	data := values.Bytes()
	if values.Bad() {
		return errorf(errInvalidArgs, "%s: the arguments are cut off", c.method.name)
	}
	c.data = data[:min(len(data), maxStdin)]
	return nil
}

// permit asks whether the sender may, after making sure that there is
// something it may do it to: nobody types a password for a misspelt name.
func (c *call) permit() error {
	if c.byPath || c.method.named {
		if _, err := c.api.Core(c.stream); err != nil {
			if c.byPath && noSuch(err) {
				return c.unknownObject()
			}
			return err
		}
	}
	interactive := c.msg.Flags&dbus.FlagAllowInteractiveAuthorization != 0
	if interactive && !c.method.bytes {
		c.slow() // a person is; polkit alone is waited for, so that order is kept
	}
	return c.auth.authorize(c.ctx, request{
		sender:      c.msg.Sender,
		action:      c.method.action,
		verb:        c.method.name,
		stream:      c.stream,
		interactive: interactive,
	})
}

// reply sends the values, if they are of the types that the XML promises.
func (c *call) reply(value any) error {
	if f, ok := value.(*os.File); ok {
		defer f.Close()
		return c.conn.ReplyFile(c.msg, f)
	}
	var values []any
	switch v := value.(type) {
	case nil:
	case results:
		values = v
	default:
		values = []any{v}
	}
	if got := dbus.SignatureOf(values...).String(); got != c.method.out {
		c.log.Error("a D-Bus reply has a wrong type", "method", c.method.name, "signature", got, "expected", c.method.out)
		return errorf(errFailed, "internal error in %s", c.method.name)
	}
	return c.conn.Reply(c.msg, values...)
}

// clip shortens what a client sent before it is sent back.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "..."
	}
	return s
}
