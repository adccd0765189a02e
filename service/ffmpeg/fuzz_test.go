package ffmpeg_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

// addRecordings makes seeds of what a real ffmpeg wrote.
func addRecordings(f *testing.F, pattern string, add func(data []byte)) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(data)
	}
}

func FuzzProgressParser(f *testing.F) {
	addRecordings(f, "testdata/*.progress", func(data []byte) { f.Add(data, 100) })
	f.Add([]byte(oneBlock), 1)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n < 1 {
			n = 1
		}
		whole, bad := parse(string(data), len(data)+1)
		cut, badCut := parse(string(data), n)
		if diff := cmp.Diff(whole, cut); diff != "" || bad != badCut {
			t.Errorf("the cut changes the blocks (bad: %d, %d): -whole +cut\n%s", bad, badCut, diff)
		}
		if lines := uint64(bytes.Count(data, []byte("\n"))) + 1; bad > lines {
			t.Errorf("%d bad lines of %d", bad, lines)
		}
		for _, b := range whole {
			if b.FPS < 0 || b.Speed < 0 || b.FPS != b.FPS || b.Speed != b.Speed {
				t.Errorf("impossible figures: %+v", b)
			}
		}
	})
}

func FuzzParseLine(f *testing.F) {
	addRecordings(f, "testdata/*.log", func(data []byte) {
		for line := range strings.Lines(string(data)) {
			f.Add(strings.TrimRight(line, "\n"))
		}
	})
	f.Add("[in#0 @ 0x1] [flv @ 0x2] [fatal] x")
	f.Fuzz(func(t *testing.T, raw string) {
		line := ffmpeg.ParseLine(raw)
		if line.HasLevel != (line.Level != ffmpeg.LevelUnknown) {
			t.Errorf("%+v", line)
		}
		if !line.HasLevel && line.Text != raw {
			t.Errorf("without a level the text became %q", line.Text)
		}
		if tag := "[" + line.Level.String() + "]"; line.HasLevel && len(line.Text)+len(tag) != len(raw) && len(line.Text)+len(tag)+1 != len(raw) {
			t.Errorf("more than the level was taken away: %q", line.Text)
		}
		if line.Component != "" && !strings.Contains(raw, "["+line.Component+" @ 0x") {
			t.Errorf("component %q", line.Component)
		}
		ffmpeg.IsStats(raw)
	})
}

func FuzzLineSplitter(f *testing.F) {
	addRecordings(f, "testdata/*.log", func(data []byte) { f.Add(data, 100, 100) })
	f.Add([]byte("a\r\nb\rc\nd e f\n\xff\xc0"), 1, 2)
	f.Fuzz(func(t *testing.T, data []byte, n, maximum int) {
		if n < 1 {
			n = 1
		}
		if maximum < 0 || maximum > 1<<16 {
			maximum = 0
		}
		whole := ffmpeg.LineSplitter{Max: maximum}
		lines := split(&whole, string(data), len(data)+1)
		pieces := ffmpeg.LineSplitter{Max: maximum}
		if cut := split(&pieces, string(data), n); !slices.Equal(lines, cut) || whole.Cut() != pieces.Cut() {
			t.Errorf("the cut changes the lines: %q, then %q", lines, cut)
		}
		for _, line := range lines {
			line = strings.TrimSuffix(line, "<")
			if strings.ContainsAny(line, "\r\n") {
				t.Errorf("line %q", line)
			}
			if maximum > 0 && len(line) > maximum || len(line) > ffmpeg.DefaultMaxLine && maximum == 0 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
		if whole.Cut() == 0 {
			want := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\r' || r == '\n' })
			if len(want) != len(lines) {
				t.Errorf("%d lines, want %d", len(lines), len(want))
			}
		}
	})
}

func FuzzPrepare(f *testing.F) {
	for _, line := range []string{
		"-i a.mp4 -c:v copy -f flv rtmp://h/a/k",
		"-f rawvideo -s 64x64 -i - -f tee [f=mpegts]pipe:1|x.flv",
		"-v level+debug -progress - -i /dev/stdin -nostats -f null -",
		"-autorotate 0 -fd 0 -i fd: -- -x -y -stats_period 1:2:3ms",
		"-i concat:a|cache:pipe:0 -f mpegts tee:'a\\|b'|md5:",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"), true)
	}
	f.Fuzz(func(t *testing.T, joined string, add bool) {
		argv := append([]string{"ffmpeg"}, strings.Split(joined, "\x00")...)
		got := ffmpeg.Prepare(argv, add)
		if !add && !slices.Equal(got.Argv, argv) {
			t.Fatalf("added %q", got.Argv)
		}
		more := len(got.Argv) - len(argv)
		if more < 0 || got.Argv[0] != argv[0] || !slices.Equal(got.Argv[1+more:], argv[1:]) {
			t.Fatalf("%q became %q", argv, got.Argv)
		}
		if again := ffmpeg.Prepare(got.Argv, add); !cmp.Equal(again, got) {
			t.Errorf("prepared again: %+v, before %+v", again, got)
		}
		if got.ControlQ && got.StdinIsData || got.StdinPlain && !got.StdinIsData || got.Progress && got.ProgressElsewhere || got.StatsPeriod < 0 {
			t.Errorf("%q: contradiction: %+v", argv, got)
		}
		if add && !got.Progress && !got.ProgressElsewhere {
			t.Errorf("%q: no blocks: %+v", argv, got)
		}
	})
}

func FuzzExplain(f *testing.F) {
	addRecordings(f, "testdata/*.log", func(data []byte) { f.Add(string(data)) })
	f.Add("[fatal] File 'exist.mp4' already exists. Exiting.\n[error] Conversion failed!")
	f.Fuzz(func(t *testing.T, log string) {
		lines := strings.Split(log, "\n")
		got := ffmpeg.Explain(lines)
		if got.Text != "" && !strings.Contains(log, got.Text) {
			t.Errorf("made up %q", got.Text)
		}
		if got.OutputExists && got.Text == "" {
			t.Error("exists, and no line says so")
		}
	})
}
