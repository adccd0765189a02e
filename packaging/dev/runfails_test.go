package dev

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runWithFFmpeg is runScript with a shell script before ffmpeg, which it has as
// $real.
func runWithFFmpeg(t *testing.T, script string, args ...string) (string, error) {
	t.Helper()
	real, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script = "#!/bin/sh\nreal=" + real + "\nonce=" + filepath.Join(bin, "once") + "\n" + script
	if err := os.WriteFile(filepath.Join(bin, "ffmpeg"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, clean := runScript(t, args...)
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	clean()
	return string(out), err
}

func TestRunFailsWhereAStreamIsNotHealthy(t *testing.T) {
	out, err := runWithFFmpeg(t, `case $* in *tone.m3u8) echo no tone today >&2; exit 1 ;; esac
exec "$real" "$@"
`, "3s")
	refused(t, out, err, "tone exited ", "no tone today")
}

// That it is healthy in the end is not enough.
func TestRunFailsWhereAStreamWasNotHealthy(t *testing.T) {
	out, err := runWithFFmpeg(t, `case $* in *tone.m3u8) mkdir "$once" 2>/dev/null && exec "$real" -t 1 "$@" ;; esac
exec "$real" "$@"
`, "7s")
	refused(t, out, err, "tone exited 1 times and was seen stalled 0 times.")
}

func refused(t *testing.T, out string, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Error("it succeeds")
	}
	for _, w := range append(want, "Not healthy all the time, though they should be.") {
		if !strings.Contains(out, w) {
			t.Errorf("lacks %q", w)
		}
	}
	if strings.Contains(out, "Healthy, as they should be") || strings.Contains(out, "testcard exited") {
		t.Error("it says the contrary, or blames another stream")
	}
	if t.Failed() {
		t.Log(out)
	}
}
