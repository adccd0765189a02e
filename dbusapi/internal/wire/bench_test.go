package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"
)

// BenchmarkDecode is the body of a call that asks for something, beside
// godbus's decoder, which takes whole messages.
func BenchmarkDecode(b *testing.B) {
	raw := call(b, binary.LittleEndian, "cam-1")
	m, err := readMessage(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if values, err := m.Decode(); err != nil || len(values) != 1 {
				b.Fatal(values, err)
			}
		}
	})
	b.Run("godbus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := dbus.DecodeMessage(bytes.NewReader(raw)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEncode is an answer of the size of GetHealth's, beside godbus's
// encoder.
func BenchmarkEncode(b *testing.B) {
	dict := map[string]dbus.Variant{}
	for i := range 28 {
		dict[fmt.Sprint("figure_of_a_stream_", i)] = dbus.MakeVariant(uint64(i))
	}
	o := &outgoing{typ: dbus.TypeMethodReply, replySerial: 3, dest: ":1.7", body: []any{dict}}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := o.encodeKnown(1, 0); !ok {
				b.Fatal("left to godbus")
			}
		}
	})
	b.Run("godbus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := o.encodeByGodbus(1, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}
