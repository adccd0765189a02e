package ffmpeg_test

import (
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

func TestWhatComesEachSecondDoesNotAllocate(t *testing.T) {
	var (
		parser   ffmpeg.ProgressParser
		splitter ffmpeg.LineSplitter
		rate     ffmpeg.Rate
		live     ffmpeg.Liveness
		chunk    = []byte(oneBlock)
		halves   = [][]byte{chunk[:70], chunk[70:]}
		lines    = []byte("[info] one line\n[info] frame=   26 fps= 26 q=-1.0 size=0kB time=00 bitrate=N/A\r[warning] x\n")
		text     = "[info] Opening 'x.ts' for writing"
		seconds  float64
		took     int
	)
	parser.Feed(halves[0], func(ffmpeg.Block) {})
	parser.Feed(halves[1], func(ffmpeg.Block) {})
	for name, work := range map[string]func(){
		"a block": func() {
			parser.Feed(chunk, func(b ffmpeg.Block) {
				seconds++
				rate.Add(b, at(seconds))
				live.Feed(b, at(seconds))
				rate.Over(ffmpeg.DisplayWindow, at(seconds))
				live.Judge(at(seconds), minute)
			})
		},
		"a block in two pieces": func() {
			for _, half := range halves {
				parser.Feed(half, func(ffmpeg.Block) { took++ })
			}
		},
		"lines":  func() { splitter.Feed(lines, func([]byte, bool) { took++ }) },
		"a line": func() { took += len(ffmpeg.ParseLine(text).Text) },
		"stats":  func() { ffmpeg.IsStats(text) },
	} {
		if n := testing.AllocsPerRun(1000, work); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkProgressParser(b *testing.B) {
	var p ffmpeg.ProgressParser
	chunk := []byte(oneBlock)
	b.ReportAllocs()
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		p.Feed(chunk, func(ffmpeg.Block) {})
	}
}

func BenchmarkBlockToVerdict(b *testing.B) {
	var (
		p    ffmpeg.ProgressParser
		rate ffmpeg.Rate
		live ffmpeg.Liveness
	)
	chunk := []byte(oneBlock)
	now := at(0)
	b.ReportAllocs()
	for b.Loop() {
		p.Feed(chunk, func(block ffmpeg.Block) {
			now = now.Add(1e9)
			rate.Add(block, now)
			rate.Over(ffmpeg.DisplayWindow, now)
			live.Feed(block, now)
			live.Judge(now, minute)
		})
	}
}

func BenchmarkParseLine(b *testing.B) {
	for name, raw := range map[string]string{
		"plain":     "[info] Opening 'x.ts' for writing",
		"component": "[hls @ 0x5614f1bc6fc0] [info] Opening 'h0.ts' for writing",
		"untagged":  "To ignore this, add a trailing '?' to the map.",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ffmpeg.ParseLine(raw)
			}
		})
	}
}

func BenchmarkLineSplitter(b *testing.B) {
	var s ffmpeg.LineSplitter
	chunk := []byte("[hls @ 0x5614f1bc6fc0] [info] Opening 'h0.ts' for writing\n[info] another line\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		s.Feed(chunk, func([]byte, bool) {})
	}
}

func BenchmarkPrepare(b *testing.B) {
	argv := []string{"ffmpeg", "-re", "-i", "a.mp4", "-c:v", "copy", "-f", "flv", "rtmp://h/a/k"}
	b.ReportAllocs()
	for b.Loop() {
		ffmpeg.Prepare(argv, true)
	}
}
