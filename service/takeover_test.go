package service

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/shim/lingertest"
	"github.com/ffkeeper/ffkeeper/service/stream"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// lingering runs a shim in this process that goes on without its keeper, and
// answers how to connect to it.
func lingering(t *testing.T) ShimConnector {
	t.Helper()
	path := lingertest.Listen(t)
	return func(ctx context.Context, h shim.Handler) (*shim.Client, error) { return shim.Dial(ctx, path, h) }
}

// keeperOn is a keeper on that shim; it ends without a word.
func keeperOn(t *testing.T, connect ShimConnector, dir ...string) *Keeper {
	t.Helper()
	k, err := New(Options{Shim: connect, Path: dir, Log: slog.DiscardHandler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func sleeper(name string) *streamfile.Definition {
	def := streamfile.New(name, []string{"/bin/sleep", "1000"})
	def.Type, def.OnStall = streamfile.TypeSimple, streamfile.OnStallLog
	def.Restart = streamfile.RestartNo
	return def
}

// leftRunning has a keeper start the stream s and end.
func leftRunning(t *testing.T, connect ShimConnector) (pid int) {
	t.Helper()
	first := keeperOn(t, connect)
	if err := first.Add(sleeper("s"), Hooks{}); err != nil {
		t.Fatal(err)
	}
	pid, err := first.Start(t.Context(), "s", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	return pid
}

// await waits until cond holds of a stream.
func await(t *testing.T, k *Keeper, name string, cond func(*stream.Snapshot) bool) *stream.Snapshot {
	t.Helper()
	end := time.After(30 * time.Second)
	for {
		changed := k.Changed()
		s, err := k.Snapshot(name)
		if err == nil && cond(s) {
			return s
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("waited in vain: %+v, %v", s, err)
		}
	}
}

func TestAStreamOfAddIsTakenOverWhenItIsAdded(t *testing.T) {
	connect := lingering(t)
	pid := leftRunning(t, connect)
	second := keeperOn(t, connect, t.TempDir()) // it has files, too, none of this stream
	if err := second.Add(sleeper("s"), Hooks{}); err != nil {
		t.Fatal(err)
	}
	s := await(t, second, "s", func(s *stream.Snapshot) bool { return s.PID != 0 })
	if s.PID != pid || s.State != stream.StateRunning || s.RestartCount != 0 {
		t.Errorf("%+v, was pid %d", s, pid)
	}
}

// TestAnExitBeforeAStreamIsAddedIsNotLost: the shim tells of it once, when
// nobody is there yet to hear of it.
func TestAnExitBeforeAStreamIsAddedIsNotLost(t *testing.T) {
	connect := lingering(t)
	pid := leftRunning(t, connect)

	heard := make(chan shim.Event, 10)
	second := keeperOn(t, func(ctx context.Context, h shim.Handler) (*shim.Client, error) {
		return connect(ctx, func(ev shim.Event) { h(ev); heard <- ev })
	})
	syscall.Kill(pid, syscall.SIGKILL)
	for range 2 { // its exit, and that nothing is left
		select {
		case <-heard:
		case <-time.After(30 * time.Second):
			t.Fatal("no event")
		}
	}
	if err := second.Add(sleeper("s"), Hooks{}); err != nil {
		t.Fatal(err)
	}
	s := await(t, second, "s", func(s *stream.Snapshot) bool { return s.State == stream.StateFailed })
	if s.Reason != stream.ReasonSignal || !slices.Equal(s.ExitCodes, []int{-9}) {
		t.Errorf("%+v", s)
	}
}

// TestALostConnectionToAShimThatLivesChangesNothing: the streams of that
// keeper know no longer which processes are theirs, so it must neither start
// anything nor leave word of what it believes.
func TestALostConnectionToAShimThatLivesChangesNothing(t *testing.T) {
	connect := lingering(t)
	dir := t.TempDir()
	file := "[Stream]\nType=simple\nExecStart=/bin/sleep 1000\n"
	if err := os.WriteFile(filepath.Join(dir, "s.stream"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	first := keeperOn(t, connect, dir)
	pid, err := first.Start(t.Context(), "s", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first.link.client.Load().Close()
	select {
	case <-first.Failed():
	case <-time.After(30 * time.Second):
		t.Fatal("the keeper goes on")
	}
	first.Start(t.Context(), "s", CallOptions{Wait: WaitNone})
	await(t, first, "s", func(s *stream.Snapshot) bool { return s.State == stream.StateRestarting })
	first.Close()

	second := keeperOn(t, connect, dir)
	s := await(t, second, "s", func(s *stream.Snapshot) bool { return s.PID != 0 })
	if s.PID != pid || s.State != stream.StateRunning || s.RestartCount != 0 {
		t.Errorf("%+v, was pid %d", s, pid)
	}
}
