// Command ffkeeper-shim holds the children of ffkeeper: it spawns, signals and
// reaps them and keeps their pipes, so that the keeper may crash, hang or be
// upgraded while they run on. All of it is in package service/shim; here are
// the command line, the start by systemd and the exit codes.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// version is set by the linker.
var version = "dev"

// Exit codes, the last two as in sysexits.h.
const (
	exitOK    = 0
	exitUsage = 64
	exitOSErr = 71
)

// The main function must run on the main thread: children die with the thread
// that forked them, and no other thread survives an upgrade in place. Locking
// it in an initializer is what package runtime documents for that.
func init() { runtime.LockOSThread() }

func main() {
	shim.ExecHelperMain()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errw io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, errHelp):
		io.WriteString(out, usage)
		return exitOK
	case err != nil:
		fmt.Fprintf(errw, "ffkeeper-shim: %v (see --help)\n", err)
		return exitUsage
	case o.version:
		fmt.Fprintln(out, "ffkeeper-shim", version)
		return exitOK
	case o.checkProtocol:
		fmt.Fprintln(out, shim.CheckAnswer())
		return exitOK
	}
	if err := serve(o); err != nil {
		fmt.Fprintf(errw, "ffkeeper-shim: %v\n", err)
		return exitOSErr
	}
	return exitOK
}

// serve runs the shim until it has nothing left to do.
func serve(o *options) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT) // first, for after an upgrade in place there may be children
	tune()
	// The terminal it was started from may go, and who reads its stderr. Not
	// signal.Ignore: children would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE)
	n, err := newNotifier(os.Getenv)
	if err != nil {
		return err
	}
	s, err := o.server(shim.Config{
		Version: version,
		Stop:    stop,
		Beat:    func() { n.send("WATCHDOG=1") }, BeatEvery: n.every,
	})
	if err != nil {
		return err
	}
	n.send("READY=1")
	err = s.Run()
	n.send("STOPPING=1")
	if o.linger != "" {
		os.Remove(o.linger)
	}
	return err
}

// tune keeps the process small: it lives long, allocates little, and what a
// burst allocates should go again.
func tune() {
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	debug.SetGCPercent(50)
	warmThreads(6)
}

// warmThreads makes the runtime create n threads now, which it keeps. When the
// user has no more processes left (RLIMIT_NPROC) a program that needs a new
// thread dies, and the shim must not: ordinary work takes no more than these,
// the start of hundreds of streams in one moment some more.
func warmThreads(n int) {
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	for range n {
		ready.Add(1)
		done.Go(func() {
			runtime.LockOSThread() // nobody else runs on this thread meanwhile
			defer runtime.UnlockOSThread()
			ready.Done()
			<-release
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
}
