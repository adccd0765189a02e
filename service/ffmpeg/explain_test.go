package ffmpeg_test

import (
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

// The lines are those of a real ffmpeg 5.1, where nothing else is said.
func TestExplainFindsTheLineThatSaysMost(t *testing.T) {
	for _, c := range []struct {
		name, log, want string
		exists          bool
	}{
		{name: "nothing"},
		{name: "chatter only", log: `[info] Input #0, lavfi, from 'testsrc':
[info] Press [q] to stop, [?] for help
[info] Exiting normally, received signal 15.`},
		{name: "missing input", log: `[info] ffmpeg stats and -progress period set to 1.
[error] /nonexist.mp4: No such file or directory`, want: "/nonexist.mp4: No such file or directory"},
		{name: "output exists", log: `[info] Stream mapping:
[fatal] File 'exist.mp4' already exists. Exiting.`, want: "File 'exist.mp4' already exists. Exiting.", exists: true},
		{name: "output exists, 7.1", log: `[out#0 @ 0x5581d0] [fatal] File 'exist.mp4' already exists. Exiting.
[fatal] Error opening output file exist.mp4.
[fatal] Error opening output files: Immediate exit requested`, want: "File 'exist.mp4' already exists. Exiting.", exists: true},
		{name: "asked and not answered", log: `File 'exist.mp4' already exists. Overwrite? [y/N] [fatal] Not overwriting - exiting`,
			want: "File 'exist.mp4' already exists. Overwrite? [y/N] [fatal] Not overwriting - exiting", exists: true},
		{name: "output exists, no levels", log: `Stream mapping:
File 'exist.mp4' already exists. Exiting.`, want: "File 'exist.mp4' already exists. Exiting.", exists: true},
		{name: "a title that looks like it", log: `[info]     title           : File 'x' already exists.
[info] video:23kB audio:0kB`},
		{name: "rtmp refused", log: `[tcp @ 0x562f85c3f780] [error] Connection to tcp://127.0.0.1:1?tcp_nodelay=0 failed: Connection refused
[rtmp @ 0x562f85c3f080] [error] Cannot open connection tcp://127.0.0.1:1?tcp_nodelay=0
[error] rtmp://127.0.0.1:1/app/[redacted]: Connection refused`, want: "rtmp://127.0.0.1:1/app/[redacted]: Connection refused"},
		{name: "rtmp refused, 7.1", log: `[tcp @ 0x56] [error] Connection to tcp://127.0.0.1:1?tcp_nodelay=0 failed: Connection refused
[rtmp @ 0x56] [error] Cannot open connection tcp://127.0.0.1:1?tcp_nodelay=0
[out#0/flv @ 0x56] [error] Error opening output rtmp://127.0.0.1:1/app/k: Connection refused
[error] Error opening output file rtmp://127.0.0.1:1/app/k.
[error] Error opening output files: Connection refused`, want: "Error opening output rtmp://127.0.0.1:1/app/k: Connection refused"},
		{name: "host unknown", log: `[tcp @ 0x55b8926796c0] [error] Failed to resolve hostname nosuchhost.invalid: Name or service not known
[error] http://nosuchhost.invalid/x.ts: Input/output error`, want: "Failed to resolve hostname nosuchhost.invalid: Name or service not known"},
		{name: "bad format", log: `[NULL @ 0x55d4cf2b5f80] [error] Requested output format 'nosuch' is not a suitable output format
[error] out1: Invalid argument`, want: "Requested output format 'nosuch' is not a suitable output format"},
		{name: "truncated mp4", log: `[mov,mp4,m4a,3gp,3g2,mj2 @ 0x556609d4f080] [warning] Format mov,mp4,m4a,3gp,3g2,mj2 detected only with low score of 1, misdetection possible!
[mov,mp4,m4a,3gp,3g2,mj2 @ 0x556609d4f080] [error] moov atom not found
[error] junk.mp4: Invalid data found when processing input`, want: "moov atom not found"},
		{name: "vague is better than nothing", log: `[error] srt://127.0.0.1:1: Input/output error`, want: "srt://127.0.0.1:1: Input/output error"},
		{name: "bad filter", log: `[AVFilterGraph @ 0x560683c74240] [error] No such filter: 'nosuch'
[error] Error reinitializing filters!
[error] Failed to inject frame into filter network: Invalid argument
[fatal] Error while processing the decoded data for stream #0:0`, want: "No such filter: 'nosuch'"},
		{name: "bad option", log: `[error] Unrecognized option 'nosuchopt'.
[fatal] Error splitting the argument list: Option not found`, want: "Unrecognized option 'nosuchopt'."},
		{name: "a second line", log: `[fatal] Stream map '0:a' matches no streams.
To ignore this, add a trailing '?' to the map.`, want: "Stream map '0:a' matches no streams."},
		{name: "generic only", log: `[info] x
[error] Conversion failed!`, want: "Conversion failed!"},
		{name: "broken pipe", log: `[error] av_interleaved_write_frame(): Broken pipe
[error] Error writing trailer of rtmp://h/a/k: Broken pipe
[info] frame=  100 fps= 25 q=-1.0 Lsize=     100kB time=00:00:04.00 bitrate= 204.8kbits/s speed=   1x
[error] Conversion failed!`, want: "av_interleaved_write_frame(): Broken pipe"},
		{name: "a warning where there is nothing else", log: `[warning] deprecated pixel format used
[info] x`, want: "deprecated pixel format used"},
		{name: "no levels", log: `Input #0, mpegts, from 'x':
  Duration: N/A, start: 1.4, bitrate: N/A
[tcp @ 0x55b85e6df680] Connection to tcp://127.0.0.1:1 failed: Connection refused
http://127.0.0.1:1/x.ts: Connection refused
frame=    0 fps=0.0 q=0.0 size=N/A time=00:00:00.00 bitrate=N/A speed=N/A`, want: "http://127.0.0.1:1/x.ts: Connection refused"},
		{name: "the last of two causes", log: `[error] first: Connection refused
[error] second: No route to host`, want: "second: No route to host"},
	} {
		var lines []string
		if c.log != "" {
			lines = strings.Split(c.log, "\n")
		}
		got := ffmpeg.Explain(lines)
		if got.Text != c.want || got.OutputExists != c.exists {
			t.Errorf("%s:\n got %+v\nwant %q, exists %v", c.name, got, c.want, c.exists)
		}
	}
}
