package service_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

const testPicture = "-f lavfi -i testsrc=size=320x180:rate=25 -f lavfi -i sine"

// TestStopLeavesFilesPlayable stops real ffmpegs of each kind after some
// seconds of output and plays what they left.
func TestStopLeavesFilesPlayable(t *testing.T) {
	files := map[string]string{
		"mp4":  "ExecStart=ffmpeg -re " + testPicture + " -c:v libx264 -preset ultrafast -c:a aac -y @WORK@/out.mp4",
		"flv":  "ExecStart=ffmpeg -re " + testPicture + " -c:v libx264 -preset ultrafast -c:a aac -y @WORK@/out.flv",
		"hls":  "ExecStart=ffmpeg -re " + testPicture + " -c:v libx264 -preset ultrafast -g 25 -c:a aac -f hls -hls_time 1 -hls_list_size 0 -y @WORK@/out.m3u8",
		"pipe": "ExecStart=sh -c \"ffmpeg -nostats -progress pipe:3 -re " + testPicture + " -c:v libx264 -preset ultrafast -c:a aac -f mpegts pipe:1 | ffmpeg -f mpegts -i pipe:0 -c copy -y @WORK@/pipe.mp4\"",
	}
	k := newKeeper(t, files)
	for name := range files {
		k.start(name)
	}
	for name := range files {
		k.until(name, "two seconds of output", func(s *stream.Snapshot) bool {
			return s.Progress != nil && s.Progress.OutTime.Seconds() > 2
		})
	}
	if failures := k.StopAll(k.ctx(), service.CallOptions{}); failures != nil {
		t.Fatal(failures)
	}
	for name := range files {
		if s := k.snap(name); s.State != stream.StateStopped || s.Detail != "" || k.log.has(name, stream.KindForced) {
			t.Errorf("%s: %s, %q, events %v", name, s.State, s.Detail, k.log.events(name))
		}
	}
	for _, f := range []string{"out.mp4", "out.flv", "out.m3u8", "pipe.mp4"} {
		playable(t, k.path(f), 1.5)
	}
	if b, _ := os.ReadFile(k.path("out.m3u8")); !strings.Contains(string(b), "#EXT-X-ENDLIST") {
		t.Error("the playlist has no end")
	}
}
