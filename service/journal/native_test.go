package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// parsed is a field as journald would read it.
type parsed struct{ name, value string }

// parseNative reads a record of the native protocol as journald does
// (src/journal/journald-native.c), but refuses what that would pass over.
func parseNative(b []byte) ([]parsed, error) {
	var fields []parsed
	for len(b) > 0 {
		line, rest, found := bytes.Cut(b, []byte("\n"))
		if !found {
			return nil, fmt.Errorf("no newline after %q", b)
		}
		if name, value, ok := bytes.Cut(line, []byte("=")); ok {
			fields = append(fields, parsed{string(name), string(value)})
			b = rest
			continue
		}
		if len(rest) < 8 {
			return nil, fmt.Errorf("no size after %q", line)
		}
		size := binary.LittleEndian.Uint64(rest)
		rest = rest[8:]
		if size >= uint64(len(rest)) || rest[size] != '\n' {
			return nil, fmt.Errorf("a size of %d after %q, with %d left", size, line, len(rest))
		}
		fields = append(fields, parsed{string(line), string(rest[:size])})
		b = rest[size+1:]
	}
	return fields, nil
}

func valuesOf(fields []parsed, name string) []string {
	var values []string
	for _, f := range fields {
		if f.name == name {
			values = append(values, f.value)
		}
	}
	return values
}

func FuzzNative(f *testing.F) {
	f.Add("message", "key", "value", "with", "a\nb", "group", 0)
	f.Add("two\nlines\n", "FFKEEPER_STREAM", "cam1", "FFKEEPER_STREAM", "cam2", "", 8)
	f.Add("\x00=\n\xff", "_PID", "1", "MESSAGE", "x", "a.b", -4)
	f.Add("", "PRIORITY", "0\n=\n", "K=\n", "", "ö", 100)
	f.Add(strings.Repeat("x", maxValue+1), strings.Repeat("K", 100), "\n", strings.Repeat("k", 100), "", "", 4)
	f.Fuzz(func(t *testing.T, message, key, value, withKey, withValue, group string, level int) {
		var form form = native{}
		form = form.withAttrs([]slog.Attr{slog.String(withKey, withValue)})
		if group != "" {
			form = form.withGroup(group)
		}
		record := slog.NewRecord(time.Time{}, slog.Level(level), message, 0)
		record.AddAttrs(slog.String(key, value))
		before := []byte("untouched")
		b := form.append(before, record)
		if !bytes.HasPrefix(b, before) {
			t.Fatalf("what was there before is %.20q", b)
		}
		fields, err := parseNative(b[len(before):])
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range fields {
			if !isField(field.name) && field.name != fieldMessage && field.name != fieldPriority {
				t.Errorf("journald takes no field of the name %q", field.name)
			}
			if len(field.value) > maxValue+64 {
				t.Errorf("%s has %d bytes", field.name, len(field.value))
			}
		}
		if got := valuesOf(fields, fieldPriority); !slices.Equal(got, []string{fmt.Sprint(Priority(slog.Level(level)))}) {
			t.Errorf("PRIORITY is %q", got)
		}
		given := map[string]string{withKey: withValue}
		given[key] = value
		about := ""
		if name := given[FieldStream]; name != "" && name != given[FieldIdentifier] {
			about = name + ": "
		}
		text := about + message
		if got := valuesOf(fields, fieldMessage); len(got) != 1 || !strings.HasPrefix(got[0], text[:min(len(text), maxValue)]) {
			t.Errorf("MESSAGE is %.100q", got)
		}
		if isField(key) && len(value) <= maxValue {
			if got := valuesOf(fields, key); !slices.Equal(got, []string{value}) {
				t.Errorf("%s is %q, want %q", key, got, value)
			}
		}
		if isField(withKey) && withKey != key && len(withValue) <= maxValue {
			if got := valuesOf(fields, withKey); !slices.Equal(got, []string{withValue}) {
				t.Errorf("%s is %q, want %q", withKey, got, withValue)
			}
		}
	})
}

