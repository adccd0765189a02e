package main

import (
	"strconv"
	"strings"
	"syscall"
	"time"
)

// modes are what -fake asks for. "After" is a number of blocks, set by
// after=N (1 by default): the point at which a mode that changes a running
// stream sets in. DUR is a Go duration.
type modes struct {
	after int

	// How long it runs, and how it ends.
	blocks     int           // blocks=N: the input ends after N blocks
	runFor     time.Duration // for=DUR: the input ends after DUR
	exitCode   int           // exit=CODE: at the end of the input
	exitNow    int           // exit-now=CODE: before anything is opened; -1: no
	crash      int           // crash=SIGNAL (segv, abrt, kill, … or a number): after
	core       bool          // core: leave a core, if the kernel lets it
	dieTimes   int           // die=N:FILE: fail the first N starts, counted in FILE
	dieFile    string
	deadTime   time.Duration // dead-time=DUR: before the signal handlers are there
	startDelay time.Duration // start-delay=DUR: before the first block
	neverStart bool          // never-start: no block ever comes

	// What stands still. All begin after; resume=DUR ends them.
	stall     bool // blocks stop; only the second signal ends it
	stallFIFO bool // stall-fifo: blocks stop; only the fourth signal ends it
	freeze    bool // blocks go on, nothing moves; only the second signal ends it
	partial   bool // partial-stall: frame stands still, the rest goes on
	resume    time.Duration
	lookahead time.Duration // lookahead=DUR: at first only frame moves

	// Pace.
	speed     float64 // speed=F: media time over real time
	fps       float64 // fps=F
	audioOnly bool    // audio: no frames

	// How it stops.
	qAtOnce    bool          // q-at-once: without the wait for ffmpeg's 100 ms poll
	ignoreQ    bool          // ignore-q
	ignoreTerm bool          // ignore-term: all signals it could catch; needs a KILL
	slowFinish time.Duration // slow-finish=DUR: outputs grow for DUR, then the trailer

	// What it writes to stderr.
	lineLevel level // lines=LEVEL: a line with each block
	flood     bool  // flood: as fast as it is read
	secrets   bool  // secrets: the lines in which ffmpeg shows a URL
	longLine  int   // long-line=N: one line of N bytes, after
	badUTF8   bool  // bad-utf8: one line of it, after

	// What other processes it leaves.
	orphans    int           // orphans=N[:DUR]: double-forked, at the first block, alive for DUR
	orphanLife time.Duration //
	grandchild time.Duration // grandchild=DUR: a child with all its pipes, alive for DUR
	stubborn   bool          // stubborn: those ignore TERM

	// Data.
	frameSize  int // frame-size=BYTES: of raw video on stdin, if -s does not tell
	stdoutRate int // stdout-rate=BYTES: a second, to stdout; 0: as fast as it is read
}

func (m *modes) setDefaults() {
	m.after = 1
	m.exitNow = -1
	m.speed = 1
	m.fps = 25
	m.stdoutRate = 1 << 20
}

// parse reads the value of -fake. It dies of what it does not know: a test
// with a typing error must not pass.
func (m *modes) parse(list string) {
	for mode := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(mode, "=")
		switch name {
		case "after":
			m.after = number(mode, value)
		case "blocks":
			m.blocks = number(mode, value)
		case "for":
			m.runFor = duration(mode, value)
		case "exit":
			m.exitCode = number(mode, value)
		case "exit-now":
			m.exitNow = number(mode, value)
		case "crash":
			m.crash = signalNumber(mode, value)
		case "core":
			m.core = true
		case "die":
			times, file, _ := strings.Cut(value, ":")
			m.dieTimes, m.dieFile = number(mode, times), file
		case "dead-time":
			m.deadTime = duration(mode, value)
		case "start-delay":
			m.startDelay = duration(mode, value)
		case "never-start":
			m.neverStart = true
		case "stall":
			m.stall = true
		case "stall-fifo":
			m.stallFIFO = true
		case "freeze":
			m.freeze = true
		case "partial-stall":
			m.partial = true
		case "resume":
			m.resume = duration(mode, value)
		case "lookahead":
			m.lookahead = duration(mode, value)
		case "speed":
			m.speed = float(mode, value)
		case "fps":
			m.fps = float(mode, value)
		case "audio":
			m.audioOnly = true
		case "q-at-once":
			m.qAtOnce = true
		case "ignore-q":
			m.ignoreQ = true
		case "ignore-term":
			m.ignoreTerm = true
		case "slow-finish":
			m.slowFinish = duration(mode, value)
		case "lines":
			var ok bool
			if m.lineLevel, ok = levelByName(value); !ok {
				badMode(mode)
			}
		case "flood":
			m.flood = true
		case "secrets":
			m.secrets = true
		case "long-line":
			m.longLine = number(mode, value)
		case "bad-utf8":
			m.badUTF8 = true
		case "orphans":
			count, life, given := strings.Cut(value, ":")
			m.orphans = number(mode, count)
			if given {
				m.orphanLife = duration(mode, life)
			}
		case "grandchild":
			m.grandchild = duration(mode, value)
		case "stubborn":
			m.stubborn = true
		case "frame-size":
			m.frameSize = number(mode, value)
		case "stdout-rate":
			m.stdoutRate = number(mode, value)
		default:
			badMode(mode)
		}
	}
}

func (m *modes) sleep(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

func badMode(mode string) {
	die(2, "[fatal] fakeffmpeg: bad mode '"+mode+"'\n")
}

func number(mode, value string) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		badMode(mode)
	}
	return n
}

func float(mode, value string) float64 {
	x, err := strconv.ParseFloat(value, 64)
	if err != nil || !(x >= 0) {
		badMode(mode)
	}
	return x
}

func duration(mode, value string) time.Duration {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		badMode(mode)
	}
	return d
}

func signalNumber(mode, value string) int {
	switch value {
	case "segv":
		return int(syscall.SIGSEGV)
	case "abrt":
		return int(syscall.SIGABRT)
	case "kill":
		return int(syscall.SIGKILL)
	case "term":
		return int(syscall.SIGTERM)
	case "hup":
		return int(syscall.SIGHUP)
	case "pipe":
		return int(syscall.SIGPIPE)
	}
	return number(mode, value)
}
