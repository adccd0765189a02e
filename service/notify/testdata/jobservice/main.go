// Command jobservice is a service for the tests on a booted systemd. It
// writes what it learns, a line each, to the file that its argument names.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/service/notify"
)

func main() {
	out, err := os.OpenFile(os.Args[1], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tell := func(format string, args ...any) {
		fmt.Fprintf(out, format+"\n", args...)
		out.Sync()
	}
	check := func(err error) {
		// What is late arrives all the same; a test machine may be busy.
		if err != nil && !errors.Is(err, notify.ErrStuck) {
			tell("error: %v", err)
		}
	}
	if len(os.Args) > 2 { // not as a service
		kind, err := notify.Job(context.Background())
		tell("%s, error %v", kind, err)
		return
	}

	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	n := notify.New()
	check(n.Status("serving"))
	check(n.Ready())
	interval, pinging := n.Watchdog()
	ping := time.NewTicker(max(interval/4, time.Millisecond))
	for {
		select {
		case <-ping.C:
			if pinging {
				check(n.Ping())
			}
		case s := <-signals:
			switch s {
			case syscall.SIGUSR2: // hang, as far as the watchdog knows
				pinging = false
			case syscall.SIGHUP:
				check(n.Reloading())
			case syscall.SIGUSR1:
				check(n.Ready())
			case syscall.SIGTERM:
				asked := time.Now()
				kind, err := notify.Job(context.Background())
				check(err)
				tell("%s", kind)
				if took := time.Since(asked); took > 3*time.Second {
					tell("error: took %v", took)
				}
				check(n.Stopping())
				takes, _ := time.ParseDuration(os.Getenv("STOP_TAKES"))
				for ; takes > 0; takes -= 200 * time.Millisecond {
					check(n.ExtendTimeout(30 * time.Second))
					time.Sleep(200 * time.Millisecond)
				}
				return
			}
		}
	}
}
