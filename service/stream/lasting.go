package stream

import "time"

// lasting is what outlives the keeper of what a machine knows: all but
// definitions and what moves with every block. It can be compared, so that a
// change is seen; record writes it down.
type lasting struct {
	state      State
	stateSince time.Time
	health     Health
	reason     Reason
	detail     string
	wanted     bool
	removed    bool // the file is gone: forget when stopped

	phase phase     // within starting and stopping
	due   time.Time // of the phase or, in restarting, of the restart
	delay time.Time // end of the delay that what is left of a process outlives as a zombie; zero: none

	// The process. group says that something of it may still be alive: its
	// main process or what that left behind. No new process is started
	// before group is false.
	pid         int
	child       uint64 // the shim's number of it, or of the last there was
	group       bool
	main        bool
	started     time.Time
	termSent    bool // a second TERM makes ffmpeg abandon its file
	interrupted bool // INT was sent by hand, which to ffmpeg is a TERM
	asked       bool // stdin can end it, and that has been tried
	canAsk      bool
	delivered   bool
	fed         bool // a client has come for a stdin pipe
	cleanup     int  // steps taken against what an unasked exit left behind
	cleanupDue  time.Time
	lastRestart time.Time

	// What stopping leads to.
	then      then
	thenWhy   Reason // for thenRetry, thenFinal
	thenText  string
	stageWait time.Duration
	extended  int
	grew      bool
	exit      exit // of the main process, once it has ended

	attempts    uint64 // starts ever begun
	lastFailure string // what the one before ended with
	failures    int
	restarts    int
	fresh       bool // the start asks for After= and Requires= to be awaited
	counts      bool // the next spawn is a restart
	okSince     time.Time
	since       time.Time // what a start time-out counts from
	tooSlow     Reason    // "", too-slow or host-slow
	noReader    bool
	noReaderAt  time.Time
	diskFull    string // directory that it cannot write to for that; "": none
	graceUntil  time.Time
	stallLogged bool
}
