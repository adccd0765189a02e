package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signals are those that mean something to the keeper. Each kind has a channel
// of its own, so that no stop is lost behind reloads; of several one counts.
type signals struct{ stop, reload chan os.Signal }

// notified has them come from now on: before anything is taken over, for a stop
// that comes in between means the streams, too, and must not only end this
// process.
func notified() *signals {
	sig := &signals{make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(sig.stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(sig.reload, syscall.SIGHUP)
	return sig
}

// takeOverWait is how long a stop waits for the daemon to be made. A shim that
// hangs may take longer, and systemd has others to stop it.
const takeOverWait = 10 * time.Second

// begin makes the daemon, which takes over what an earlier keeper left. A stop
// that comes meanwhile is left in sig.
func begin(settings Settings, sig *signals) (*daemon, error) {
	type made struct {
		d   *daemon
		err error
	}
	done := make(chan made, 1)
	go func() {
		d, err := newDaemon(settings)
		done <- made{d, err}
	}()
	var stop os.Signal
	var late <-chan time.Time
	for {
		select {
		case m := <-done:
			if stop != nil {
				select {
				case sig.stop <- stop:
				default: // there is another by now
				}
			}
			return m.d, m.err
		case stop = <-sig.stop:
			if late == nil {
				late = time.After(takeOverWait)
			}
		case <-late:
			return nil, fmt.Errorf("%s, and the shim does not answer; what it holds runs on", stop)
		}
	}
}
