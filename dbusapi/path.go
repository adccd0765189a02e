package dbusapi

import (
	"strings"

	"github.com/godbus/dbus/v5"
)

// The objects.
const (
	managerPath = dbus.ObjectPath("/org/ffkeeper1")
	streamsPath = managerPath + "/stream"
)

// StreamPath is the object path of a stream.
func StreamPath(name string) dbus.ObjectPath {
	return streamsPath + "/" + dbus.ObjectPath(escapeLabel(name))
}

// StreamName is the inverse of StreamPath; ok is false for every path that
// StreamPath does not make.
func StreamName(path dbus.ObjectPath) (name string, ok bool) {
	label, ok := strings.CutPrefix(string(path), string(streamsPath)+"/")
	if !ok {
		return "", false
	}
	return unescapeLabel(label)
}

const hexDigits = "0123456789abcdef"

// escapeLabel makes one element of an object path of any string, as systemd's
// bus_label_escape does: letters and digits stand for themselves, except a
// digit at the beginning; every other byte is _ and two hexadecimal digits;
// nothing at all is _.
func escapeLabel(s string) string {
	if s == "" {
		return "_"
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := range len(s) {
		c := s[i]
		if isLetter(c) || i > 0 && isDigit(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('_')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

// unescapeLabel accepts only what escapeLabel makes, so that a stream has one
// path and not several.
func unescapeLabel(label string) (string, bool) {
	if label == "_" {
		return "", true
	}
	var b strings.Builder
	b.Grow(len(label))
	for i := 0; i < len(label); i++ {
		c := label[i]
		if c == '_' && i+2 < len(label) {
			hi, lo := strings.IndexByte(hexDigits, label[i+1]), strings.IndexByte(hexDigits, label[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		b.WriteByte(c)
	}
	s := b.String()
	return s, s != "" && escapeLabel(s) == label
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
