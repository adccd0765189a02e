package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
)

// native encodes records in journald's native protocol: a datagram of fields,
// NAME=value and a newline each; a value with a newline in it is preceded by
// its length: NAME, newline, 64 bits little endian, value, newline
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
type native struct {
	fields  []nativeField // of WithAttrs
	encoded []byte        // all of fields
	pairs   []byte        // " key=value" of WithAttrs
	group   string        // of WithGroup, with its dot

	stream     string // FFKEEPER_STREAM of WithAttrs
	identifier string // SYSLOG_IDENTIFIER
}

type nativeField struct {
	key     string
	encoded []byte
}

// maxValue bounds one value. journald itself takes far more, but nothing that
// people read in a log is longer.
const maxValue = 512 << 10

func (f native) append(b []byte, record slog.Record) []byte {
	b = append(b, fieldPriority...)
	b = append(b, '=', '0'+byte(Priority(record.Level)), '\n')

	start := len(b)
	b = append(b, fieldMessage+"="...)
	if name := f.about(record); name != "" {
		b = append(b, name...)
		b = append(b, ": "...)
	}
	b = append(b, record.Message...)
	b = append(b, f.pairs...)
	overridden := false
	record.Attrs(func(a slog.Attr) bool {
		eachAttr(f.group, a, func(group string, a slog.Attr) {
			if isField(a.Key) {
				overridden = overridden || f.has(a.Key)
			} else {
				b = appendPair(b, group, a)
			}
		})
		return true
	})
	b = endField(b, start, len(fieldMessage))

	if !overridden {
		b = append(b, f.encoded...)
	} else {
		b = f.appendOthers(b, record)
	}
	record.Attrs(func(a slog.Attr) bool {
		eachAttr(f.group, a, func(group string, a slog.Attr) { b = appendField(b, group, a) })
		return true
	})
	return b
}

// about is the stream that a record is about, "" for none: journalctl shows only
// identifier and message, and somebody may look there for one stream of many. A
// stream's own lines have its name for their identifier.
func (f native) about(record slog.Record) string {
	name, identifier := f.stream, f.identifier
	record.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case FieldStream:
			name = a.Value.Resolve().String()
		case FieldIdentifier:
			identifier = a.Value.Resolve().String()
		}
		return true
	})
	if identifier == name {
		return ""
	}
	return name
}

func (f native) has(key string) bool {
	for i := range f.fields {
		if f.fields[i].key == key {
			return true
		}
	}
	return false
}

// appendOthers appends the fields of WithAttrs but those that the record has
// itself: of two values journalctl would show the first.
func (f native) appendOthers(b []byte, record slog.Record) []byte {
	own := map[string]bool{}
	record.Attrs(func(a slog.Attr) bool {
		eachAttr("", a, func(_ string, a slog.Attr) { own[a.Key] = true })
		return true
	})
	for _, field := range f.fields {
		if !own[field.key] {
			b = append(b, field.encoded...)
		}
	}
	return b
}

func (f native) withAttrs(attrs []slog.Attr) form {
	with := native{group: f.group, pairs: bytes.Clone(f.pairs), stream: f.stream, identifier: f.identifier}
	var added []nativeField
	for _, a := range attrs {
		eachAttr(f.group, a, func(group string, a slog.Attr) {
			switch a.Key {
			case FieldStream:
				with.stream = a.Value.Resolve().String()
			case FieldIdentifier:
				with.identifier = a.Value.Resolve().String()
			}
			field := nativeField{encoded: appendField(nil, group, a)}
			if isField(a.Key) {
				field.key = a.Key
			} else {
				with.pairs = appendPair(with.pairs, group, a)
			}
			added = append(added, field)
		})
	}
	newer := native{fields: added}
	for _, field := range f.fields {
		if field.key == "" || !newer.has(field.key) {
			with.fields = append(with.fields, field)
		}
	}
	with.fields = append(with.fields, added...)
	for _, field := range with.fields {
		with.encoded = append(with.encoded, field.encoded...)
	}
	return with
}

func (f native) withGroup(name string) form {
	f.group += name + "."
	return f
}

// appendField appends the field of an attribute.
func appendField(b []byte, group string, a slog.Attr) []byte {
	start := len(b)
	if isField(a.Key) {
		b = append(b, a.Key...)
	} else {
		b = appendFieldName(b, group, a.Key)
	}
	name := len(b) - start
	b = append(b, '=')
	b = appendValue(b, a.Value)
	return endField(b, start, name)
}

// endField ends the field that begins at start with a name of so many bytes
// and an equals sign: it makes the binary form of it where the value needs it.
func endField(b []byte, start, name int) []byte {
	value := start + name + 1
	if size := len(b) - value; size > maxValue {
		b = fmt.Appendf(b[:value+maxValue], " ... (%d bytes more)", size-maxValue)
	}
	if bytes.IndexByte(b[value:], '\n') >= 0 {
		size := uint64(len(b) - value)
		b = append(b, make([]byte, 8)...)
		copy(b[value+8:], b[value:])
		binary.LittleEndian.PutUint64(b[value:], size)
		b[value-1] = '\n'
	}
	return append(b, '\n')
}
