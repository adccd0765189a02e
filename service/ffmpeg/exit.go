package ffmpeg

import (
	"fmt"
	"syscall"
)

// Exit codes of ffmpeg itself. All others: see ExitText.
const (
	// ExitOK: it came to its end, or was sent a q. It also stands for a
	// truncated input, decoder errors, a read timeout and a full disk under
	// HLS: 0 alone does not mean that all went well.
	ExitOK = 0
	// ExitFailed is every failure up to ffmpeg 6.0: a bad option, a missing
	// input, a refused or closed output.
	ExitFailed = 1
	// ExitErrorRate: more decoding errors than -max_error_rate allows.
	ExitErrorRate = 69
	// ExitHard: the fourth signal. Outputs are not finished.
	ExitHard = 123
	// ExitSignaled: it was sent a signal and ended in an orderly way. Whether
	// its outputs are finished only the last block tells.
	ExitSignaled = 255
)

// Clean reports whether an exit left finished outputs: code 0 or 255, and the
// last progress block said end. signaled: a signal killed it, and code means
// nothing.
func Clean(code int, signaled bool, lastBlockEnd bool) bool {
	return !signaled && lastBlockEnd && (code == ExitOK || code == ExitSignaled)
}

// ExitText says in a few words what an exit of ffmpeg means. signal is the one
// that killed it, or 0; then code is what it exited with. From ffmpeg 6.1 on
// the code of a failure is the low byte of the negative error number, so that
// 254 is "no such file or directory".
func ExitText(code int, signal syscall.Signal) string {
	if signal != 0 {
		// Default dispositions, as ffmpeg catches INT, TERM, QUIT and XCPU
		// once it is up: those kill it only in its first 20 ms or so.
		return fmt.Sprintf("killed by signal %d (%v)", int(signal), signal)
	}
	switch code {
	case ExitOK:
		return "ended"
	case ExitFailed:
		return "failed"
	case ExitErrorRate:
		return "too many decoding errors"
	case ExitHard:
		return "ended by four signals, outputs not finished"
	case ExitSignaled:
		return "ended by a signal"
	}
	for _, e := range averrors {
		if e.code == code {
			return "failed: " + e.text
		}
	}
	if errno := 256 - code; errno > 1 && errno < 134 {
		return "failed: " + syscall.Errno(errno).Error()
	}
	return fmt.Sprintf("exit code %d", code)
}

// averrors are the low bytes of ffmpeg's own error numbers, -MKTAG(a,b,c,d) with
// a in the low byte (libavutil/error.h); several share one. An errno with the
// same byte is not to be expected from ffmpeg.
var averrors = [...]struct {
	code int
	text string
}{
	{256 - 0xF8, "an option, codec, filter, format, protocol or stream not found, or refused by the HTTP server"},
	{256 - 'B', "a buffer too small, or a bug in ffmpeg"},
	{256 - 'E', "end of file, or an error in an external library"},
	{256 - 'I', "invalid data found when processing input"},
	{256 - 'P', "not implemented in ffmpeg"},
	{256 - 'U', "unknown error"},
}
