package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestCommandHandsArgumentsOnAsTheyAre(t *testing.T) {
	args := []string{"-test.run=A|B$", "it's", "", "a  b", `\n"$HOME"`}
	script := strings.Replace(command(args), "exec /vmtest/test", `printf '<%s>'`, 1)
	out, err := exec.Command("sh", "-c", script).Output()
	if want := "<" + strings.Join(args, "><") + ">"; err != nil || string(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

func TestMachineOutlastsTestsButNotGoTest(t *testing.T) {
	for args, tests := range map[string]time.Duration{
		"-test.v=test2json -test.timeout=3m0s -test.run=OOM": 3 * time.Minute,
		"-test.run=OOM": 10 * time.Minute, // go test's own default
	} {
		if got := limit(strings.Fields(args)); got <= tests || got >= tests+time.Minute {
			t.Errorf("%s: %v", args, got)
		}
	}
}
