package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is the time at which everything is rendered.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func usec(t time.Time) uint64 { return uint64(t.UnixMicro()) }

// fixtures are streams in every kind of condition.
func fixtures() []*view {
	return []*view{
		{
			Name: "cam1", Description: "Front door", State: "running", Health: "ok", PID: 4711,
			UptimeSeconds: 3*3600 + 12*60 + 4, RestartCount: 2,
			RecentErrors: []string{}, ExitCodes: []int32{1, -9, 255},
			LastActivityAgo: new(0.4), LastRestartUsec: new(usec(noon.Add(-3 * time.Hour))),
			CPUPercent: new(12.34), RSSBytes: new(uint64(54_857_600)), Threads: new(uint32(9)),
			ReadBytes: new(uint64(1000)), WriteBytes: new(uint64(3 << 30)),
			CgroupMemoryBytes: new(uint64(163_840_000)), CgroupCPUPercent: new(12.9),
			PressureCPUPercent: new(3.2), PressureMemoryPercent: new(0.0), PressureIOPercent: new(0.4),
			Frame: new(uint64(288_000)), FPS: new(25.0), Speed: new(1.003), BitrateBPS: new(uint64(2_412_000)),
			OutTimeUsec: new(int64(11_524_480_000)), TotalBytes: new(uint64(3_474_567_890)), DroppedFrames: new(uint64(3)),
			DuplicatedFrames: new(uint64(0)),
		}, {
			Name: "cam2", Description: "Garten 庭", State: "running", Health: "degraded", Reason: "too-slow", PID: 4712,
			UptimeSeconds: 42, RecentErrors: []string{}, ExitCodes: []int32{},
			Speed: new(0.62), FPS: new(15.5), CPUPercent: new(198.7),
			PressureCPUPercent: new(83.1),
		}, {
			Name: "evil\x1b[31m", Description: "a\x1b]0;owned\x07b\u202ec", State: "restarting", Health: "down",
			Reason: "exit-code", RestartCount: 17, ConsecutiveFailures: 4, ExitCodes: []int32{1, 1, 1, 1},
			RecentErrors:    []string{"rtmp://live.example/app/[redacted]: Connection refused"},
			NextRestartUsec: new(usec(noon.Add(14 * time.Second))), LastRestartUsec: new(usec(noon.Add(-time.Minute))),
		}, {
			Name: "radio", State: "failed", Health: "down", Reason: "output-exists", Detail: "/rec/a.mp4 is there already", ExitCodes: []int32{1},
			RecentErrors: []string{"File '/rec/a.mp4' already exists. Exiting."},
		}, {
			Name: "torn", State: "failed", Health: "down", Reason: "bad-setting", RecentErrors: []string{}, ExitCodes: []int32{},
			Detail: "/etc/ffkeeper/streams.d/torn.stream:3: there is no option \"Exec\"\n/etc/ffkeeper/streams.d/torn.stream:9: bad",
		}, {
			Name: "relay@backup", Description: "Only in an emergency", State: "stopped", Health: "none",
			Reason: "requested", RecentErrors: []string{}, ExitCodes: []int32{255},
		}, {
			Name: "worker", Description: "Not ffmpeg", State: "running", Health: "unknown", PID: 99,
			UptimeSeconds: 90061, RecentErrors: []string{}, ExitCodes: []int32{},
		},
	}
}

func detailed(v *view) *view {
	v.properties = &properties{
		Wanted: v.State != "stopped", NeedsRestart: v.Name == "cam1",
		StateChangeTimestamp: usec(noon.Add(-v.uptime() - 5*time.Second)),
		SourceFile:           "/etc/ffkeeper/streams.d/" + v.Name + ".stream",
		Command:              []string{"ffmpeg", "-i", "rtsp://[redacted]@cam/1", "-vf", "scale=1280:-2,fps=25", "-f", "flv", "it's $HOME"},
	}
	v.Lines = []logLine{
		{usec(noon.Add(-3 * time.Minute)), 6, "Input #0, rtsp, from 'rtsp://cam/1':"},
		{usec(noon.Add(-2 * time.Minute)), 4, "[h264 @ 0x55] non-monotonous\tDTS \x9b31m"},
		{usec(noon.Add(-time.Minute)), 3, "Error while decoding stream #0:0"},
		{usec(noon), 7, "debugging \r\n forged"},
	}
	return v
}

// golden compares lines, plain and in colour, with a file of testdata/golden;
// UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name string, width int, g glyphs, lines []line) {
	t.Helper()
	var b strings.Builder
	for _, color := range []bool{false, true} {
		p := printer{w: &b, color: color, width: width, glyphs: g}
		if err := p.print(lines...); err != nil {
			t.Fatal(err)
		}
		if !color {
			b.WriteString("== in colour\n")
		}
	}
	// escapes are written out: the file is for reading and for diff
	got := strings.ReplaceAll(b.String(), "\x1b", "␛")
	file := filepath.Join("testdata", "golden", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
