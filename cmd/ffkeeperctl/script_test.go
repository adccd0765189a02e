package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(testRun{m}, map[string]func(){"ffkeeperctl": main})
}

// TestScripts runs testdata/script: the whole command against a real keeper
// on a private bus, with real processes. Besides testscript's commands there
// are
//
//	keeper start|stop|kill      a keeper of the script's own; start waits until it is ready,
//	                            and puts the work directory for @WORK@ in stream files
//	exits CODE ffkeeperctl …    runs a command that must end with this code
//	eventually REGEXP CMD…      runs a command again and again until its output matches;
//	                            the output is not kept
func TestScripts(t *testing.T) {
	bin := buildKeeper(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, scriptEnvironment(env.WorkDir)...)
			k := &testKeeper{bin: bin, dir: env.WorkDir}
			env.Values[keeperKey{}] = k
			env.Defer(func() { k.end() })
			for _, dir := range []string{"streams", "state", "out"} {
				if err := os.MkdirAll(filepath.Join(env.WorkDir, dir), 0o700); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"keeper": scriptKeeper, "exits": scriptExits, "eventually": scriptEventually,
		},
	})
}

func scriptEnvironment(work string) []string {
	return []string{
		// else each command of a test with the race detector ends a second late
		"GORACE=atexit_sleep_ms=0",
		"FFKEEPER_BUS=private",
		"FFKEEPER_STATE_DIR=" + filepath.Join(work, "state"),
		"FFKEEPER_STREAM_PATH=" + filepath.Join(work, "streams"),
		"LANG=C.UTF-8", "LC_ALL=", "NO_COLOR=", "COLUMNS=", "TZ=UTC",
		"XDG_RUNTIME_DIR=", "DBUS_SESSION_BUS_ADDRESS=", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + filepath.Join(work, "no-bus"),
	}
}

type keeperKey struct{}

func scriptKeeper(ts *testscript.TestScript, neg bool, args []string) {
	k := ts.Value(keeperKey{}).(*testKeeper)
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keeper start|stop|kill")
	}
	switch args[0] {
	case "start":
		ts.Check(k.placeFiles())
		ts.Check(k.start(ts.Getenv))
	case "stop":
		ts.Check(k.stop())
	case "kill":
		ts.Check(k.kill())
	default:
		ts.Fatalf("keeper %s: unknown", args[0])
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}

// scriptEventually is for what no event tells of.
func scriptEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP PROGRAM ARGS…")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(scriptPatience); ; {
		// not ts.Exec, which would log every try
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir = ts.Getenv("WORK")
		cmd.Env = scriptEnvironmentOf(ts)
		out, _ := cmd.CombinedOutput()
		if re.Match(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v never printed %s; last:\n%s", args[1:], args[0], out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// scriptEnvironmentOf is what a command of the script would have.
func scriptEnvironmentOf(ts *testscript.TestScript) []string {
	var env []string
	for _, v := range append(scriptEnvironment(""), "PATH=", "HOME=", "JOURNAL_OLD=", "JOURNAL_EMPTY=") {
		name, _, _ := strings.Cut(v, "=")
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}
