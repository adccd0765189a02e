package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

// both are the programs to compare.
func both(t *testing.T) map[string]string {
	return map[string]string{"real": ffmpegtest.Real(t), "fake": ffmpegtest.Build(t)}
}

// quick are the arguments that the keeper adds, with a quicker block.
const quick = "-hide_banner -nostats -progress pipe:3 -stats_period 0.1 -loglevel repeat+level+info -n "

// formats are the values that a key may have, as print_report writes them.
var formats = map[string]*regexp.Regexp{
	"frame":        regexp.MustCompile(`^\d+$`),
	"fps":          regexp.MustCompile(`^\d+\.\d\d$`),
	"stream_0_0_q": regexp.MustCompile(`^-?\d+\.\d$`),
	"bitrate":      regexp.MustCompile(`^(N/A|( {0,3}\d{1,6}|\d+)\.\dkbits/s)$`),
	"total_size":   regexp.MustCompile(`^(N/A|\d+)$`),
	"out_time_us":  regexp.MustCompile(`^-?\d+$`),
	"out_time_ms":  regexp.MustCompile(`^-?\d+$`),
	"out_time":     regexp.MustCompile(`^-?\d\d:\d\d:\d\d\.\d{6}$`),
	"dup_frames":   regexp.MustCompile(`^\d+$`),
	"drop_frames":  regexp.MustCompile(`^\d+$`),
	"speed":        regexp.MustCompile(`^(N/A|[ .\d]{3}\dx|\d+\.\d+x|\d(\.\d+)?e\+\d\dx|\d+x)$`),
	"progress":     regexp.MustCompile(`^(continue|end)$`),
}

// TestFakeBlocksLookLikeRealOnes holds the keys, their order and their values
// against the real ones, for what has frames, and a size, and what has not.
func TestFakeBlocksLookLikeRealOnes(t *testing.T) {
	for name, args := range map[string]string{
		"video, null": "-re -f lavfi -i testsrc=size=64x64:rate=25 -f null -",
		"video, mp4":  "-re -f lavfi -i testsrc=size=64x64:rate=25 -c:v mpeg4 out.mp4",
		"audio, mp4":  "-re -f lavfi -i sine -c:a aac out.mp4",
		"audio, null": "-re -f lavfi -i sine -f null -",
		"video, -vn":  "-re -f lavfi -i testsrc=size=64x64 -f lavfi -i sine -vn -c:a aac out.mp4",
		"hls":         "-re -f lavfi -i testsrc=size=64x64:rate=25 -c:v mpeg4 -f hls out.m3u8",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type shape struct {
				Keys           []string
				Sizes, Bitrate bool // where the last block has them
				List           bool
			}
			shapes := map[string]shape{}
			for which, program := range both(t) {
				dir := t.TempDir()
				p := ffmpegtest.Start(t, ffmpegtest.Command{Path: program, Args: strings.Fields(quick + args), Dir: dir})
				p.AwaitBlocks(13)
				p.Write("q")
				e := p.Wait()
				var s shape
				s.Keys = checkBlocks(t, which, e.Raw)
				last := e.Blocks[len(e.Blocks)-1]
				s.Sizes, s.Bitrate = last.HasTotalSize, last.HasBitrate
				list, _ := os.ReadFile(filepath.Join(dir, "out.m3u8"))
				s.List = strings.Contains(string(list), "#EXT-X-ENDLIST")
				shapes[which] = s
			}
			if diff := cmp.Diff(shapes["real"], shapes["fake"]); diff != "" {
				t.Errorf("-real +fake\n%s", diff)
			}
		})
	}
}

// checkBlocks wants all blocks to have the keys of the first, in their order,
// and each value in its format. It returns the keys.
func checkBlocks(t *testing.T, which, raw string) []string {
	t.Helper()
	var first, keys []string
	for line := range strings.Lines(raw) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || formats[key] == nil || !formats[key].MatchString(value) {
			t.Errorf("%s: impossible line %q", which, line)
		}
		keys = append(keys, key)
		if key == "progress" {
			if first == nil {
				first = keys
			}
			if diff := cmp.Diff(first, keys); diff != "" {
				t.Errorf("%s: keys of a later block: -first +later\n%s", which, diff)
			}
			keys = nil
		}
	}
	if keys != nil || first == nil {
		t.Errorf("%s: not a number of whole blocks: %q", which, raw)
	}
	return first
}

// TestFakePacesItselfLikeTheReal: both deliver at real time, the first block at
// once and then one in each period.
func TestFakePacesItselfLikeTheReal(t *testing.T) {
	for which, program := range both(t) {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			args := strings.ReplaceAll(quick, "0.1", "0.5") + "-re -f lavfi -i testsrc=size=64x64:rate=25 -f null -"
			p := ffmpegtest.Start(t, ffmpegtest.Command{Path: program, Args: strings.Fields(args)})
			var rate ffmpeg.Rate
			blocks := p.AwaitBlocks(6)
			arrived := p.Arrivals()
			for i, b := range blocks {
				rate.Add(b, arrived[i])
			}
			pace := rate.Over(ffmpeg.DisplayWindow, arrived[len(blocks)-1])
			// Wide, for the machine may be busy; a wrong unit is far wider.
			if pace.Speed < 0.5 || pace.Speed > 2 || pace.FPS < 12 || pace.FPS > 50 {
				t.Errorf("%+v", pace)
			}
			if first := blocks[0]; first.Frame != 1 {
				t.Errorf("the first block has frame %d", first.Frame)
			}
		})
	}
}

// TestFakeLosesItsReaderLikeTheReal: output to a pipe that nobody reads any
// more is a failure.
func TestFakeLosesItsReaderLikeTheReal(t *testing.T) {
	for which, program := range both(t) {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			args := quick + "-re -f lavfi -i testsrc=size=64x64:rate=25 -f rawvideo -"
			p := ffmpegtest.Start(t, ffmpegtest.Command{Path: program, Args: strings.Fields(args), Stdout: w})
			w.Close()
			if _, err := io.ReadFull(r, make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
			r.Close()
			e := p.Wait()
			if e.Code != 1 {
				t.Errorf("code %d", e.Code)
			}
			if got, want := ffmpeg.Explain(e.Lines).Text, "av_interleaved_write_frame(): Broken pipe"; got != want {
				t.Errorf("explained by %q, want %q", got, want)
			}
		})
	}
}

// TestFakeOutlivesItsSupervisorLikeTheReal: without a reader of progress and
// log it goes on; ffmpeg ignores SIGPIPE.
func TestFakeOutlivesItsSupervisorLikeTheReal(t *testing.T) {
	for which, program := range both(t) {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := quick + "-stats -re -f lavfi -i testsrc=size=64x64:rate=25 -c:v mpeg4 -t 1 out.mp4"
			p := ffmpegtest.Start(t, ffmpegtest.Command{Path: program, Args: strings.Fields(args), Dir: dir})
			p.AwaitBlocks(1)
			p.CloseReaders()
			if e := p.WaitMain(); e.Code != 0 {
				t.Errorf("code %d, signal %v", e.Code, e.Signal)
			}
			if data, _ := os.ReadFile(filepath.Join(dir, "out.mp4")); !strings.Contains(string(data), "moov") {
				t.Error("the output is not finished")
			}
		})
	}
}
