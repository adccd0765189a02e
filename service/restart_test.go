package service_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

func TestACrashIsFollowedByANewProcessAndCounted(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": said + "RestartSec=0"})
	pid := k.startOK("s")
	for i := 1; i <= 12; i++ {
		syscall.Kill(pid, syscall.SIGKILL)
		s := k.until("s", "a new process", func(s *stream.Snapshot) bool {
			return s.PID != 0 && s.PID != pid && s.State == stream.StateRunning
		})
		if s.RestartCount != i || s.ConsecutiveFailures != i || s.LastRestart.IsZero() {
			t.Fatalf("restart %d: count %d, failures %d, last %v", i, s.RestartCount, s.ConsecutiveFailures, s.LastRestart)
		}
		pid = s.PID
	}
	if s := k.snap("s"); len(s.ExitCodes) != 10 || s.ExitCodes[9] != -9 {
		t.Errorf("exit codes %v", s.ExitCodes)
	}
}

func TestExitsAreToldApart(t *testing.T) {
	k := newKeeper(t, map[string]string{
		"code":   "ExecStart=sh -c \"exit 7\"",
		"signal": "ExecStart=sh -c \"kill -TERM $$$$\"",
		"clean":  "ExecStart=true",
	})
	want := map[string]struct {
		reason stream.Reason
		code   int
	}{"code": {stream.ReasonExitCode, 7}, "signal": {stream.ReasonSignal, -15}, "clean": {stream.ReasonCleanExit, 0}}
	for name, w := range want {
		content, _ := os.ReadFile(k.dir + "/" + name + ".stream")
		k.file(name, strings.TrimPrefix(string(content), "[Stream]\n")+"Type=simple\nRestart=no")
		k.Reload(k.ctx())
		k.Start(k.ctx(), name, service.CallOptions{})
		s := k.until(name, "its end", func(s *stream.Snapshot) bool {
			return s.State == stream.StateFailed || s.State == stream.StateStopped
		})
		if s.Reason != w.reason || !slices.Equal(s.ExitCodes, []int{w.code}) || (s.State == stream.StateStopped) != (w.code == 0) {
			t.Errorf("%s: %s, %s, %v", name, s.State, s.Reason, s.ExitCodes)
		}
	}
}

func TestARecordingIsNeverOverwritten(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "ExecStart=ffmpeg -re -f lavfi -i sine -f wav @WORK@/kept.wav"})
	if err := os.WriteFile(k.path("kept.wav"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	s := k.untilState("s", stream.StateFailed)
	if s.Reason != stream.ReasonOutputExists || s.RestartCount != 0 || !strings.Contains(s.Detail, "kept.wav") {
		t.Errorf("%s, %q", s.Reason, s.Detail)
	}
	if b, _ := os.ReadFile(k.path("kept.wav")); string(b) != "precious" {
		t.Errorf("the file is %q now", b)
	}
}

func TestRestartByHandCountsAndLeavesTheBackoffAlone(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": said})
	pid := k.startOK("s")
	again, err := k.Restart(k.ctx(), "s", service.CallOptions{Wait: service.WaitOK})
	if err != nil || again == pid || again == 0 {
		t.Fatalf("pid %d, then %d, %v", pid, again, err)
	}
	if s := k.snap("s"); s.RestartCount != 1 || s.ConsecutiveFailures != 0 || alive(pid) {
		t.Errorf("count %d, failures %d, old alive %v", s.RestartCount, s.ConsecutiveFailures, alive(pid))
	}
}

func TestHooksAreToldWhatHappened(t *testing.T) {
	k := newKeeper(t, map[string]string{
		"s": "Type=simple\nRestartSec=10ms\nRestartMaxAttempts=1\nExecStart=sh -c \"exit 3\"\n" +
			`OnRestart=sh -c "env | grep ^FFKEEPER_ | sort > @WORK@/restart"` + "\n" +
			`OnFailure=sh -c "env | grep ^FFKEEPER_ | sort > @WORK@/failure"` + "\nOnFailure=stream:slate",
		"slate": said + "Autostart=no",
	})
	k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	s := k.untilState("s", stream.StateFailed)
	if s.Reason != stream.ReasonRestartLimit {
		t.Errorf("reason %s", s.Reason)
	}
	k.untilState("slate", stream.StateRunning)
	for file, want := range map[string][]string{
		"restart": {"FFKEEPER_STREAM=s\n", "FFKEEPER_EVENT=restart\n", "FFKEEPER_RESTART_COUNT=1\n"},
		"failure": {"FFKEEPER_STREAM=s\n", "FFKEEPER_EVENT=failure\n", "FFKEEPER_REASON=restart-limit\n", "FFKEEPER_EXIT_CODE=3\n"},
	} {
		var got string
		k.until("s", "the hook for "+file, func(*stream.Snapshot) bool {
			b, _ := os.ReadFile(k.path(file))
			got = string(b)
			return strings.Contains(got, "FFKEEPER_STREAM=")
		})
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s lacks %q:\n%s", file, w, got)
			}
		}
	}
}

