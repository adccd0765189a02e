package systemtest

import (
	"strings"
	"testing"
	"time"
)

const picture = "-re -f lavfi -i testsrc2=size=160x90:rate=10"

// What the streams' sandbox must let through: software encoders, which build
// tables and threads of their own, and protocols, each to a listener that is a
// stream too. The packets have arrived when the listener delivers.
var sandboxed = map[string]string{
	"x264":      picture + " -f lavfi -i sine -c:v libx264 -preset ultrafast -g 10 -c:a aac -y -f mpegts ${OUT}/x264.ts",
	"x265":      picture + " -c:v libx265 -preset ultrafast -x265-params log-level=1 -y -f mpegts ${OUT}/x265.ts",
	"hls":       picture + " -c:v libx264 -preset ultrafast -g 10 -y -f hls -hls_time 1 ${OUT}/hls.m3u8",
	"rtmp-in":   "-listen 1 -i rtmp://127.0.0.1:1935/live/key -c copy -f null -",
	"rtmp-out":  picture + " -c:v libx264 -preset ultrafast -g 10 -f flv rtmp://127.0.0.1:1935/live/key",
	"rtsp-in":   "-rtsp_flags listen -i rtsp://127.0.0.1:8554/live -c copy -f null -",
	"rtsp-out":  picture + " -c:v libx264 -preset ultrafast -g 10 -f rtsp rtsp://127.0.0.1:8554/live",
	"recording": picture + " -c:v libx264 -preset ultrafast -g 10 -y -f mpegts /srv/recordings/recording.ts",
}

func TestEncodersAndProtocolsWorkInTheSandbox(t *testing.T) {
	files := map[string]string{}
	for name, arguments := range sandboxed {
		if name == "recording" {
			continue
		}
		// A publisher comes before its listener at times.
		files[streamFile(name)] = "[Stream]\nEnvironment=OUT=/var/lib/ffkeeper-streams\nRestartSec=300ms\nRestartFactor=1\nExecStart=ffmpeg " + arguments + "\n"
	}
	h := installed(t, files)
	h.Run("systemctl", "start", "ffkeeper")
	for name := range files {
		name = strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".stream")
		h.WaitJournal(60*time.Second, "FFKEEPER_STREAM="+name, "FFKEEPER_EVENT=delivering")
	}
	h.Run("systemctl", "stop", "ffkeeper")
	for file, want := range map[string]string{"x264.ts": "h264 aac", "x265.ts": "hevc", "hls.m3u8": "h264"} {
		out := h.Run("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", "/var/lib/ffkeeper-streams/"+file)
		for _, codec := range strings.Fields(want) {
			if !strings.Contains(out, codec) {
				t.Errorf("%s has no %s, but %q", file, codec, out)
			}
		}
	}
}

// The drop-ins of contrib/systemd, as they are shipped.
func TestShippedDropInsAreInForce(t *testing.T) {
	h := installed(t, map[string]string{
		streamFile("recording"): "[Stream]\nRestartSec=300ms\nExecStart=ffmpeg " + sandboxed["recording"] + "\n",
	})
	h.Run("install", "-d", "-o", "ffkeeper-streams", "-g", "ffkeeper-streams", "/srv/recordings")
	for _, group := range []string{"video", "audio", "render"} {
		h.Run("groupadd", "-f", "-r", group) // udev's package makes the last
	}
	h.Run("systemctl", "start", "ffkeeper")
	h.WaitJournal(30*time.Second, "-t", "recording", "-g", "Read-only file system")
	h.Run("mkdir", "-p", "/etc/systemd/system/ffkeeper-streams.service.d")
	h.Run("sh", "-c", "cp /usr/share/doc/ffkeeper/drop-ins/*.conf /etc/systemd/system/ffkeeper-streams.service.d/")
	h.Run("systemctl", "daemon-reload")
	h.Run("systemctl", "restart", "ffkeeper-streams")
	h.WaitJournal(60*time.Second, "FFKEEPER_STREAM=recording", "FFKEEPER_EVENT=delivering")
	if r := h.Exec("systemd-analyze", "verify", "--man=no", "ffkeeper-streams.service"); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Errorf("systemd-analyze verify with all drop-ins: %v", r)
	}
	for property, want := range map[string]string{"MemoryDenyWriteExecute": "no", "PrivateDevices": "no", "DevicePolicy": "closed"} {
		if got := h.Property("ffkeeper-streams.service", property); got != want {
			t.Errorf("%s=%s with the drop-ins, want %s", property, got, want)
		}
	}
	devices := h.Property("ffkeeper-streams.service", "DeviceAllow")
	for _, device := range []string{"char-drm", "char-nvidia", "char-video4linux", "char-alsa"} {
		if !strings.Contains(devices, device) {
			t.Errorf("%s is not allowed: %s", device, devices)
		}
	}
	groups := h.Run("sh", "-c", "for g in $(sed -n 's/^Groups:\\t//p' /proc/"+h.pid("recording")+"/status); do getent group $g | cut -d: -f1; done")
	for _, group := range []string{"video", "audio", "render"} {
		if !strings.Contains("\n"+groups+"\n", "\n"+group+"\n") {
			t.Errorf("a stream is not in the group %s but in\n%s", group, groups)
		}
	}
}
