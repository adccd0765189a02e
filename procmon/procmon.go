// Package procmon tells what the kernel knows of a stream's processes, of
// their cgroup, of the pressure on it and on the host, and of the clocks.
//
// What is read now and then comes through github.com/prometheus/procfs; what is
// read of every process every few seconds is read here. Added to it are the
// tree of descendants, for a stream may be a shell that runs two ffmpegs; the
// CPU clock of a process, for the ticks in /proc/PID/stat are 10 ms and a
// small stream uses fewer than one between two looks; and the choice of what
// to read, for a thousand streams are looked at every five seconds.
//
// Invariants: the CPU time of a Sampler never falls, whatever ends between
// two samples; a pid that another process has by now is told from ours by its
// start time; nothing is kept open between samples.
//
// Place in the flow: the keeper samples every running stream and puts the
// figures into its snapshot; verdicts on streams ask the pressure of their
// cgroup, or else Host, whether the machine is to blame, and Clock whether time
// itself is.
package procmon

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone is the error for a process that has ended, also if it has not been
// reaped yet or its pid has been given to another.
var ErrGone = errors.New("no such process any more")

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every
// architecture that Go runs on (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// Usage is what a process and its descendants use.
type Usage struct {
	// CPU is user and system time used so far; it never falls. Time used
	// before the first sample counts, that of children reaped before it too.
	CPU time.Duration
	// CPUPercent is that of the interval since the sample before; 100 is one
	// core. HasCPU is false at the first sample.
	CPUPercent float64
	HasCPU     bool
	// RSS is in bytes; what processes share is counted for each.
	RSS uint64
	// Threads and Processes do not count zombies.
	Threads   int
	Processes int
}

// Sampler follows one process with its descendants. It is not safe for
// concurrent use.
type Sampler struct {
	pid   int
	start uint64
	err   error // NewSampler's, or ErrGone

	at      time.Time // of the last sample
	account account
	reader  reader

	// Of the sample under way; kept for their memory.
	looks []look
	todo  []found
	seen  map[int]bool
}

// found is a process to look at; start is 0 where any process with that pid
// is meant.
type found struct {
	pid   int
	start uint64
}

// NewSampler follows the process that has this pid now. If there is none,
// Sample says so.
func NewSampler(pid int) *Sampler {
	s := &Sampler{pid: pid, seen: make(map[int]bool, 1)}
	s.start, s.err = StartTime(pid)
	return s
}

// Sample answers what the process and its descendants use now. The error is
// ErrGone once the process itself has ended, whatever its descendants do;
// after any other, such as too many open files, the next sample may succeed.
//
// Any thread may have children, and to ask each costs as much as all the
// rest. The main thread is asked every time; the others by the first sample and
// the third, by every sixth from then on, and always once one of them was seen
// to have any.
func (s *Sampler) Sample() (Usage, error) {
	if s.err != nil {
		return Usage{}, s.err
	}
	defer s.reader.file.done()
	now := time.Now()
	var u Usage
	var err error
	if u.RSS, u.Threads, u.Processes, err = s.look(); err != nil {
		if errors.Is(err, ErrGone) {
			s.err = err
		}
		return Usage{}, err
	}
	first := s.at.IsZero()
	elapsed := now.Sub(s.at)
	used := s.account.update(s.looks, elapsed)
	u.CPU = s.account.total
	if !first && elapsed > 0 {
		u.HasCPU = true
		u.CPUPercent = 100 * used.Seconds() / elapsed.Seconds()
	}
	s.at = now
	return u, nil
}

// look goes through the tree of processes into s.looks. What was once found
// belongs to it until it ends, also if its parent ends before.
func (s *Sampler) look() (rss uint64, threads, processes int, err error) {
	clear(s.seen)
	s.looks = s.looks[:0]
	s.todo = append(s.todo[:0], found{s.pid, s.start})
	for i := 0; ; i++ {
		if i == len(s.todo) {
			if s.addOrphans(); i == len(s.todo) {
				return rss, threads, processes, nil
			}
		}
		pid, start := s.todo[i].pid, s.todo[i].start
		if s.seen[pid] {
			continue // it has got another parent meanwhile
		}
		s.seen[pid] = true
		stat, err := s.reader.file.readStat(pid)
		switch {
		case err != nil && !errors.Is(err, ErrGone):
			return 0, 0, 0, err
		case err != nil || start != 0 && stat.start != start:
			if pid == s.pid {
				return 0, 0, 0, gone(pid)
			}
			continue
		case pid == s.pid && stat.exited():
			return 0, 0, 0, gone(pid)
		}
		l := s.newLook(pid, stat)
		if !stat.exited() {
			rss += stat.residentMemory
			threads += stat.threads
			processes++
			children, err := s.reader.children(pid, l.threads.due(stat.threads), &l.threads)
			if err != nil {
				return 0, 0, 0, err
			}
			for _, child := range children {
				s.todo = append(s.todo, found{pid: child})
			}
		}
		s.looks = append(s.looks, l)
	}
}

// addOrphans has look go on with what it has not come to by way of parents.
func (s *Sampler) addOrphans() {
	for pid, l := range s.account.known {
		if !s.seen[pid] {
			s.todo = append(s.todo, found{pid, l.start})
		}
	}
}

func (s *Sampler) newLook(pid int, stat stat) look {
	l := look{
		pid:    pid,
		ppid:   stat.ppid,
		start:  stat.start,
		self:   cpuTime(pid, stat),
		reaped: stat.reaped,
	}
	if old, known := s.account.known[pid]; known && old.start == l.start {
		l.threads = old.threads
	} else {
		l.age = sinceBoot() - time.Duration(l.start)*tick
	}
	return l
}

// cpuTime is the time that all threads of a process have used, ended ones
// too. The kernel has it in nanoseconds for anybody who asks, in the form of
// a clock, in a fiftieth of the time that a file takes
// (clock_getcpuclockid(3)); else there are the ticks of stat.
func cpuTime(pid int, stat stat) time.Duration {
	const cpuclockSched = 2 // time on a CPU, of the whole process
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &t); err != nil {
		return stat.user + stat.system
	}
	return time.Duration(t.Nano())
}
