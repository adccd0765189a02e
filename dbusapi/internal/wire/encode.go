package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// outgoing is one message to be sent.
type outgoing struct {
	typ         dbus.Type
	flags       dbus.Flags
	path        dbus.ObjectPath
	iface       string
	member      string
	errorName   string
	replySerial uint32
	dest        string
	body        []any
}

// encode is the message as it is sent; fds is how many descriptors go with it.
//
// Most messages are of the few types that encoder knows. godbus's encoder, which
// takes eight times as long for a dictionary (go test -bench Encode), encodes the
// others, and words the error of what cannot be encoded.
func (o *outgoing) encode(serial uint32, fds int) ([]byte, error) {
	if b, ok := o.encodeKnown(serial, fds); ok {
		return b, nil
	}
	return o.encodeByGodbus(serial, fds)
}

func (o *outgoing) encodeByGodbus(serial uint32, fds int) ([]byte, error) {
	m := &dbus.Message{Type: o.typ, Flags: o.flags, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: o.body}
	o.fields(fds, func(f dbus.HeaderField, v any) { m.Headers[f] = dbus.MakeVariant(v) })
	if len(o.body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(o.body...))
	}
	var buf bytes.Buffer
	if _, err := m.EncodeToWithFDs(&buf, binary.LittleEndian); err != nil {
		return nil, err
	}
	b := buf.Bytes()
	binary.LittleEndian.PutUint32(b[8:], serial) // godbus keeps the field to itself
	return b, nil
}

// fields are the header's but for the signature.
func (o *outgoing) fields(fds int, add func(dbus.HeaderField, any)) {
	if o.path != "" {
		add(dbus.FieldPath, o.path)
	}
	if o.iface != "" {
		add(dbus.FieldInterface, o.iface)
	}
	if o.member != "" {
		add(dbus.FieldMember, o.member)
	}
	if o.errorName != "" {
		add(dbus.FieldErrorName, o.errorName)
	}
	if o.replySerial != 0 {
		add(dbus.FieldReplySerial, o.replySerial)
	}
	if o.dest != "" {
		add(dbus.FieldDestination, o.dest)
	}
	if fds != 0 {
		add(dbus.FieldUnixFDs, uint32(fds))
	}
}

// sound reports whether the header is one that the bus takes. It ends the
// connection of who sends it another.
func (o *outgoing) sound() bool {
	const flags = dbus.FlagNoReplyExpected | dbus.FlagNoAutoStart | dbus.FlagAllowInteractiveAuthorization
	return o.typ >= dbus.TypeMethodCall && o.typ <= dbus.TypeSignal && o.flags&^flags == 0 &&
		complete(o.typ, o.path, o.iface, o.member, o.errorName, o.replySerial) &&
		(o.iface == "" || validName(o.iface, 2)) &&
		(o.member == "" || validName(o.member, 1) && !strings.Contains(o.member, ".")) &&
		(o.errorName == "" || validName(o.errorName, 2))
}

func (o *outgoing) encodeKnown(serial uint32, fds int) ([]byte, bool) {
	if !o.sound() {
		return nil, false
	}
	e := &encoder{b: make([]byte, 0, 512)}
	e.b = append(e.b, 'l', byte(o.typ), byte(o.flags), 1) // version of the protocol
	body := e.reserve()
	e.uint32(serial)
	end := e.array(8)
	o.fields(fds, func(f dbus.HeaderField, v any) {
		e.align(8)
		e.b = append(e.b, byte(f))
		e.variant(v)
	})
	if len(o.body) > 0 {
		e.align(8)
		e.b = append(e.b, byte(dbus.FieldSignature), 1, 'g', 0)
		at := len(e.b)
		e.b = append(e.b, 0)
		for _, v := range o.body {
			e.b = append(e.b, e.signature(v)...)
		}
		if len(e.b)-at-1 > 255 {
			return nil, false
		}
		e.b[at] = byte(len(e.b) - at - 1)
		e.b = append(e.b, 0)
	}
	end()
	e.align(8)
	begin := len(e.b)
	for _, v := range o.body {
		e.value(v)
	}
	e.put(body, len(e.b)-begin)
	return e.b, !e.unknown && len(e.b) <= maxMessage/2 // beyond, godbus looks closer
}

