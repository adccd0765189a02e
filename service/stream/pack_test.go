package stream

import (
	"bytes"
	"strings"
	"testing"
)

func TestAPackedNoteComesBack(t *testing.T) {
	for _, text := range []string{"", "{}", "z", strings.Repeat("a line of ffmpeg's\n", 1000)} {
		packed := pack([]byte(text))
		got, err := unpack(packed)
		if err != nil || string(got) != text {
			t.Errorf("%.20q: %.20q, %v", text, got, err)
		}
		if len(text) > 1000 && len(packed) > len(text)/10 {
			t.Errorf("%d bytes packed are %d", len(text), len(packed))
		}
	}
}

func TestANoteThatIsNotPackedIsReadAsItIs(t *testing.T) {
	if got, err := unpack([]byte(`{"v":1}`)); err != nil || string(got) != `{"v":1}` {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(pack([]byte("{}")))
	f.Add([]byte("z\x00\x01"))
	f.Add(pack(bytes.Repeat([]byte{0}, 1<<20)))
	f.Fuzz(func(t *testing.T, note []byte) {
		data, err := unpack(note)
		if err != nil || len(note) == 0 || note[0] != packMark {
			return
		}
		if again, err := unpack(pack(data)); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%d bytes, %d again, %v", len(data), len(again), err)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	data := []byte(strings.Repeat("{\"at\":1795777570821587099,\"priority\":6,\"text\":\"[hls @ 0x55c514b19ec0] Opening '/srv/cam0.ts' for writing\"},", 50))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		pack(data)
	}
}