// journalctl shows the identifier and the message.
func TestRecordsAboutAStreamBeginWithItsNameAndItsOwnLinesDoNot(t *testing.T) {
	daemon := native{}.withAttrs([]slog.Attr{slog.String(FieldIdentifier, "ffkeeperd")})
	event := daemon.withAttrs([]slog.Attr{slog.String(FieldStream, "cam1")})
	line := event.withAttrs([]slog.Attr{slog.String(FieldIdentifier, "cam1")})
	for want, b := range map[string][]byte{
		"cam1: started":  event.append(nil, slog.NewRecord(time.Time{}, 0, "started", 0)),
		"frame dropped":  line.append(nil, slog.NewRecord(time.Time{}, 0, "frame dropped", 0)),
		"nothing at all": daemon.append(nil, slog.NewRecord(time.Time{}, 0, "nothing at all", 0)),
	} {
		fields, err := parseNative(b)
		if got := valuesOf(fields, fieldMessage); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("MESSAGE is %q (%v), want %q", got, err, want)
		}
	}
}

func TestNativeFormOfAttributes(t *testing.T) {
	record := slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)
	var none error
	record.AddAttrs(
		slog.String("FFKEEPER_STREAM", "inner"), slog.Int("n", -1), slog.Uint64("u", 1<<63), slog.Float64("f", 1.5), slog.Bool("b", true),
		slog.Duration("d", 1500*time.Millisecond), slog.Time("t", time.Date(2026, 11, 23, 2, 15, 0, 5, time.UTC)), slog.Any("e", errors.New("a b")),
		slog.Any("nil", none), slog.Any("list", []string{"a", "b"}), slog.Any("valuer", valuer{}), slog.Any("panics", panics{}),
		slog.Group("g", slog.Int("x", 1), slog.Group("h", slog.Int("y", 2))), slog.Group("", slog.Int("inline", 3)), slog.Group("empty"), slog.Attr{})
	f := native{}.withAttrs([]slog.Attr{slog.String("FFKEEPER_STREAM", "outer"), slog.String("SYSLOG_IDENTIFIER", "x"), slog.String("w", "with")})
	f = f.withAttrs([]slog.Attr{slog.String("SYSLOG_IDENTIFIER", "y")})
	fields, err := parseNative(f.append(nil, record))
	if err != nil {
		t.Fatal(err)
	}
	message := `inner: m w=with n=-1 u=9223372036854775808 f=1.5 b=true d=1.5s t=2026-11-23T02:15:00.000000005Z e="a b" nil=<nil> list="[a b]" valuer=resolved ` +
		`panics="%!v(PANIC=Error method: no)" g.x=1 g.h.y=2 inline=3`
	for name, want := range map[string][]string{
		"MESSAGE":           {message},
		"FFKEEPER_STREAM":   {"inner"},
		"SYSLOG_IDENTIFIER": {"y"},
		"FFKEEPER_W":        {"with"},
		"FFKEEPER_E":        {"a b"},
		"FFKEEPER_G_H_Y":    {"2"},
		"FFKEEPER_VALUER":   {"resolved"},
	} {
		if got := valuesOf(fields, name); !slices.Equal(got, want) {
			t.Errorf("%s is %q\n   want %q", name, got, want)
		}
	}
}

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("resolved") }

type panics struct{}

func (panics) Error() string { panic("no") }

func TestFieldNamesAreThoseThatJournaldTakes(t *testing.T) {
	for key, want := range map[string]bool{
		"FFKEEPER_STREAM": true, "MESSAGE_ID": true, "A": true, "A1_": true,
		"": false, "_PID": false, "1A": false, "a": false, "Aa": false, "A-B": false, "A B": false, "A=B": false, "A\n": false, "Ö": false,
		"MESSAGE": false, "PRIORITY": false, strings.Repeat("A", 64): true, strings.Repeat("A", 65): false,
	} {
		if got := isField(key); got != want {
			t.Errorf("isField(%q) = %v", key, got)
		}
	}
	for key, want := range map[string]string{
		"key": "FFKEEPER_KEY", "err msg": "FFKEEPER_ERR_MSG", "ö": "FFKEEPER___", "_PID": "FFKEEPER__PID", strings.Repeat("k", 100): "FFKEEPER_" + strings.Repeat("K", 55),
	} {
		if got := string(appendFieldName(nil, "", key)); got != want || !isField(got) {
			t.Errorf("appendFieldName(%q) = %q, want %q", key, got, want)
		}
	}
}