// encoder appends values as "Marshaling" in the D-Bus specification has them,
// little endian. b is the message from its beginning, so that its length gives
// the alignment.
type encoder struct {
	b       []byte
	unknown bool // there was a value that is godbus's to encode or to refuse
}

func (e *encoder) align(n int) {
	for len(e.b)%n != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) uint32(n uint32) {
	e.align(4)
	e.b = binary.LittleEndian.AppendUint32(e.b, n)
}

func (e *encoder) uint64(n uint64) {
	e.align(8)
	e.b = binary.LittleEndian.AppendUint64(e.b, n)
}

// reserve leaves room for a length, which put fills in.
func (e *encoder) reserve() (at int) {
	e.uint32(0)
	return len(e.b) - 4
}

func (e *encoder) put(at, n int) { binary.LittleEndian.PutUint32(e.b[at:], uint32(n)) }

// array begins an array of elements aligned to n; end ends it.
func (e *encoder) array(n int) (end func()) {
	at := e.reserve()
	e.align(n) // does not count
	begin := len(e.b)
	return func() { e.put(at, len(e.b)-begin) }
}

func (e *encoder) string(s string) {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		e.unknown = true
	}
	e.uint32(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
}

// variant appends a value with its signature before it.
func (e *encoder) variant(v any) {
	s := e.signature(v)
	e.b = append(append(append(e.b, byte(len(s))), s...), 0)
	e.value(v)
}

// boxed appends a variant of godbus's.
func (e *encoder) boxed(v dbus.Variant) {
	inner := v.Value()
	if v.Signature().String() != e.signature(inner) {
		e.unknown = true
		return
	}
	e.variant(inner)
}

// signature is empty for a type that is not known.
func (e *encoder) signature(v any) string {
	switch v.(type) {
	case string:
		return "s"
	case dbus.ObjectPath:
		return "o"
	case bool:
		return "b"
	case int32:
		return "i"
	case uint32:
		return "u"
	case int64:
		return "x"
	case uint64:
		return "t"
	case float64:
		return "d"
	case []string:
		return "as"
	case []int32:
		return "ai"
	case dbus.Variant:
		return "v"
	case map[string]dbus.Variant:
		return "a{sv}"
	case map[string]map[string]dbus.Variant:
		return "a{sa{sv}}"
	}
	e.unknown = true
	return ""
}

func (e *encoder) value(v any) {
	switch v := v.(type) {
	case string:
		e.string(v)
	case dbus.ObjectPath:
		e.unknown = e.unknown || !v.IsValid()
		e.string(string(v))
	case bool:
		n := uint32(0)
		if v {
			n = 1
		}
		e.uint32(n)
	case int32:
		e.uint32(uint32(v))
	case uint32:
		e.uint32(v)
	case int64:
		e.uint64(uint64(v))
	case uint64:
		e.uint64(v)
	case float64:
		e.uint64(math.Float64bits(v))
	case []string:
		end := e.array(4)
		for _, s := range v {
			e.string(s)
		}
		end()
	case []int32:
		end := e.array(4)
		for _, n := range v {
			e.uint32(uint32(n))
		}
		end()
	case dbus.Variant:
		e.boxed(v)
	case map[string]dbus.Variant:
		entries(e, v, e.boxed)
	case map[string]map[string]dbus.Variant:
		entries(e, v, func(d map[string]dbus.Variant) { entries(e, d, e.boxed) })
	default:
		e.unknown = true
	}
}

// entries appends a dictionary, in any order.
func entries[V any](e *encoder, d map[string]V, value func(V)) {
	end := e.array(8)
	for key, v := range d {
		e.align(8)
		e.string(key)
		value(v)
	}
	end()
}
