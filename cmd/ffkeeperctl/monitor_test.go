package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
)

// crashing ends again and again, so that there is always something to see
// for a monitor that has just begun.
const crashing = `[Stream]
Type=simple
ExecStart=sh -c "sleep 0.2; exit 1"
RestartSec=200ms
RestartFactor=1
`

func TestMonitorOutlivesTheKeeper(t *testing.T) {
	k, env := keeperWith(t, map[string]string{"crash.stream": crashing, "quiet.stream": sleeping})
	term := onTerminal(t, append(env, "NO_COLOR=1"), 24, 200, "monitor", "cr*")
	const stamp = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} `
	for range 2 {
		term.waitFor(stamp + `crash state: running → restarting \(exit-code\)\r\n`)
		term.waitFor(stamp + `crash restarted \(\d+ since it was loaded\)\r\n`)
		if err := k.kill(); err != nil {
			t.Fatal(err)
		}
		term.waitFor(stamp + `-- disconnected`)
		if err := k.start(k.getenv); err != nil {
			t.Fatal(err)
		}
		term.waitFor(stamp + `-- connected`)
	}
	term.press("\x03")
	if code := term.wait(); code != 0 {
		t.Errorf("exit code %d after Ctrl-C", code)
	}
}

func TestMonitorPrintsOneObjectALine(t *testing.T) {
	_, env := keeperWith(t, map[string]string{"crash.stream": crashing})
	term := onTerminal(t, env, 24, 200, "monitor", "--json")
	out := term.waitFor(`(?s)"event":"StreamRestarted".*"event":"StreamRestarted"[^\n]*\n`)
	if err := term.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	term.wait()
	kinds := map[string]bool{}
	for l := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		if e.RealtimeUsec == 0 {
			t.Errorf("no time: %s", l)
		}
		kinds[e.Event] = true
	}
	if !kinds[eventState] || !kinds[eventRestarted] {
		t.Errorf("only %v in\n%s", kinds, out)
	}
}
