package wire

import (
	"errors"

	"github.com/godbus/dbus/v5"
)

var errHeader = errors.New("malformed header")

// parseFields reads the header fields, an a(yv) that begins at a multiple of
// eight ("Message Format" in the D-Bus specification). The bus has checked
// them, still nothing here trusts a length.
func (m *Message) parseFields(data []byte) error {
	r := fieldReader{data: data, m: m}
	for r.pos = 0; r.pos < len(data); {
		r.align(8)
		code := dbus.HeaderField(r.byte())
		signature := r.signature()
		if r.bad {
			return errHeader
		}
		switch {
		case code == dbus.FieldPath && signature == "o":
			m.Path = dbus.ObjectPath(r.string())
		case code == dbus.FieldInterface && signature == "s":
			m.Interface = r.string()
		case code == dbus.FieldMember && signature == "s":
			m.Member = r.string()
		case code == dbus.FieldErrorName && signature == "s":
			m.ErrorName = r.string()
		case code == dbus.FieldReplySerial && signature == "u":
			m.ReplySerial = r.uint32()
		case code == dbus.FieldDestination && signature == "s":
			m.Destination = r.string()
		case code == dbus.FieldSender && signature == "s":
			m.Sender = r.string()
		case code == dbus.FieldSignature && signature == "g":
			m.Signature = r.signature()
		case code <= dbus.FieldUnixFDs && !(code == dbus.FieldUnixFDs && signature == "u"):
			return errHeader // a field we know, of a wrong type
		default:
			r.skip(signature) // fields to come are to be ignored
		}
		if r.bad {
			return errHeader
		}
	}
	return m.complete()
}

// complete checks for the fields that each type of message must have.
func (m *Message) complete() error {
	ok := true
	switch m.Type {
	case dbus.TypeMethodCall:
		ok = m.Path != "" && m.Member != ""
	case dbus.TypeSignal:
		ok = m.Path != "" && m.Interface != "" && m.Member != ""
	case dbus.TypeMethodReply:
		ok = m.ReplySerial != 0
	case dbus.TypeError:
		ok = m.ReplySerial != 0 && m.ErrorName != ""
	}
	if !ok {
		return errHeader
	}
	return nil
}

// fieldReader reads basic values one after the other; once bad, all it reads
// is zero.
type fieldReader struct {
	data []byte
	pos  int
	bad  bool
	m    *Message
}

func (r *fieldReader) align(n int) { r.pos = (r.pos + n - 1) / n * n }

func (r *fieldReader) take(n int) []byte {
	if r.bad || n < 0 || r.pos > len(r.data) || n > len(r.data)-r.pos {
		r.bad = true
		return nil
	}
	r.pos += n
	return r.data[r.pos-n : r.pos]
}

func (r *fieldReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *fieldReader) uint32() uint32 {
	r.align(4)
	if b := r.take(4); b != nil {
		return r.m.Order.Uint32(b)
	}
	return 0
}

func (r *fieldReader) string() string {
	n := r.uint32()
	b := r.take(int(n))
	if r.byte() != 0 {
		r.bad = true
	}
	return string(b)
}

func (r *fieldReader) signature() string {
	n := r.byte()
	b := r.take(int(n))
	if r.byte() != 0 {
		r.bad = true
	}
	return string(b)
}

// skip passes over a value of a basic type; others cannot be skipped without
// a full decoder, and no field has them.
func (r *fieldReader) skip(signature string) {
	switch signature {
	case "y":
		r.byte()
	case "n", "q":
		r.align(2)
		r.take(2)
	case "b", "i", "u", "h":
		r.uint32()
	case "x", "t", "d":
		r.align(8)
		r.take(8)
	case "s", "o":
		r.string()
	case "g":
		r.signature()
	default:
		r.bad = true
	}
}
