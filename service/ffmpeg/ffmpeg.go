// Package ffmpeg is what the keeper knows of ffmpeg: which arguments to add to
// a command line, what its progress blocks, log lines and levels mean, how to
// tell delivery from a stall, and what an exit means. It starts no process and
// reads no pipe: bytes, command lines and times come in, values go out.
//
// On the way to a process, [IsFFmpeg] and [Prepare] turn the user's command
// line into the one that runs. What the process then writes passes through a
// [ProgressParser] (its fd 3) and a [LineSplitter] with [ParseLine] (its
// stderr). The blocks feed a [Rate], which says how fast it is now, and a
// [Liveness], which says whether it delivers at all. At the end [Clean],
// [ExitText] and [Explain] say what the exit means.
//
// Invariants: nothing here blocks, keeps a goroutine or looks at a clock. The
// stateful types are values whose zero value is ready for use; they belong to
// one goroutine. No input, however broken, makes anything here panic or hold
// more than a bounded amount of memory. The paths taken once a second by every
// stream (a block, an ordinary line) do not allocate.
//
// All knowledge is of ffmpeg 5.1 to 7.1 and is held by tests against the one
// that is installed.
package ffmpeg

import (
	"path/filepath"
	"strings"
)

// IsFFmpeg reports whether argv0 names an ffmpeg: its base name is ffmpeg,
// perhaps with a version (ffmpeg7, ffmpeg7.1), or argv0 is the configured
// program. A wrapper script is not, whatever it runs in the end: arguments
// added to it might reach something else.
func IsFFmpeg(argv0, configured string) bool {
	if argv0 == "" {
		return false
	}
	if argv0 == configured {
		return true
	}
	version, ok := strings.CutPrefix(filepath.Base(argv0), "ffmpeg")
	if !ok {
		return false
	}
	if version == "" {
		return true
	}
	for part := range strings.SplitSeq(version, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}
