package systemtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// talker numbers its lines; each names the process it is of.
const talker = `[Stream]
Type=simple
ExecStart=sh -c "i=0; while :; do i=$$((i+1)); echo line $$i of $$$$ >&2; sleep 0.1; done"
`

func TestLogsShowsTheJournalOfAStream(t *testing.T) {
	h := serving(t, map[string]string{"talks": talker, "other": talker}, nil)
	h.WaitJournal(20*time.Second, "-t", "talks", "-g", "^line 5 of ")
	h.WaitJournal(20*time.Second, "-t", "other", "-g", "^line 5 of ")

	logs := h.Run("ffkeeperctl", "logs", "talks")
	for _, want := range []string{"talks: started, pid " + h.pid("talks"), "line 1 of " + h.pid("talks"), "line 5 of " + h.pid("talks")} {
		if !strings.Contains(logs, want) {
			t.Errorf("logs lacks %q:\n%s", want, logs)
		}
	}
	if strings.Contains(logs, "other") {
		t.Errorf("logs shows another stream:\n%s", logs)
	}
	if journal := h.Run("journalctl", "--no-pager", "FFKEEPER_STREAM=talks"); !strings.HasPrefix(journal, logs) {
		t.Errorf("logs shows\n%s\nthe journal has\n%s", logs, journal)
	}
	both := h.Run("ffkeeperctl", "logs", "talks", "other")
	if !strings.Contains(both, " of "+h.pid("talks")) || !strings.Contains(both, " of "+h.pid("other")) {
		t.Errorf("logs of both shows\n%s", both)
	}

	// Nothing is added once it is stopped, so that the last lines stay the last.
	h.Run("ffkeeperctl", "stop", "talks")
	h.WaitJournal(20*time.Second, "FFKEEPER_STREAM=talks", "FFKEEPER_EVENT=stopped")
	all := strings.Split(h.Run("ffkeeperctl", "logs", "talks"), "\n")
	last := strings.Split(h.Run("ffkeeperctl", "logs", "-n", "3", "talks"), "\n")
	if want := all[len(all)-3:]; strings.Join(last, "\n") != strings.Join(want, "\n") || !strings.Contains(last[2], "talks: stopped") {
		t.Errorf("logs -n 3 shows\n%s\nof\n%s", strings.Join(last, "\n"), strings.Join(all, "\n"))
	}
	var lines []logged
	out := h.Run("ffkeeperctl", "logs", "--json", "-n", "3", "talks")
	if err := json.Unmarshal([]byte(out), &lines); err != nil || len(lines) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	for i, l := range lines {
		// Without the name, which journalctl shows before the keeper's own words.
		if l.Name != "talks" || l.Text == "" || !strings.HasSuffix(last[i], l.Text) || l.Priority != 6 && l.Priority != 5 || time.Since(time.UnixMicro(l.RealtimeUsec)).Abs() > time.Minute {
			t.Errorf("logs --json shows %+v for %q", l, last[i])
		}
	}
	if r := h.Exec("ffkeeperctl", "logs", "nobody"); r.Code == 0 || !strings.Contains(r.Stderr, "nobody") {
		t.Errorf("logs of no stream: %v", r)
	}
}

// logged is a line of logs --json.
type logged struct {
	Name         string `json:"name"`
	Text         string `json:"text"`
	Priority     int    `json:"priority"`
	RealtimeUsec int64  `json:"realtime_usec"`
}

func TestLogsFollowsOverRestarts(t *testing.T) {
	h := serving(t, map[string]string{"talks": talker}, nil)
	h.WaitJournal(20*time.Second, "-t", "talks")
	first := h.pid("talks")
	text, lines := h.follow("-n", "1"), h.follow("--json")
	// Both follow before anything happens; where they begin is a matter of time.
	text.until(" of " + first)
	lines.until(" of " + first)

	h.Run("ffkeeperctl", "restart", "talks")
	second := h.pid("talks")
	text.until("talks: started, pid " + second)
	text.until("line 1 of " + second)

	keeper := h.mainPID("ffkeeper")
	h.Run("systemctl", "restart", "ffkeeper")
	if h.mainPID("ffkeeper") == keeper || h.pid("talks") != second {
		t.Errorf("the keeper was %s and is %s, the stream was %s and is %s", keeper, h.mainPID("ffkeeper"), second, h.pid("talks"))
	}
	// None is left out, up to those that the next keeper has read.
	begun := h.WaitJournal(20*time.Second, "-t", "ffkeeperd", "_PID="+h.mainPID("ffkeeper"))["__REALTIME_TIMESTAMP"]
	for n := 1; ; n++ {
		want := fmt.Sprintf("line %d of %s", n, second)
		at := lines.until(want)
		if n > 1 {
			text.until(want)
		}
		var l logged
		if err := json.Unmarshal([]byte(at), &l); err != nil || l.Text != want || l.Name != "talks" {
			t.Fatalf("logs -f --json shows %v %q for %q", err, at, want)
		}
		if fmt.Sprint(l.RealtimeUsec) > begun && n > 20 {
			break
		}
	}
	text.end()
	lines.end()
}

// follower is an ffkeeperctl logs -f.
type follower struct {
	h     *Host
	cmd   *exec.Cmd
	lines *bufio.Scanner
	seen  []string
}

func (h *Host) follow(args ...string) *follower {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	h.t.Cleanup(cancel)
	f := &follower{h: h, cmd: h.Command(ctx, append([]string{"ffkeeperctl", "logs", "-f", "talks"}, args...)...)}
	out, err := f.cmd.StdoutPipe()
	if err == nil {
		err = f.cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	// Its journalctl may outlive it, with the pipe.
	context.AfterFunc(ctx, func() { out.Close() })
	f.lines = bufio.NewScanner(out)
	return f
}

// until is the next line with a text.
func (f *follower) until(text string) string {
	f.h.t.Helper()
	for f.lines.Scan() {
		f.seen = append(f.seen, f.lines.Text())
		if strings.HasSuffix(strings.TrimSuffix(f.lines.Text(), `"}`), text) {
			return f.lines.Text()
		}
	}
	f.h.t.Fatalf("%q: %v, %v without %q after\n%s", f.cmd.Args, f.lines.Err(), f.cmd.Wait(), text, strings.Join(f.seen, "\n"))
	return ""
}

// end ends it as a shell's kill does, upon which it has done what it was to do.
func (f *follower) end() {
	f.h.t.Helper()
	child, err := onlyChild(f.cmd.Process.Pid)
	if err == nil {
		err = syscall.Kill(child, syscall.SIGTERM)
	}
	for f.lines.Scan() {
	}
	if err == nil {
		err = f.cmd.Wait()
	}
	if err != nil {
		f.h.t.Errorf("%q: %v", f.cmd.Args, err)
	}
}
