package shim

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// told asks a lingering shim with one child to end, as systemd does, and
// answers the child once the keeper has heard of it.
func told(t *testing.T, stopWait string) (*linger, *rig, *Child) {
	t.Helper()
	l := startLinger(t, "--stop-wait", stopWait)
	r := l.dial(t)
	c := r.sh(`trap 'echo TERM' TERM; echo ready; while :; do read x && break; done; exit 3`)
	buf := make([]byte, 6)
	if _, err := c.Stdout.Read(buf); err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next[Stopping](r)
	return l, r, c
}

func TestAKeeperThatLeavesStopsTheChildrenItself(t *testing.T) {
	l, r, c := told(t, "1m")
	if err := r.Leave(); err != nil {
		t.Fatal(err)
	}
	c.Stdin.Write([]byte("\n"))
	if e := next[Exited](r); e.Code != 3 {
		t.Errorf("%+v", e)
	}
	<-l.done
	if out := readAll(t, c.Stdout); out != "" {
		t.Errorf("the shim has sent a signal: %q", out)
	}
	if !errors.Is(r.Err(), ErrLeft) && r.Err() != nil {
		t.Error(r.Err())
	}
}

func TestAKeeperMayLeaveTheStoppingToTheShim(t *testing.T) {
	l, r, c := told(t, "100ms")
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	// A TERM of the keeper's own, on its way already, must not be the second.
	r.Signal(c.ID, syscall.SIGTERM, Group)
	if e := next[Exited](r); e.Signal != int(syscall.SIGKILL) {
		t.Errorf("%+v", e)
	}
	<-l.done
	if out := readAll(t, c.Stdout); out != "TERM\n" {
		t.Errorf("got %q, want one TERM", out)
	}
}

func TestAKeeperThatDiesWhileItStopsEverythingLeavesTheRestToTheShim(t *testing.T) {
	l, r, c := told(t, "100ms")
	if err := r.Leave(); err != nil { // it would stop them itself
		t.Fatal(err)
	}
	r.Close()
	<-l.done
	if out := readAll(t, c.Stdout); out != "TERM\n" {
		t.Errorf("got %q, want one TERM", out)
	}
}

func TestAShimWithoutAWordOfItsKeeperStopsByItself(t *testing.T) {
	l, _, c := told(t, "100ms")
	select {
	case <-l.done:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if out := readAll(t, c.Stdout); out != "TERM\n" {
		t.Errorf("got %q, want one TERM", out)
	}
	if _, err := os.Stat(l.path); err == nil {
		t.Error("its socket is left")
	}
}
