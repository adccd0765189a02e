package service_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

func kindOf(err error) service.Kind {
	var e *service.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func TestStartingARunningStreamAnswersItsPID(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nExecStart=sleep 1000"})
	pid := k.start("s")
	if again := k.start("s"); again != pid || pid == 0 {
		t.Errorf("pid %d, then %d", pid, again)
	}
	if s, err := k.ByPID(pid); err != nil || s.Name != "s" {
		t.Errorf("by pid: %v, %v", s, err)
	}
}

func TestAnUnknownStreamIsNoSuchStream(t *testing.T) {
	k := newKeeper(t, nil)
	_, err := k.Start(k.ctx(), "nobody", service.CallOptions{})
	if kindOf(err) != service.NoSuchStream {
		t.Errorf("error %v", err)
	}
}

func TestACommandThatCannotBeSpawnedIsSpawnFailedWithTheReason(t *testing.T) {
	k := newKeeper(t, nil)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		mode          os.FileMode
		content, want string
	}{
		"noexec": {0o755, "\x7fELF rubbish", "exec"},
	} {
		prog := dir + "/" + name
		if err := os.WriteFile(prog, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		k.file(name, "Type=simple\nExecStart="+prog)
	}
	if _, err := k.Reload(k.ctx()); err != nil {
		t.Fatal(err)
	}
	_, err := k.Start(k.ctx(), "noexec", service.CallOptions{})
	if kindOf(err) != service.SpawnFailed || !strings.Contains(err.Error(), dir+"/noexec") {
		t.Errorf("error %v", err)
	}
	if s := k.snap("noexec"); s.State != stream.StateFailed || s.Reason != stream.ReasonNoProgram {
		t.Errorf("%s/%s", s.State, s.Reason)
	}
}

func TestAProgramThatVanishesAfterTheLoadIsNoProgram(t *testing.T) {
	k := newKeeper(t, nil)
	prog := t.TempDir() + "/prog"
	if err := os.WriteFile(prog, []byte("#!/bin/sh\nsleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	k.file("s", "Type=simple\nAutostart=no\nExecStart="+prog)
	if _, err := k.Reload(k.ctx()); err != nil {
		t.Fatal(err)
	}
	os.Remove(prog)
	_, err := k.Start(k.ctx(), "s", service.CallOptions{})
	if kindOf(err) != service.SpawnFailed {
		t.Errorf("error %v", err)
	}
	if s := k.snap("s"); s.State != stream.StateFailed || s.Reason != stream.ReasonNoProgram {
		t.Errorf("%s/%s", s.State, s.Reason)
	}
}

func TestTheCommandBuilderMakesTheCommand(t *testing.T) {
	k := newKeeper(t, map[string]string{
		"s": `Type=simple` + "\n" + `CommandBuilder=printf '["sh", "-c", "echo built $0; sleep 1000", "it"]'`,
	})
	k.start("s")
	k.until("s", "the built command's words", func(s *stream.Snapshot) bool {
		return len(s.Lines) > 0 && s.Lines[0].Text == "built it"
	})
}

func TestABuildersFailureIsAClearReason(t *testing.T) {
	files := map[string]string{
		"code":    `CommandBuilder=sh -c "echo no camera >&2; exit 3"`,
		"rubbish": `CommandBuilder=echo hello`,
		"wrong":   `CommandBuilder=echo '{"a": 1}'`,
		"empty":   `CommandBuilder=echo []`,
		"nothing": `CommandBuilder=true`,
		"killed":  `CommandBuilder=sh -c "kill -9 $$$$"`,
	}
	want := map[string]string{
		"code": "exited with code 3: no camera", "rubbish": "did not print a JSON array", "wrong": "did not print a JSON array",
		"empty": "without a program", "nothing": "did not print a JSON array", "killed": "killed by SIGKILL",
	}
	for name := range files {
		files[name] += "\nType=simple\nRestartSec=1h\nRestartMaxDelaySec=1h"
	}
	k := newKeeper(t, files)
	for name := range files {
		_, err := k.Start(k.ctx(), name, service.CallOptions{})
		if kindOf(err) != service.SpawnFailed || !strings.Contains(err.Error(), want[name]) {
			t.Errorf("%s: error %v, want %q", name, err, want[name])
		}
		if s := k.snap(name); s.State != stream.StateRestarting || s.Reason != stream.ReasonBuilderFailed {
			t.Errorf("%s: %s/%s", name, s.State, s.Reason)
		}
	}
}

func TestABuilderHasTenSeconds(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, map[string]string{"s": "Type=simple\nRestartSec=1h\nRestartMaxDelaySec=1h\nCommandBuilder=sleep 1000"})
	begun := time.Now()
	_, err := k.Start(k.ctx(), "s", service.CallOptions{})
	if kindOf(err) != service.SpawnFailed || !strings.Contains(err.Error(), "time limit") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took < 9*time.Second {
		t.Errorf("gave up after %s", took)
	}
}

func TestAStopWhileTheBuilderRunsEndsIt(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nCommandBuilder=sh -c \"echo $$$$ > @WORK@/pid; exec sleep 1000\""})
	k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	var pid int
	k.until("s", "the builder", func(*stream.Snapshot) bool { pid = readPID(k.path("pid")); return pid > 0 })
	if s := k.stop("s"); s.State != stream.StateStopped {
		t.Errorf("state %s", s.State)
	}
	k.until("s", "the builder's end", func(*stream.Snapshot) bool { return !alive(pid) })
}
