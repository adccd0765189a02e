package systemtest

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// dialog is a process on the host that is spoken with line by line.
type dialog struct {
	h     *Host
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

func (h *Host) talk(argv ...string) *dialog {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &dialog{h: h, cmd: h.Command(ctx, argv...), lines: make(chan string, 100)}
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		h.t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(d.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			d.lines <- s.Text()
		}
	}()
	h.t.Cleanup(func() {
		cancel()
		d.cmd.Wait() // closes the pipe, whoever else holds it
		for range d.lines {
		}
		<-read
	})
	return d
}

func (d *dialog) say(line string) {
	d.h.t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		d.h.t.Fatal(err)
	}
}

// next is the next line; "" after the last.
func (d *dialog) next() string {
	d.h.t.Helper()
	select {
	case line := <-d.lines:
		return line
	case <-time.After(60 * time.Second):
		d.h.t.Fatalf("%s says nothing more", strings.Join(d.cmd.Args, " "))
		return ""
	}
}

func (d *dialog) expect(want string) {
	d.h.t.Helper()
	if got := d.next(); got != want {
		d.h.t.Fatalf("%s says %q, not %q", strings.Join(d.cmd.Args, " "), got, want)
	}
}

// polkitColumns are the calls behind the columns of the manual's matrix.
var polkitColumns = map[string]string{
	"read":           "GetHealth",
	"manage-streams": "ResetFailed",
	"write-stdin":    "WriteStdin",
	"reload":         "Reload",
}

// polkitAnswers are the manual's words for how a call ends.
var polkitAnswers = map[string][]string{
	"yes":          {"ok"},
	"no":           {"AccessDenied"},
	"asks":         {"InteractiveAuthorizationRequired"},
	"yes, by root": {"ok"},
}

// polkitHost has a group member and another user, and a stream with stdin.
func polkitHost(t *testing.T) *Host {
	h := serving(t, map[string]string{"cam1": "[Stream]\nType=simple\nStandardInput=pipe\nExecStart=cat\n"}, nil)
	h.putProbe()
	h.Run("useradd", "--no-create-home", "--groups", "ffkeeper", "member")
	h.Run("useradd", "--no-create-home", "other")
	h.WaitJournal(10*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_EVENT=started")
	return h
}

// The matrix of docs/security.md, by the system's own polkitd: each user's
// calls, then those that let polkit ask while nobody is there to be asked.
func TestPolkitMatrixIsAsTheManualSays(t *testing.T) {
	rows := manualTable(t, "On the bus")
	head := rows[0][1:]
	h := polkitHost(t)
	ask := func(user string, suffix string) map[string]string {
		var calls []string
		for _, column := range head {
			method, ok := polkitColumns[column]
			if !ok {
				t.Fatalf("no call for the column %q", column)
			}
			calls = append(calls, method+suffix)
		}
		out := h.Run(append([]string{"runuser", "-u", user, "--", "probe", "call"}, calls...)...)
		answers := map[string]string{}
		for i, line := range strings.Split(out, "\n") {
			_, answers[head[i]], _ = strings.Cut(line, " = ")
		}
		return answers
	}
	check := func(row []string, user, suffix string) {
		t.Helper()
		for column, got := range ask(user, suffix) {
			want := row[1+slices.Index(head, column)]
			if !slices.Contains(polkitAnswers[want], got) {
				t.Errorf("%s, %s%s: %s, the manual says %q", row[0], column, suffix, got, want)
			}
		}
	}
	users := map[string]string{
		"root": "root", "the keeper's user": "ffkeeper", "a member of the group `ffkeeper`": "member",
		"another user": "other", "the streams' user": "ffkeeper-streams",
	}
	seen := 0
	var without [][]string
	for _, row := range rows[1:] {
		who, condition, conditional := strings.Cut(row[0], ", ")
		user, ok := users[who]
		switch {
		case !ok:
			t.Fatalf("nobody is %q", who)
		case conditional && condition == "without polkitd":
			without = append(without, append([]string{who}, row[1:]...))
		case conditional:
			t.Fatalf("what is %q?", condition)
		default:
			seen++
			check(row, user, "")
			if !slices.Contains(row, "asks") { // nobody is asked, whatever the caller allows
				check(row, user, "?")
			}
		}
	}
	if seen != len(users) || len(without) == 0 {
		t.Errorf("the matrix has %d of %d users, and %d without polkitd", seen, len(users), len(without))
	}
	// Where the caller lets polkit ask and nobody can be asked, it is no.
	for column, got := range ask("other", "?") {
		if want := map[bool]string{true: "ok", false: "AccessDenied"}[column == "read"]; got != want {
			t.Errorf("another user with nobody to ask, %s: %s", column, got)
		}
	}
	h.Run("systemctl", "mask", "--now", "polkit.service")
	for _, row := range without {
		check(row, users[row[0]], "")
		check(row, users[row[0]], "?")
	}
}

// question is a caller whose questions a dialog of polkit's answers.
func (h *Host) question(calls ...string) (caller, agent *dialog) {
	h.t.Helper()
	caller = h.talk(append([]string{"setpriv", "--reuid=other", "--clear-groups", "--", "probe", "call", "wait"}, calls...)...)
	caller.expect("waiting")
	agent = h.talk("probe", "agent", h.Run("pgrep", "-u", "other", "-x", "probe"))
	agent.expect("registered")
	return caller, agent
}

func TestPolkitAsksOnlyWhereTheCallerAllowsIt(t *testing.T) {
	h := polkitHost(t)
	caller, agent := h.question("GetHealth", "ResetFailed", "ResetFailed?", "Reload?", "WriteStdin?")
	caller.say("")
	caller.expect("GetHealth = ok")
	caller.expect("ResetFailed = InteractiveAuthorizationRequired")
	agent.expect("asked org.ffkeeper1.manage-streams")
	agent.say("yes")
	caller.expect("ResetFailed? = ok")
	agent.expect("asked org.ffkeeper1.reload")
	agent.say("no")
	caller.expect("Reload? = AccessDenied")
	agent.expect("asked org.ffkeeper1.write-stdin")
	agent.say("yes")
	caller.expect("WriteStdin? = ok")
}

// A dialog whose asker has left does not stay on the screen, and nothing comes
// of it.
func TestPolkitsQuestionIsWithdrawnWhenItsCallerHasGone(t *testing.T) {
	h := polkitHost(t)
	caller, agent := h.question("leave?", "GetHealth")
	caller.say("")
	agent.expect("asked org.ffkeeper1.manage-streams")
	h.Run("ffkeeperctl", "restart", "cam1") // others do not wait
	caller.say("")
	caller.expect("leave? = left")
	agent.expect("withdrawn org.ffkeeper1.manage-streams")
	caller.expect("GetHealth = ok")
}
