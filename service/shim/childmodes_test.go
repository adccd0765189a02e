package shim

import (
	"context"
	"fmt"
	"io"
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
	// keeper holds one child and says its pid.
	"child-keeper": func(args []string) int {
		h := func(Event) {}
		var c *Client
		var err error
		if args[0] == "in-process" {
			c, err = InProcess(h)
		} else {
			c, err = Launch(args[1], h)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		c.Spawn(SpawnRequest{Stream: "s", Argv: []string{"sleep", "1000"}}, nil, func(c *Child, err error) {
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Println(c.PID)
		})
		select {}
	},
	"child-no-clone3": noClone3,
	// dial connects to a lingering shim, has it start a child that holds the
	// connection too, and waits for the end of its stdin.
	"child-dial": func(args []string) int {
		c, err := Dial(context.Background(), args[0], func(Event) {})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("connected")
		extra, err := dup(c.conn.fd)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		c.Spawn(SpawnRequest{Stream: "s", Argv: []string{"sleep", "1000"}}, []*os.File{os.NewFile(uintptr(extra), "connection")}, func(c *Child, err error) {
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Println(c.PID)
		})
		if st, err := os.Stdin.Stat(); err == nil && st.Mode()&os.ModeNamedPipe != 0 {
			io.Copy(io.Discard, os.Stdin)
			return 0
		}
		select {}
	},
}
