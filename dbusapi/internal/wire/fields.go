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
	r := valueReader{data: data, order: m.Order}
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