func TestAFloodOfLinesIsBoundedAndCounted(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nExecStart=sh -c \"yes flood | head -n 20000 >&2; echo end >&2; exec sleep 1000\""})
	k.start("s")
	s := k.until("s", "the flood's end", func(s *stream.Snapshot) bool {
		return len(s.Lines) > 0 && s.Lines[len(s.Lines)-1].Text == "end"
	})
	logged := len(k.log.of("s"))
	if s.LinesDropped == 0 || uint64(logged)+s.LinesDropped < 20000 || logged > 10000 {
		t.Errorf("%d logged, %d dropped", logged, s.LinesDropped)
	}
	if len(s.Lines) != 50 {
		t.Errorf("%d lines kept", len(s.Lines))
	}
	k.until("s", "the count in the log", func(*stream.Snapshot) bool { return k.log.has("s", stream.KindFlood) })
}

func TestHealthHasTheFiguresOfARealFFmpeg(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, map[string]string{"s": "HealthCheckSec=1\nExecStart=ffmpeg -re " + testPicture +
		" -c:v libx264 -preset ultrafast -c:a aac -f mpegts -y @WORK@/x.ts"})
	k.start("s")
	s := k.until("s", "all figures", func(s *stream.Snapshot) bool {
		p, u := s.Progress, s.Usage
		return s.Health == stream.HealthOK && p != nil && p.HasSpeed && p.HasFPS && p.HasTotalBytes && p.TotalBytes > 0 &&
			u != nil && u.HasCPU && u.HasIO && u.WriteBytes > 0
	})
	p, u := s.Progress, s.Usage
	if p.Speed < 0.5 || p.Speed > 2 || p.FPS < 10 || p.FPS > 50 || p.Frame == 0 || p.OutTime == 0 || p.BitrateBPS == 0 {
		t.Errorf("progress %+v", p)
	}
	if u.CPUPercent <= 0 || u.RSS < 10<<20 || u.Threads < 2 {
		t.Errorf("usage %+v", u)
	}
	if len(s.Lines) == 0 || s.LastActivity.IsZero() {
		t.Errorf("lines %v, activity %v", s.Lines, s.LastActivity)
	}
}

// TestNoSecretIsShownAnywhere sends secrets through every path: the command,
// ffmpeg's own lines, errors, hooks.
func TestNoSecretIsShownAnywhere(t *testing.T) {
	secrets := map[string]string{
		"rtmp": "rtmp://127.0.0.1:1/live/KEY-s3cret1", "http": "http://admin:s3cret2@127.0.0.1:1/x.ts",
		"srt": "srt://127.0.0.1:1?passphrase=s3cret3456789",
	}
	files := map[string]string{}
	for name, url := range secrets {
		files[name] = fmt.Sprintf("RestartSec=1h\nRestartMaxDelaySec=1h\nTimeoutStopSec=1\nOnRestart=echo %s\nExecStart=ffmpeg -re -f lavfi -i sine -i %s -c:a aac -f flv %s", url, url, url)
	}
	files["builder"] = "Type=simple\nRestartSec=1h\nRestartMaxDelaySec=1h\nCommandBuilder=sh -c \"echo cannot reach http://admin:s3cret4@host/ >&2; echo http://admin:s3cret5@host/; exit 1\""
	files["typo"] = "ExecStart=/nonexistent/ffmpeg -i http://admin:s3cret6@host/\nNonsense=http://admin:s3cret7@host/"
	k := newKeeper(t, files)
	for name := range files {
		_, err := k.Start(k.ctx(), name, service.CallOptions{})
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error shows it: %v", name, err)
		}
	}
	for name := range secrets {
		k.until(name, "an end", func(s *stream.Snapshot) bool { return len(s.ExitCodes) > 0 || name == "srt" && len(s.Lines) > 0 })
	}
	k.StopAll(k.ctx(), service.CallOptions{})
	for _, s := range k.Snapshots() {
		if shown := fmt.Sprintf("%+v", s); strings.Contains(shown, "s3cret") {
			t.Errorf("snapshot shows it: %s", shown)
		}
	}
	if log := k.log.String(); strings.Contains(log, "s3cret") {
		for line := range strings.Lines(log) {
			if strings.Contains(line, "s3cret") {
				t.Errorf("log shows it: %s", line)
			}
		}
	}
}

// TestLinesWithoutLevelsAreErrorsToo: a -loglevel of the user's own may leave
// the levels out, and then the last lines are all there is.
func TestLinesWithoutLevelsAreErrorsToo(t *testing.T) {
	k := newKeeper(t, map[string]string{
		"bare":   "Restart=no\nExecStart=ffmpeg -loglevel info -i /nonexistent/x -f null /dev/null",
		"tagged": "Restart=no\nExecStart=ffmpeg -i /nonexistent/x -f null /dev/null",
	})
	for _, name := range k.Names() {
		k.Start(k.ctx(), name, service.CallOptions{Wait: service.WaitNone})
		s := k.untilState(name, stream.StateFailed)
		n := len(s.RecentErrors)
		if n == 0 || !strings.Contains(s.RecentErrors[n-1], "No such file") || name == "tagged" && n != 1 {
			t.Errorf("%s: %q", name, s.RecentErrors)
		}
	}
}
