package procmon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// stat is what is used of /proc/PID/stat (proc_pid_stat(5)).
//
// procfs reads the file, too: by seven system calls and fmt.Fscan, which were a
// fifth of a keeper's CPU time with 300 streams. It is the measure of this
// parser in the tests.
type stat struct {
	state          byte
	ppid           int
	user, system   time.Duration // of all threads
	reaped         time.Duration // user and system, of children waited for
	threads        int
	start          uint64 // ticks since boot
	residentMemory uint64 // bytes
}

// Places of the fields behind the name, counted from the state.
const (
	statPPID    = 1
	statUTime   = 11
	statSTime   = 12
	statCUTime  = 13
	statCSTime  = 14
	statThreads = 17
	statStart   = 19
	statRSS     = 21
	statFields  = 22 // there are more
)

var pageSize = uint64(os.Getpagesize())

// readStat answers ErrGone for a process that is not there any more.
func (r *fileReader) readStat(pid int) (stat, error) {
	text, err := r.read("/proc/" + strconv.Itoa(pid) + "/stat")
	if err == nil {
		var s stat
		if s, err = parseStat(text); err == nil {
			return s, nil
		}
	}
	if vanished(err) {
		return stat{}, gone(pid)
	}
	return stat{}, fmt.Errorf("cannot look at process %d: %w", pid, err)
}

var errStat = errors.New("/proc/PID/stat has not the form of proc_pid_stat(5)")

// parseStat reads the line. The name in it may hold anything, brackets too, so
// the fields count from the last one.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return stat{}, errStat
	}
	var fields [statFields][]byte
	rest := bytes.TrimLeft(text[end+1:], " ")
	for i := range fields {
		n := bytes.IndexAny(rest, " \n")
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return stat{}, errStat
		}
		fields[i] = rest[:n]
		rest = bytes.TrimLeft(rest[n:], " ")
	}
	var bad bool
	number := func(i int) uint64 {
		n, err := parseNumber(fields[i])
		bad = bad || err != nil
		return n
	}
	ticks := func(i int) time.Duration { return time.Duration(number(i)) * tick }
	s := stat{
		state: fields[0][0], ppid: int(number(statPPID)),
		user: ticks(statUTime), system: ticks(statSTime), reaped: ticks(statCUTime) + ticks(statCSTime),
		threads: int(number(statThreads)), start: number(statStart), residentMemory: number(statRSS) * pageSize,
	}
	if bad || len(fields[0]) != 1 {
		return stat{}, errStat
	}
	return s, nil
}

// exited tells a zombie. A main thread may end before the others: its state
// is Z then too.
func (s stat) exited() bool { return s.state == 'X' || s.state == 'Z' && s.threads <= 1 }
