package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// keeperWith starts a keeper with the given stream files, ready to be used
// with the environment answered.
func keeperWith(t *testing.T, files map[string]string) (*testKeeper, []string) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"streams", "state"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "streams", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := scriptEnvironment(dir)
	k := &testKeeper{bin: buildKeeper(t), dir: dir}
	t.Cleanup(func() {
		k.end()
		if t.Failed() {
			t.Logf("the keeper's log:\n%s", k.log.String())
		}
	})
	k.env(t, env)
	if err := k.start(k.getenv); err != nil {
		t.Fatal(err)
	}
	return k, env
}

// startAll starts what autostart may be about to, and returns when it has.
func startAll(t *testing.T, env []string) {
	t.Helper()
	cmd := exec.Command("ffkeeperctl", "start", "--all")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

const sleeping = "[Stream]\nType=simple\nExecStart=sleep 1000\nDescription=Sleeps for a thousand seconds and does nothing else at all\n"

func TestListOnATerminalIsColouredAndCut(t *testing.T) {
	_, env := keeperWith(t, map[string]string{"one.stream": sleeping})
	startAll(t, env)
	term := onTerminal(t, env, 24, 70, "list")
	out := term.waitFor("1 stream: running")
	if code := term.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(out, "\x1b[1;32m●\x1b[0m") || !strings.Contains(out, "…\r\n") {
		t.Errorf("no colours, or not cut: %q", out)
	}
	full := onTerminal(t, env, 24, 70, "list", "--full")
	full.waitFor("nothing else at all")
	full.wait()
	plain := onTerminal(t, append(env, "NO_COLOR=1"), 24, 70, "list")
	if out := plain.waitFor("1 stream: running"); strings.Contains(out, "\x1b") {
		t.Errorf("colours in spite of NO_COLOR: %q", out)
	}
	plain.wait()
}

func TestTopOnATerminal(t *testing.T) {
	k, env := keeperWith(t, map[string]string{"one.stream": sleeping, "two.stream": sleeping, "three.stream": sleeping})
	term := onTerminal(t, env, 24, 120, "top", "-d", "100ms")
	term.waitFor(`\x1b\[\?1049h\x1b\[\?25l`)
	term.waitFor(`3 streams.*(?s:.*)q quit  s sort \(name\)`)
	if term.echoes() {
		t.Error("keys are echoed")
	}

	term.press("s")
	term.waitFor(`s sort \(health\)`)
	term.press("r")
	term.waitFor(`s sort \(health, reversed\)`)
	term.press("Sr")
	term.waitFor(`s sort \(name\)`)

	term.resize(6, 120) // two rows
	term.waitFor(`up/down scroll \(1-2 of 3\)`)
	term.press("\x1b[B")
	term.waitFor(`up/down scroll \(2-3 of 3\)`)

	// Ctrl-Z leaves the terminal usable
	term.press("\x1a")
	term.waitFor(`\x1b\[\?25h\x1b\[\?1049l`)
	term.stopped()
	if !term.echoes() {
		t.Error("the terminal does not echo while stopped")
	}
	if err := term.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	term.waitFor(`\x1b\[\?1049h`)
	term.waitFor(`scroll`)

	// it outlives the keeper
	if err := k.stop(); err != nil {
		t.Fatal(err)
	}
	term.waitFor(`no answer from the keeper since`)
	if err := k.start(k.getenv); err != nil {
		t.Fatal(err)
	}
	term.waitFor(`ffkeeper\x1b\[0m [0-9:]+  3 streams`)

	term.press("q")
	term.waitFor(`\x1b\[\?25h\x1b\[\?1049l`)
	if code := term.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !term.echoes() {
		t.Error("the terminal does not echo after the end")
	}
}

func TestTopEndsWithCtrlC(t *testing.T) {
	_, env := keeperWith(t, map[string]string{"one.stream": sleeping})
	term := onTerminal(t, env, 24, 80, "top")
	term.waitFor(`q quit`)
	term.press("\x03")
	term.waitFor(`\x1b\[\?1049l`)
	if code := term.wait(); code != 0 || !term.echoes() {
		t.Errorf("exit code %d, echo %v", code, term.echoes())
	}
}

func TestTopOnATerminalEndsAfterItsIterations(t *testing.T) {
	_, env := keeperWith(t, map[string]string{"one.stream": sleeping})
	term := onTerminal(t, env, 24, 80, "top", "-n", "3", "-d", "50ms")
	term.waitFor(`\x1b\[\?1049l`)
	if code := term.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSlowStopShowsProgressAndWipesIt(t *testing.T) {
	_, env := keeperWith(t, map[string]string{
		"stubborn.stream": "[Stream]\nType=simple\nExecStart=sh -c \"trap '' TERM; while :; do sleep 1; done\"\nTimeoutStopSec=90\n",
	})
	startAll(t, env)
	term := onTerminal(t, env, 24, 80, "stop", "--timeout", "4s", "stubborn")
	term.waitFor(`\rstopping stubborn \([1-9]s\)…\x1b\[K`)
	if code := term.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	term.waitFor(`\r\x1b\[K$`)
}

func TestCtrlCLeavesASlowStopToTheKeeper(t *testing.T) {
	_, env := keeperWith(t, map[string]string{
		"stubborn.stream": "[Stream]\nType=simple\nExecStart=sh -c \"trap '' TERM; while :; do sleep 1; done\"\nTimeoutStopSec=2\n",
	})
	startAll(t, env)
	term := onTerminal(t, env, 24, 80, "stop", "stubborn")
	term.waitFor(`\rstopping stubborn`)
	term.press("\x03")
	term.waitFor(`\r\x1b\[Kffkeeperctl: interrupted; the keeper goes on with what it has begun\r\n`)
	if code := term.wait(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	after := onTerminal(t, env, 24, 80, "stop", "stubborn")
	if code := after.wait(); code != 0 {
		t.Errorf("exit code %d: the keeper did not go on stopping", code)
	}
}

func TestBinaryDataIsNotLetOntoATerminal(t *testing.T) {
	_, env := keeperWith(t, map[string]string{"one.stream": sleeping})
	term := onTerminal(t, env, 24, 80, "read-stdout", "one")
	term.waitFor("read-stdout one: standard output is a terminal; redirect it")
	if code := term.wait(); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
}
