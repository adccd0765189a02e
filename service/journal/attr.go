package journal

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Fields of the records that are written to the journal. journalctl's own
// meaning of MESSAGE_ID, PRIORITY and SYSLOG_IDENTIFIER is told in
// systemd.journal-fields(7).
const (
	FieldStream     = "FFKEEPER_STREAM"
	FieldEvent      = "FFKEEPER_EVENT"
	FieldPID        = "FFKEEPER_PID"
	FieldExitCode   = "FFKEEPER_EXIT_CODE"
	FieldReason     = "FFKEEPER_REASON"
	FieldMessageID  = "MESSAGE_ID"
	FieldIdentifier = "SYSLOG_IDENTIFIER"

	fieldMessage  = "MESSAGE"
	fieldPriority = "PRIORITY"
	ownFields     = "FFKEEPER_" // before the name of an attribute that is no field
)

// maxFieldName is the length in bytes that journald allows
// (systemd, journal_field_valid in src/libsystemd/sd-journal/journal-file.c).
const maxFieldName = 64

// isField reports whether an attribute of that key is a journal field of that
// name rather than a part of the message: it is written in capitals, and
// journald would take it. It takes none that begins with an underscore, which
// only it may set. MESSAGE and PRIORITY are the record's own.
func isField(key string) bool {
	if key == "" || len(key) > maxFieldName || key[0] < 'A' || key[0] > 'Z' {
		return false
	}
	for i := range len(key) {
		if c := key[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return key != fieldMessage && key != fieldPriority
}

// appendFieldName appends the name of the field for an attribute that is a
// part of the message too: FFKEEPER_ and its key in capitals.
func appendFieldName(b []byte, group, key string) []byte {
	start := len(b)
	b = append(b, ownFields...)
	for _, part := range [...]string{group, key} {
		for i := range len(part) {
			switch c := part[i]; {
			case len(b)-start == maxFieldName:
				return b
			case 'a' <= c && c <= 'z':
				b = append(b, c-'a'+'A')
			case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
				b = append(b, c)
			default:
				b = append(b, '_')
			}
		}
	}
	return b
}

// eachAttr calls yield for a, or for each of its members if it is a group,
// with values resolved. Groups' names are joined by dots; attributes without a
// key and empty groups are left out, as slog asks.
func eachAttr(group string, a slog.Attr, yield func(group string, a slog.Attr)) {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range a.Value.Group() {
			eachAttr(group, member, yield)
		}
		return
	}
	if a.Key != "" {
		yield(group, a)
	}
}

// appendValue appends the text of a value.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return append(b, v.String()...)
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	}
	if raw, ok := v.Any().([]byte); ok {
		return append(b, raw...)
	}
	return fmt.Appendf(b, "%+v", v.Any()) // which survives a panic in Error or String
}

// appendPair appends key=value as it stands in a message, quoted where it
// would be read as something else.
func appendPair(b []byte, group string, a slog.Attr) []byte {
	b = append(b, ' ')
	b = append(b, group...)
	b = append(b, a.Key...)
	b = append(b, '=')
	start := len(b)
	b = appendValue(b, a.Value)
	if needsQuotes(b[start:]) {
		quoted := strconv.Quote(string(b[start:]))
		b = append(b[:start], quoted...)
	}
	return b
}

func needsQuotes(value []byte) bool {
	if len(value) == 0 {
		return true
	}
	for i := 0; i < len(value); {
		c := value[i]
		if c < utf8.RuneSelf {
			if c <= ' ' || c == '"' || c == '=' || c == 0x7f {
				return true
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(value[i:])
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return true
		}
		i += size
	}
	return false
}
