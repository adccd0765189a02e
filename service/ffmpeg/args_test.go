package ffmpeg_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

func TestPrepareAddsOnlyWhatIsNotGiven(t *testing.T) {
	for _, c := range []struct{ line, added string }{
		{"-i a b.mp4", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info -n"},
		{"-y -i a b.mp4", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info"},
		{"-i a b.mp4 -y", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info"},
		{"-i a -n b.mp4", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info"},
		{"-i a -metadata title=-y b.mp4", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info -n"},
		{"-metadata -y -i a b.mp4", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info -n"},
		{"-noy -i a b.mp4", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info -n"},
		{"-stats -i a b.mp4", "-progress pipe:3 -stats_period 1 -loglevel repeat+level+info -n"},
		{"-nostats -i a b.mp4", "-progress pipe:3 -stats_period 1 -loglevel repeat+level+info -n"},
		{"-v warning -i a b.mp4", "-nostats -progress pipe:3 -stats_period 1 -n"},
		{"-i a b.mp4 -loglevel quiet", "-nostats -progress pipe:3 -stats_period 1 -n"},
		{"-stats_period 5 -i a b.mp4", "-nostats -progress pipe:3 -loglevel repeat+level+info -n"},
		{"-progress pipe:3 -i a b.mp4", "-nostats -stats_period 1 -loglevel repeat+level+info -n"},
		{"-progress http://h/ -i a b.mp4", "-nostats -stats_period 1 -loglevel repeat+level+info -n"},
		{"", "-nostats -progress pipe:3 -stats_period 1 -loglevel repeat+level+info -n"},
	} {
		argv := append([]string{"ffmpeg"}, strings.Fields(c.line)...)
		before := slices.Clone(argv)
		got := ffmpeg.Prepare(argv, true).Argv
		want := append(append([]string{"ffmpeg"}, strings.Fields(c.added)...), strings.Fields(c.line)...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Prepare(%s): -want +got\n%s", c.line, diff)
		}
		if !slices.Equal(before, argv) {
			t.Errorf("Prepare(%s) changed the argv it was given", c.line)
		}
		if again := ffmpeg.Prepare(got, true).Argv; !slices.Equal(again, got) {
			t.Errorf("Prepare of a prepared %s added %q", c.line, again)
		}
	}
}

func TestPrepareWithoutProgressAddsNothing(t *testing.T) {
	for _, argv := range [][]string{nil, {"ffmpeg"}, {"ffmpeg", "-i", "a", "b"}, {""}} {
		got := ffmpeg.Prepare(argv, false)
		if !slices.Equal(got.Argv, argv) {
			t.Errorf("Prepare(%q, false).Argv = %q", argv, got.Argv)
		}
		if got.Progress || got.Levels {
			t.Errorf("Prepare(%q, false) expects blocks or levels: %+v", argv, got)
		}
		if len(argv) > 0 {
			got.Argv[0] = "changed"
			if argv[0] == "changed" {
				t.Error("Prepare returned the argv it was given")
			}
		}
	}
	if got := ffmpeg.Prepare(nil, true); len(got.Argv) != 0 {
		t.Errorf("Prepare(nil, true).Argv = %q", got.Argv)
	}
}

func TestPrepareFindsStdin(t *testing.T) {
	type stdin struct{ data, plain, q bool }
	keys, data, plain, none := stdin{q: true}, stdin{data: true}, stdin{data: true, plain: true}, stdin{}
	for line, want := range map[string]stdin{
		"-i a.mp4 b.mp4":                         keys,
		"-nostdin -i a.mp4 b.mp4":                none,
		"-i a.mp4 b.mp4 -nostdin":                none,
		"-nostdin -stdin -i a.mp4 b.mp4":         keys,
		"-i - b.mp4":                             data,
		"-i pipe: b.mp4":                         data,
		"-i pipe:0 b.mp4":                        data,
		"-i fd: b.mp4":                           data,
		"-fd 0 -i fd: b.mp4":                     data,
		"-nostdin -i pipe:0 b.mp4":               data,
		"-i a.mp4 -f rawvideo -i - b.mp4":        data,
		"-i pipe:5 b.mp4":                        none, // ffmpeg stops listening all the same
		"-fd 5 -i fd: b.mp4":                     none,
		"-fd 5 -i a.mp4 -i fd: b.mp4":            data, // the option was of the first input
		"-i /dev/stdin b.mp4":                    plain,
		"-i file:/dev/stdin b.mp4":               plain,
		"-i /dev/fd/0 b.mp4":                     plain,
		"-i /proc/self/fd/0 b.mp4":               plain,
		"-i cache:pipe:0 b.mp4":                  data,
		"-i async:/dev/stdin b.mp4":              plain,
		"-i concat:a.ts|pipe:0 b.mp4":            data,
		"-i concat:a.ts|b.ts b.mp4":              keys,
		"-vf - b.mp4":                            keys,
		"-f - -i a.mp4 b.mp4":                    keys,
		"-metadata comment=- -i pipe.mp4 b.mp4":  keys,
		"-i pipe.mp4 -map 0 b.mp4":               keys,
		"-f concat -safe 0 -i list.txt b.mp4":    keys,
		"-i rtsp://h/pipe:0 b.mp4":               keys,
		"-f lavfi -i testsrc -f null -":          keys,
		"-re -stream_loop -1 -i a.mp4 -c copy -": keys,
		"-i":                                     keys,
	} {
		got := ffmpeg.Prepare(append([]string{"ffmpeg"}, strings.Fields(line)...), true)
		if g := (stdin{got.StdinIsData, got.StdinPlain, got.ControlQ}); g != want {
			t.Errorf("%s: got %+v, want %+v", line, g, want)
		}
	}
}

func TestPrepareFindsStdout(t *testing.T) {
	for line, want := range map[string]bool{
		"-i a b.mp4":                                   false,
		"-i a -f mpegts -":                             true,
		"-i a -f mpegts pipe:":                         true,
		"-i a -f mpegts pipe:1":                        true,
		"-i a -f mpegts pipe:2":                        false,
		"-i a -f mpegts pipe:4":                        false,
		"-i a -f mpegts -fd 4 fd:":                     false,
		"-i a -f mpegts fd:":                           true,
		"-i a -f mpegts /dev/stdout":                   true,
		"-i a -f mpegts file:/dev/stdout":              true,
		"-i a -f mpegts /dev/fd/1":                     true,
		"-i a -f mpegts /proc/self/fd/1":               true,
		"-i a b.mp4 -c copy -f flv - c.mp4":            true,
		"-i a -f null -":                               false, // customary, and nothing is written
		"-i a -f null - -f mpegts -":                   true,
		"-i a -f framemd5 -":                           true,
		"-i a -f avi md5:":                             true,
		"-i a -f avi md5:sum":                          false,
		"-f alsa -i a -f alsa -":                       false,
		"-i a -f - b.mp4":                              false,
		"-i - b.mp4":                                   false,
		"-i a -vn -":                                   true,
		"-i a -an -f adts -y -":                        true,
		"-i a -f tee [f=mpegts]pipe:1|[f=flv]x.flv":    true,
		"-i a -f tee x.flv|[f=mpegts:onfail=ignore]-":  false, // a file of that name
		"-i a -f tee x.flv|pipe:":                      true,
		"-i a -f tee [f=null]pipe:1|x.flv":             false,
		"-i a -f tee [f=mpegts:fd=4]fd:|x.flv":         false,
		`-i a -f tee x\|pipe:1|y.flv`:                  false, // one name, x|pipe:1
		`-i a -f tee 'x|y'|[select=\'v,a\']pipe:1`:     true,
		"-i a -f tee [":                                false,
		"-i a -f tee [f=":                              false,
		"-i a -f mpegts tee:a.ts|pipe:1":               true,
		"-i a -f mpegts -- -":                          true,
		"-i a -f mpegts -filter_complex_threads 2 -":   true,
		"-i a -autoscale 0 -":                          true,
		"-i a -noautoscale -":                          true,
		"-i a -x264-params keyint=1 -movflags - b.mp4": false,
	} {
		got := ffmpeg.Prepare(append([]string{"ffmpeg"}, strings.Fields(line)...), true)
		if got.StdoutIsData != want {
			t.Errorf("%s: StdoutIsData = %v", line, got.StdoutIsData)
		}
	}
}

func TestPrepareSaysWhereBlocksGo(t *testing.T) {
	for line, want := range map[string][2]bool{ // Progress, ProgressElsewhere
		"-i a b":                               {true, false},
		"-progress pipe:3 -i a b":              {true, false},
		"-progress /dev/fd/3 -i a b":           {true, false},
		"-progress - -i a b":                   {false, true},
		"-progress pipe:1 -i a b":              {false, true},
		"-progress pipe: -i a b":               {false, true},
		"-progress http://h/x -i a b":          {false, true},
		"-progress x -progress pipe:3 -i a b":  {true, false},
		"-progress pipe:3 -i a b -progress no": {false, true},
	} {
		got := ffmpeg.Prepare(append([]string{"ffmpeg"}, strings.Fields(line)...), true)
		if got.Progress != want[0] || got.ProgressElsewhere != want[1] {
			t.Errorf("%s: Progress %v, ProgressElsewhere %v", line, got.Progress, got.ProgressElsewhere)
		}
	}
}

func TestPrepareSaysWhetherLinesCarryLevels(t *testing.T) {
	for line, want := range map[string]bool{
		"-i a b":                                     true,
		"-v warning -i a b":                          false,
		"-v level+warning -i a b":                    true,
		"-loglevel repeat+level+verbose -i a b":      true,
		"-loglevel +level -i a b":                    true,
		"-loglevel level -i a b":                     true,
		"-loglevel repeat+info -i a b":               false,
		"-loglevel +repeat -i a b":                   false,
		"-v +level+debug -v +info -i a b":            true,
		"-v level+debug -v info -i a b":              false,
		"-v +level-level -i a b":                     false,
		"-v 32 -i a b":                               false,
		"-v -level -i a b":                           false,
		"-hide_banner -loglevel level+error -i a -y": true,
	} {
		if got := ffmpeg.Prepare(append([]string{"ffmpeg"}, strings.Fields(line)...), true); got.Levels != want {
			t.Errorf("%s: Levels = %v", line, got.Levels)
		}
	}
}

func TestPrepareReadsTheStatsPeriod(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"1":       time.Second,
		"0.25":    250 * time.Millisecond,
		"10":      10 * time.Second,
		"00:01:0": time.Minute,
		"01:30":   90 * time.Second,
		"500ms":   500 * time.Millisecond,
		"2s":      2 * time.Second,
		"250us":   250 * time.Microsecond,
		"x":       0,
		"-1":      0,
		"NaN":     0,
		"Inf":     0,
		"9999999": 0,
		"":        0,
	} {
		if got := ffmpeg.Prepare([]string{"ffmpeg", "-stats_period", value}, true); got.StatsPeriod != want {
			t.Errorf("-stats_period %q: %v, want %v", value, got.StatsPeriod, want)
		}
	}
	if got := ffmpeg.Prepare([]string{"ffmpeg"}, true).StatsPeriod; got != time.Second {
		t.Errorf("added: %v", got)
	}
	if got := ffmpeg.Prepare([]string{"ffmpeg"}, false).StatsPeriod; got != 500*time.Millisecond {
		t.Errorf("ffmpeg's own: %v", got)
	}
}
