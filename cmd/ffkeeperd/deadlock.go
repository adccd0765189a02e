//go:build ffkeeper_deadlock

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// deadlockOnSignal has SIGUSR2 block the goroutine of the first stream. It
// exists in test builds only: to show that the watchdog sees it.
func (d *daemon) deadlockOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	go func() {
		<-signals
		d.keeper.Deadlock(d.keeper.Names()[0])
	}()
}
