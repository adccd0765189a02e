package shim

import (
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// childModes are what the test binary can be as somebody's child.
var childModes = map[string]func(args []string) int{
	// terms counts TERM and ends with the count when told "end" by HUP.
	"child-terms": func([]string) int {
		ch := make(chan os.Signal, 10)
		signal.Notify(ch, unix.SIGTERM, unix.SIGHUP)
		fmt.Println("ready")
		n := 0
		for sig := range ch {
			if sig == unix.SIGHUP {
				break
			}
			n++
			fmt.Println("TERM", n)
			time.AfterFunc(300*time.Millisecond, func() { ch <- unix.SIGHUP })
		}
		return n
	},
}
