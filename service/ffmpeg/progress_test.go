package ffmpeg_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

const oneBlock = `frame=26
fps=25.79
stream_0_0_q=-0.0
bitrate= 174.3kbits/s
total_size=21000
out_time_us=1040000
out_time_ms=1040000
out_time=00:00:01.040000
dup_frames=2
drop_frames=3
speed=1.03x
progress=continue
`

// parse feeds text in pieces of n bytes.
func parse(text string, n int) (blocks []ffmpeg.Block, bad uint64) {
	var p ffmpeg.ProgressParser
	for text != "" {
		n := min(n, len(text))
		p.Feed([]byte(text[:n]), func(b ffmpeg.Block) { blocks = append(blocks, b) })
		text = text[n:]
	}
	return blocks, p.Bad()
}

func TestProgressParserReadsEveryKey(t *testing.T) {
	want := []ffmpeg.Block{{
		Frame: 26, HasFrame: true, FPS: 25.79,
		BitrateBPS: 174300, HasBitrate: true,
		TotalSize: 21000, HasTotalSize: true,
		OutTime: 1040 * time.Millisecond, HasOutTime: true,
		Dup: 2, Drop: 3, Speed: 1.03, HasSpeed: true,
	}}
	for n := 1; n <= len(oneBlock); n++ {
		got, bad := parse(oneBlock, n)
		if diff := cmp.Diff(want, got); diff != "" || bad != 0 {
			t.Fatalf("in pieces of %d: %d bad, -want +got\n%s", n, bad, diff)
		}
	}
}

func TestProgressParserReadsOddValues(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       ffmpeg.Block
		bad        uint64
	}{
		{"not available", "bitrate=N/A\ntotal_size=N/A\nout_time_us=N/A\nout_time_ms=N/A\nout_time=N/A\nspeed=N/A\n", ffmpeg.Block{}, 0},
		{"negative out_time", "out_time_us=-4960000\nout_time_ms=-4960000\nout_time=-00:00:04.960000\n",
			ffmpeg.Block{OutTime: -4960 * time.Millisecond, HasOutTime: true}, 0},
		{"no packet yet, up to 5.1", "out_time_us=-9223372036854775807\nout_time_ms=-9223372036854775807\nout_time=-2562047788:00:54.775807\n", ffmpeg.Block{}, 0},
		{"exponent", "speed=1.39e+03x\nbitrate=1234567.8kbits/s\n",
			ffmpeg.Block{Speed: 1390, HasSpeed: true, BitrateBPS: 1234567800, HasBitrate: true}, 0},
		{"padded", "bitrate=   0.8kbits/s\nspeed=   1x\n", ffmpeg.Block{BitrateBPS: 800, HasBitrate: true, Speed: 1, HasSpeed: true}, 0},
		{"new keys", "stream_1_12_q=3.1\nstream_0_0_psnr_y=3.0\nnew_key=whatever = else\n", ffmpeg.Block{}, 0},
		{"carriage returns", "frame=7\r\ndup_frames=1\r\n", ffmpeg.Block{Frame: 7, HasFrame: true, Dup: 1}, 0},
		{"empty lines", "\n\nframe=7\n\r\n", ffmpeg.Block{Frame: 7, HasFrame: true}, 0},
		{"rubbish", "hello\n=3\nFrame=2\n\x00\xff\nframe=\nframe=x\nframe=-1\nframe=99999999999999999999\nspeed=fastx\nspeed=1\nspeed=infx\nspeed=nanx\nbitrate=3\nout_time_us=--1\nout_time_us=\n", ffmpeg.Block{}, 15},
		{"nothing", "", ffmpeg.Block{}, 0},
	} {
		got, bad := parse(c.text+"progress=end\n", 5)
		c.want.End = true
		if diff := cmp.Diff([]ffmpeg.Block{c.want}, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
		if bad != c.bad {
			t.Errorf("%s: %d bad lines, want %d", c.name, bad, c.bad)
		}
	}
}

func TestProgressParserDropsTheFiguresOfABrokenBlock(t *testing.T) {
	got, bad := parse("frame=5\nprogress=perhaps\nfps=2.00\nprogress=continue\n", 1000)
	want := []ffmpeg.Block{{FPS: 2}}
	if diff := cmp.Diff(want, got); diff != "" || bad != 1 {
		t.Errorf("%d bad, -want +got\n%s", bad, diff)
	}
}

func TestProgressParserBoundsALine(t *testing.T) {
	for _, n := range []int{1, 100, 5000, 1 << 20} {
		text := "frame=1\n" + strings.Repeat("x", 100_000) + "\nfps=1.00\nprogress=continue\n"
		got, bad := parse(text, n)
		want := []ffmpeg.Block{{Frame: 1, HasFrame: true, FPS: 1}}
		if diff := cmp.Diff(want, got); diff != "" || bad != 1 {
			t.Errorf("in pieces of %d: %d bad, -want +got\n%s", n, bad, diff)
		}
	}
}

// TestRecordedBlocksAreUnderstood goes through what a real ffmpeg wrote.
func TestRecordedBlocksAreUnderstood(t *testing.T) {
	files, err := filepath.Glob("testdata/*.progress")
	if err != nil || len(files) < 9 {
		t.Fatalf("only %d recordings: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks, bad := parse(string(data), 180)
		if bad != 0 {
			t.Errorf("%s: %d lines not understood", file, bad)
		}
		if want := strings.Count(string(data), "\nprogress="); len(blocks) != want || want == 0 {
			t.Errorf("%s: %d blocks, want %d", file, len(blocks), want)
			continue
		}
		last := blocks[len(blocks)-1]
		name := strings.TrimSuffix(filepath.Base(file), ".progress")
		for i, b := range blocks {
			if b.End != (i == len(blocks)-1) {
				t.Errorf("%s: block %d of %d says end: %v", file, i+1, len(blocks), b.End)
			}
			if b.HasFrame == strings.HasPrefix(name, "audio") {
				t.Errorf("%s: block %d: HasFrame %v", file, i+1, b.HasFrame)
			}
			if noSize := strings.HasSuffix(name, "null") || strings.HasSuffix(name, "hls"); noSize && b.HasTotalSize {
				t.Errorf("%s: block %d has a size", file, i+1)
			}
		}
		switch name {
		case "negative-out-time":
			if !last.HasOutTime || last.OutTime >= 0 {
				t.Errorf("%s: out_time %v", file, last.OutTime)
			}
		case "no-frames":
			if last.Frame != 0 || last.OutTime != 0 {
				t.Errorf("%s: %+v", file, last)
			}
		case "faster-than-real":
			if last.Speed < 10 || last.OutTime < 10*time.Second {
				t.Errorf("%s: %+v", file, last)
			}
		default:
			if !last.HasSpeed || last.Speed < 0.2 || last.Speed > 3 || last.OutTime < time.Second {
				t.Errorf("%s: %+v", file, last)
			}
		}
	}
}
