package ffmpeg_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want ffmpeg.Line
	}{
		{"[info] Stream mapping:", ffmpeg.Line{Level: ffmpeg.LevelInfo, HasLevel: true, Text: "Stream mapping:"}},
		{"[info]   Stream #0:0 -> #0:0 (copy)", ffmpeg.Line{Level: ffmpeg.LevelInfo, HasLevel: true, Text: "  Stream #0:0 -> #0:0 (copy)"}},
		{"[flv @ 0x55d0] [warning] text", ffmpeg.Line{Level: ffmpeg.LevelWarning, HasLevel: true, Component: "flv", Text: "[flv @ 0x55d0] text"}},
		{"[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5a] [error] moov atom not found", ffmpeg.Line{Level: ffmpeg.LevelError, HasLevel: true, Component: "mov,mp4,m4a,3gp,3g2,mj2", Text: "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5a] moov atom not found"}},
		{"[in#0 @ 0x1] [flv @ 0x2] [fatal] x", ffmpeg.Line{Level: ffmpeg.LevelFatal, HasLevel: true, Component: "flv", Text: "[in#0 @ 0x1] [flv @ 0x2] x"}},
		{"[graph 0 input from stream 0:0 @ 0x2] [verbose] w:1", ffmpeg.Line{Level: ffmpeg.LevelVerbose, HasLevel: true, Component: "graph 0 input from stream 0:0", Text: "[graph 0 input from stream 0:0 @ 0x2] w:1"}},
		{"[error] ", ffmpeg.Line{Level: ffmpeg.LevelError, HasLevel: true}},
		{"[error]", ffmpeg.Line{Level: ffmpeg.LevelError, HasLevel: true}},
		{"[panic] x", ffmpeg.Line{Level: ffmpeg.LevelPanic, HasLevel: true, Text: "x"}},
		{"[trace] x", ffmpeg.Line{Level: ffmpeg.LevelTrace, HasLevel: true, Text: "x"}},
		{"[debug] x", ffmpeg.Line{Level: ffmpeg.LevelDebug, HasLevel: true, Text: "x"}},
		// No level: a continuation, or a log without levels.
		{"To ignore this, add a trailing '?' to the map.", ffmpeg.Line{Text: "To ignore this, add a trailing '?' to the map."}},
		{"[flv @ 0x55d0] text", ffmpeg.Line{Component: "flv", Text: "[flv @ 0x55d0] text"}},
		{"", ffmpeg.Line{}},
		{"[", ffmpeg.Line{Text: "["}},
		{"[]", ffmpeg.Line{Text: "[]"}},
		{"[quiet] x", ffmpeg.Line{Text: "[quiet] x"}},
		{"[infomercial] x", ffmpeg.Line{Text: "[infomercial] x"}},
		{"[flv @ 0x] [info] x", ffmpeg.Line{Text: "[flv @ 0x] [info] x"}},
		{"[flv @ 0x55", ffmpeg.Line{Text: "[flv @ 0x55"}},
		{" [info] x", ffmpeg.Line{Text: " [info] x"}},
		{"[info] [error] forged", ffmpeg.Line{Level: ffmpeg.LevelInfo, HasLevel: true, Text: "[error] forged"}},
	} {
		if got := ffmpeg.ParseLine(c.raw); got != c.want {
			t.Errorf("ParseLine(%q)\n got %+v\nwant %+v", c.raw, got, c.want)
		}
	}
}

func TestLevelPriority(t *testing.T) {
	for level, want := range map[ffmpeg.Level]struct {
		priority int
		name     string
	}{
		ffmpeg.LevelUnknown: {6, ""},
		ffmpeg.LevelPanic:   {2, "panic"},
		ffmpeg.LevelFatal:   {2, "fatal"},
		ffmpeg.LevelError:   {3, "error"},
		ffmpeg.LevelWarning: {4, "warning"},
		ffmpeg.LevelInfo:    {6, "info"},
		ffmpeg.LevelVerbose: {7, "verbose"},
		ffmpeg.LevelDebug:   {7, "debug"},
		ffmpeg.LevelTrace:   {7, "trace"},
		200:                 {6, ""},
	} {
		if level.Priority() != want.priority || level.String() != want.name {
			t.Errorf("level %d: priority %d, name %q", level, level.Priority(), level.String())
		}
	}
}

func TestIsStats(t *testing.T) {
	for raw, want := range map[string]bool{
		"frame=   50 fps= 25 q=-0.0 Lsize=N/A time=00:00:02.00 bitrate=N/A speed=0.998x    ":         true,
		"[info] frame=   26 fps= 26 q=-1.0 size=       0kB time=00:00:01.04 bitrate=N/A speed=1.04x": true,
		"size=      13kB time=00:00:01.36 bitrate=  77.4kbits/s speed=   1x    ":                     true,
		"[info] size=      13KiB time=00:00:01.36 bitrate=  77.4kbits/s speed=   1x    ":             true,
		"frame=  100 fps=0.0 q=28.0 q=29.0 size=N/A time=N/A bitrate=N/A dup=1 drop=2 speed=N/A":     true,
		"[info] Stream #0:0: Video: h264, 25 fps, time= bitrate= ":                                   false,
		"[libx264 @ 0x5581d0] [info] frame I:6     Avg QP:20.58  size:  1898":                        false,
		"frame= is what it says": false,
		"":                       false,
		"[info] video:23kB audio:0kB subtitle:0kB other streams:0kB global headers:0kB muxing overhead: ": false,
	} {
		if got := ffmpeg.IsStats(raw); got != want {
			t.Errorf("IsStats(%q) = %v", raw, got)
		}
	}
}

// TestRecordedLogsAreUnderstood goes through what a real ffmpeg wrote.
func TestRecordedLogsAreUnderstood(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log")
	if err != nil || len(files) < 10 {
		t.Fatalf("only %d recordings: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s ffmpeg.LineSplitter
		lines, stats, components := 0, 0, 0
		take := func(raw []byte, bare bool) {
			lines++
			line := ffmpeg.ParseLine(string(raw))
			if ffmpeg.IsStats(string(raw)) {
				stats++
			} else if bare {
				t.Errorf("%s: %q ended in a carriage return and is no report", file, raw)
			}
			if line.Component != "" {
				components++
			}
			if untagged := strings.Contains(file, "untagged"); line.HasLevel == untagged {
				t.Errorf("%s: %q: HasLevel %v", file, raw, line.HasLevel)
			}
		}
		s.Feed(data, take)
		s.Flush(take)
		if lines < 4 {
			t.Errorf("%s: only %d lines", file, lines)
		}
		if strings.Contains(file, "refused") == (stats > 0) {
			t.Errorf("%s: %d reports", file, stats)
		}
		if strings.Contains(file, "x264") && components == 0 {
			t.Errorf("%s: no component was found", file)
		}
	}
}
