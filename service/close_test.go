package service_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

func TestCloseIsNoFailureOfTheStreams(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nRestart=no\nOnFailure=touch @WORK@/failed\nExecStart=sleep 1000"})
	pid := k.start("s")
	k.Close()
	if alive(pid) {
		t.Error("it lives")
	}
	if k.log.has("s", stream.KindExited) || k.log.has("s", stream.KindFailed) {
		t.Errorf("%v", k.log.events("s"))
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if _, err := k.Reload(k.ctx()); kindOf(err) != service.Busy {
		t.Errorf("reload: %v", err)
	}
	if _, err := k.Start(k.ctx(), "s", service.CallOptions{}); err == nil {
		t.Error("a start after the end")
	}
}

// TestCloseWhileALostShimIsReplacedLeavesNoShim: the new one must not be
// forgotten in between.
func TestCloseWhileALostShimIsReplacedLeavesNoShim(t *testing.T) {
	program := buildShim(t)
	var client atomic.Pointer[shim.Client]
	connecting, goOn := make(chan struct{}), make(chan struct{})
	first := true
	k := newKeeper(t, map[string]string{"s": said}, func(o *service.Options) {
		launch := launcher(program, &client)
		o.Shim = func(ctx context.Context, h shim.Handler) (*shim.Client, error) {
			if !first {
				close(connecting)
				<-goOn
			}
			first = false
			return launch(ctx, h)
		}
	})
	k.startOK("s")
	proc, _ := os.FindProcess(client.Load().Hello().PID)
	proc.Kill()
	<-connecting
	closed := make(chan struct{})
	go func() { k.Close(); close(closed) }()
	close(goOn)
	<-closed
	if c := client.Load(); c.Err() == nil || alive(c.Hello().PID) {
		t.Errorf("the shim %d is left, %v", c.Hello().PID, c.Err())
	}
}

// TestCrashesLeaveNothingBehind runs a command that ends at once two thousand
// times.
func TestCrashesLeaveNothingBehind(t *testing.T) {
	k := newKeeper(t, map[string]string{"s": "Type=simple\nRestartSec=0\nOnRestart=true\nExecStart=sh -c \"echo x; echo y >&2; exit 1\""})
	k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
	figures := func(restarts int) (fds, goroutines int, heap uint64) {
		k.until("s", fmt.Sprintf("%d restarts", restarts), func(s *stream.Snapshot) bool { return s.RestartCount >= restarts })
		k.stop("s")
		deadline := time.Now().Add(patience)
		for { // hooks are on their way still
			dir, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			fds, goroutines = len(dir), runtime.NumGoroutine()
			if goroutines < 40 || time.Now().After(deadline) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		k.log.forget() // the test's own memory
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		k.Start(k.ctx(), "s", service.CallOptions{Wait: service.WaitNone})
		return fds, goroutines, m.HeapAlloc
	}
	fds1, goroutines1, heap1 := figures(200)
	fds2, goroutines2, heap2 := figures(1200)
	t.Logf("after 200 restarts %d fds, %d goroutines, heap %d; after 1200 %d, %d, %d", fds1, goroutines1, heap1, fds2, goroutines2, heap2)
	if fds2 > fds1+8 || goroutines2 > goroutines1+8 || heap2 > heap1+1<<20 {
		t.Errorf("fds %d to %d, goroutines %d to %d, heap %d to %d", fds1, fds2, goroutines1, goroutines2, heap1, heap2)
	}
}
