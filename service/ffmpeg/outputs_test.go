package ffmpeg

import (
	"slices"
	"strings"
	"testing"
)

func TestOutputFilesAreTheLocalOnes(t *testing.T) {
	for command, want := range map[string][]string{
		"ffmpeg -i /in.mp4 -c copy /srv/rec/a.mp4":                                         {"/srv/rec/a.mp4"},
		"ffmpeg -i in.mp4 -c copy -f hls -hls_segment_filename /a/%05d.ts /b/live.m3u8":    {"/a/%05d.ts", "/b/live.m3u8"},
		"ffmpeg -i in -f flv rtmp://host/app":                                              nil,
		"ffmpeg -i in -f null -":                                                           nil,
		"ffmpeg -i in -f null /dev/null":                                                   nil,
		"ffmpeg -i in -f null name":                                                        nil,
		"ffmpeg -i in -f mpegts pipe:1":                                                    nil,
		"ffmpeg -i in -f mpegts udp://239.0.0.1:1234":                                      nil,
		"ffmpeg -i in -f mpegts tcp:host":                                                  nil,
		"ffmpeg -i in file:a:b.ts":                                                         {"a:b.ts"},
		"ffmpeg -i in -f ogg icecast://source@h/m /rec/a.ogg":                              {"/rec/a.ogg"},
		"ffmpeg -i in -map 0 -f tee [f=flv]rtmp://h/a|[f=segment:x=y]/rec/%d.ts|/rec/b.ts": {"/rec/%d.ts", "/rec/b.ts"},
		"ffmpeg -i in -f null - /rec/a.ts":                                                 {"/rec/a.ts"},
		"ffmpeg -i in ./12:00.ts":                                                          {"./12:00.ts"},
		"ffmpeg -i in -y a.ts -y a.ts":                                                     {"a.ts"},
		"ffmpeg -i in -f hls /dev/shm/live.m3u8":                                           {"/dev/shm/live.m3u8"},
		"ffmpeg -i in -f libndi_newtek CAM":                                                nil,
		"ffmpeg":                                                                           nil,
	} {
		if got := OutputFiles(strings.Fields(command)); !slices.Equal(got, want) {
			t.Errorf("%s writes %q, not %q", command, got, want)
		}
	}
	if got := OutputFiles(nil); got != nil {
		t.Errorf("nothing writes %q", got)
	}
}
