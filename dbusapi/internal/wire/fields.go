package wire

import (
	"errors"
	"strings"

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
	if !complete(m.Type, m.Path, m.Interface, m.Member, m.ErrorName, m.ReplySerial) {
		return errHeader
	}
	return nil
}

// complete checks for the fields that each type of message must have; of a type
// yet to come nothing is known.
func complete(t dbus.Type, path dbus.ObjectPath, iface, member, errorName string, replySerial uint32) bool {
	switch t {
	case dbus.TypeMethodCall:
		return path != "" && member != ""
	case dbus.TypeSignal:
		return path != "" && iface != "" && member != ""
	case dbus.TypeMethodReply:
		return replySerial != 0
	case dbus.TypeError:
		return replySerial != 0 && errorName != ""
	}
	return true
}

// validName checks a name of dot-separated elements, at least as many as given
// ("Valid Names" in the D-Bus specification).
func validName(name string, elements int) bool {
	for e := range strings.SplitSeq(name, ".") {
		elements--
		if e == "" || e[0] >= '0' && e[0] <= '9' {
			return false
		}
		for _, c := range []byte(e) {
			if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return elements <= 0 && len(name) <= 255
}
