package redact

import (
	"fmt"
	"testing"
)

// ordinaryLine is typical of what ffmpeg says all day: 100 bytes, no secret.
const ordinaryLine = "[hls @ 0x55702a4c4d40] [info] Opening '/srv/streams/cam1/segment-00042.ts.tmp' for writing, next 00043"

func TestOrdinaryLineIsReturnedWithoutAllocation(t *testing.T) {
	r := New()
	for i := range 1000 {
		if err := r.Register(fmt.Sprintf("key-%d-of-a-stream", i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{ordinaryLine, urlLine, x264Line} {
		if n := testing.AllocsPerRun(100, func() {
			if r.String(line) != line {
				t.Fatal(r.String(line))
			}
		}); n != 0 {
			t.Errorf("%v allocations for %q", n, line)
		}
	}
}

const (
	urlLine  = "[hls @ 0x55702a4c4d40] [info] Opening 'http://cdn.example.org:8080/live/cam1/segment-00042.ts' for writing"
	x264Line = "[libx264 @ 0x55e6d98d6940] [info] 264 - core 164 r3095 baee400 - H.264/MPEG-4 AVC codec - Copyleft 2003-2022 - http://www.videolan.org/x264.html - options: cabac=1 ref=3 deblock=1:0:0 analyse=0x3:0x113 me=hex subme=7 psy=1 psy_rd=1.00:0.00 mixed_ref=1 me_range=16 chroma_me=1 trellis=1 8x8dct=1 cqm=0 deadzone=21,11 fast_pskip=1 chroma_qp_offset=4 threads=2 lookahead_threads=1 sliced_threads=0 nr=0 decimate=1"
)

func BenchmarkString(b *testing.B) {
	none, many := New(), New()
	for i := range 1000 {
		if err := many.Register(fmt.Sprintf("key-%d-of-a-stream", i)); err != nil {
			b.Fatal(err)
		}
	}
	for _, bb := range []struct {
		name string
		r    *Redactor
		line string
	}{
		{"ordinary", none, ordinaryLine},
		{"ordinary, 1000 secrets", many, ordinaryLine},
		{"URL without secrets", none, urlLine},
		{"options of x264", none, x264Line},
		{"stream key", none, "[info] Output #0, flv, to 'rtmp://a.rtmp.example.org/live2/abcd-efgh-ijkl-mnop':"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.line)))
			for b.Loop() {
				bb.r.String(bb.line)
			}
		})
	}
}
