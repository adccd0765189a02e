package ffmpeg_test

import (
	"os"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

func TestIsFFmpegGoesByTheBaseNameOrTheSetting(t *testing.T) {
	for _, c := range []struct {
		argv0, configured string
		want              bool
	}{
		{"ffmpeg", "", true},
		{"/usr/bin/ffmpeg", "", true},
		{"/opt/x/ffmpeg7", "", true},
		{"ffmpeg7.1", "", true},
		{"ffmpeg7.1.2", "", true},
		{"/opt/jellyfin/transcoder", "/opt/jellyfin/transcoder", true},
		{"", "", false},
		{"ffmpeg7.", "", false},
		{"ffmpeg.7", "", false},
		{"ffmpeg.sh", "", false},
		{"ffmpeg-wrapper", "", false},
		{"ffmpeg-7", "", false},
		{"ffprobe", "", false},
		{"myffmpeg", "", false},
		{"sh", "ffmpeg", false},
		{"/usr/bin/ffmpeg/", "", true}, // as a shell would, the exec says why not
	} {
		if got := ffmpeg.IsFFmpeg(c.argv0, c.configured); got != c.want {
			t.Errorf("IsFFmpeg(%q, %q) = %v, want %v", c.argv0, c.configured, got, c.want)
		}
	}
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}
