package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

func encoded(t testing.TB, order binary.ByteOrder, m *dbus.Message) []byte {
	t.Helper()
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var buf bytes.Buffer
	if err := m.EncodeTo(&buf, order); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// call is a method call as the bus hands it on.
func call(t testing.TB, order binary.ByteOrder, body ...any) []byte {
	t.Helper()
	return encoded(t, order, &dbus.Message{
		Type: dbus.TypeMethodCall,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/ffkeeper1")),
			dbus.FieldInterface:   text("org.ffkeeper1.Manager"),
			dbus.FieldMember:      text("Start"),
			dbus.FieldDestination: text("org.ffkeeper1"),
			dbus.FieldSender:      text(":1.7"),
		},
		Body: body,
	})
}

func samples(t testing.TB) [][]byte {
	return [][]byte{
		call(t, binary.LittleEndian),
		call(t, binary.LittleEndian, "cam1", map[string]dbus.Variant{"wait": text("ok"), "timeout_usec": dbus.MakeVariant(uint64(5))}),
		call(t, binary.BigEndian, "cam1", []byte("data")),
		call(t, binary.LittleEndian, dbus.MakeVariant(dbus.MakeVariant([]string{"a", "b"}))),
		encoded(t, binary.LittleEndian, &dbus.Message{
			Type: dbus.TypeError,
			Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldErrorName:   text("x.y.Z"),
				dbus.FieldReplySerial: dbus.MakeVariant(uint32(3)),
				dbus.FieldUnixFDs:     dbus.MakeVariant(uint32(0)),
			},
			Body: []any{"why"},
		}),
	}
}

func TestHeaderIsReadInBothByteOrders(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		raw := encoded(t, order, &dbus.Message{
			Type:  dbus.TypeSignal,
			Flags: dbus.FlagNoReplyExpected,
			Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/a")),
				dbus.FieldInterface: text("b.c"),
				dbus.FieldMember:    text("D"),
				dbus.FieldSender:    text(":1.1"),
			},
			Body: []any{"body", int64(-1)},
		})
		m, err := readMessage(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil || m == nil {
			t.Fatal(m, err)
		}
		if m.Path != "/a" || m.Interface != "b.c" || m.Member != "D" || m.Sender != ":1.1" || m.Signature != "sx" || m.Flags != dbus.FlagNoReplyExpected {
			t.Errorf("%v: %+v", order, m)
		}
		values, err := m.Decode()
		if err != nil || len(values) != 2 || values[0] != "body" || values[1] != int64(-1) {
			t.Error(values, err)
		}
	}
}

func TestMissingFieldsAreNoMessage(t *testing.T) {
	raw := samples(t)[0]
	at := bytes.Index(raw, []byte("Start"))
	raw[at-8] = 77 // its field code: unknown now
	m, err := readMessage(bufio.NewReader(bytes.NewReader(raw)))
	if m != nil || err != nil {
		t.Errorf("a call of nothing is %+v, %v", m, err)
	}
}

// TestStringsAreDecodedAsGodbusDoes: those are decoded without it.
func TestStringsAreDecodedAsGodbusDoes(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, body := range [][]any{{"cam1"}, {""}, {"org.ffkeeper1.Stream", "PID"}, {"ä", "", "xyz"}} {
			raw := call(t, order, body...)
			m, err := readMessage(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil || m == nil {
				t.Fatal(m, err)
			}
			theirs, err := dbus.DecodeMessage(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			ours, err := m.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(theirs.Body, ours); d != "" {
				t.Errorf("%v in %v: %s", body, order, d)
			}
			m.Body = m.Body[:len(m.Body)-1]
			m.BodyLen--
			if values, err := m.Decode(); err == nil {
				t.Errorf("%v cut short is %v", body, values)
			}
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(bytes.NewReader(data))
		for {
			m, err := readMessage(in)
			if err != nil {
				return
			}
			if m == nil {
				continue
			}
			if len(m.Body) > MaxBody || len(m.Body) > m.BodyLen {
				t.Fatalf("%d bytes of %d kept", len(m.Body), m.BodyLen)
			}
			values, err := m.Decode()
			if err == nil && m.Signature == "" && values != nil {
				t.Fatalf("values %v of nothing", values)
			}
		}
	})
}
