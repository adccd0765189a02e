// Command fakeffmpeg behaves as ffmpeg does towards whoever supervises it, and
// does nothing else: no media. It takes an ffmpeg command line, sends progress
// blocks, log lines and exit codes as ffmpeg does, obeys q, signals and the end
// of its stdin as ffmpeg does, and leaves an output file whose trailer (moov)
// tells a finished one from one cut short. A test holds it against the real
// one, so that it cannot drift.
//
// With -fake MODE[,MODE…] it misbehaves: modes.go lists the modes.
//
// It is for tests at scale: a thousand of them run on a small machine. So it
// is one goroutine that waits and one timer, wakes only when there is
// something to do, formats without fmt, and does not allocate once it runs.
package main

import (
	"os"
	"runtime"
)

func main() {
	runtime.GOMAXPROCS(1) // or each wake-up looks for more threads to wake

	var f fake
	f.parse(os.Args[1:])
	f.modes.sleep(f.modes.deadTime)
	f.bell.hang()
	f.catchSignals()
	f.banner()
	f.dieAtStart()
	f.openInputs()
	f.openOutputs()
	f.spawnOthers()
	f.describe()
	f.loop()
}

// fake is one run.
type fake struct {
	cmd   command
	modes modes

	out     output // the first output
	clock   clock
	signals signals
	keys    keys
	data    stdinData
	stdin   stdinWatch
	bell    bell

	progress int // fd; -1: none
	blocks   int // sent
	code     int // to exit with, where no signal decides
	sent     figures
	finishAt int64 // when a slow finish is over; 0: not finishing
	buf      [1024]byte
}

// exit ends the process. No deferred function, no flush: everything is written
// as it comes.
func (f *fake) exit(code int) { os.Exit(code) }
