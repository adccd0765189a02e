// Command ffkeeperd is the keeper: it keeps the streams of its stream files on
// air and serves org.ffkeeper1 on D-Bus.
//
// This package is settings, wiring and exit codes; what it wires is in
// service, dbusapi, service/journal and service/notify.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// version is set by the linker.
var version = unknownVersion

const unknownVersion = "unknown"

func main() {
	// Keeper and shim of 300 streams have 38 MB so, and 43 with the default of 100;
	// what it costs in time is lost in the noise (make bench).
	debug.SetGCPercent(40)
	// All of it is short work for many goroutines. With a second processor each
	// piece of it wakes a thread to look for more: 300 streams cost a quarter
	// more CPU so, and nothing gets faster, not even beside a flood (make bench).
	// A system call that blocks gives the processor away as ever.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	// With FFKEEPER_SHIM=embedded this very program is what the shim starts
	// to set limits before it becomes a stream's command.
	shim.ExecHelperMain()
	os.Exit(keep())
}

func keep() int {
	settings, done, code := commandLine(version, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	if done {
		return code
	}
	sig := notified()
	d, err := begin(settings, sig)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ffkeeperd: "+err.Error())
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch d.serve(ctx, sig) {
	case nil:
		return 0
	case errHandedOver:
		return exitHandedOver
	}
	return 1
}
