package ffmpeg_test

import (
	"syscall"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

func TestCleanNeedsTheCodeAndTheLastBlock(t *testing.T) {
	for _, c := range []struct {
		code          int
		signaled, end bool
		want          bool
	}{
		{0, false, true, true},
		{255, false, true, true},
		{0, false, false, false},   // an end that no block told of
		{255, false, false, false}, // a second TERM, or EPERM from 6.1 on
		{1, false, true, false},    // the trailer failed
		{123, false, true, false},
		{0, true, true, false},
		{-1, true, true, false},
	} {
		if got := ffmpeg.Clean(c.code, c.signaled, c.end); got != c.want {
			t.Errorf("Clean(%d, %v, %v) = %v", c.code, c.signaled, c.end, got)
		}
	}
}

func TestExitText(t *testing.T) {
	for _, c := range []struct {
		code   int
		signal syscall.Signal
		want   string
	}{
		{0, 0, "ended"},
		{1, 0, "failed"},
		{255, 0, "ended by a signal"},
		{123, 0, "ended by four signals, outputs not finished"},
		{69, 0, "too many decoding errors"},
		{-1, syscall.SIGKILL, "killed by signal 9 (killed)"},
		{0, syscall.SIGHUP, "killed by signal 1 (hangup)"},
		{254, 0, "failed: no such file or directory"},
		{251, 0, "failed: input/output error"},
		{145, 0, "failed: connection refused"},
		{234, 0, "failed: invalid argument"},
		{228, 0, "failed: no space left on device"},
		{183, 0, "failed: invalid data found when processing input"},
		{8, 0, "failed: an option, codec, filter, format, protocol or stream not found, or refused by the HTTP server"},
		{2, 0, "exit code 2"},
		{100, 0, "exit code 100"},
		{-1, 0, "exit code -1"},
		{300, 0, "exit code 300"},
	} {
		if got := ffmpeg.ExitText(c.code, c.signal); got != c.want {
			t.Errorf("ExitText(%d, %d) = %q, want %q", c.code, c.signal, got, c.want)
		}
	}
}
