package shim

import (
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// orphan is a child of this process that it did not spawn: a descendant of a
// managed child that lost its parent and fell to the subreaper.
type orphan struct {
	procKey
	seen  time.Time // first
	owner *child    // nil: not known
	// decided: owner is all that will ever be known. Until then the
	// environment is waiting to be read.
	decided bool
}

// inspectWait is how long an orphan's environment may take to be read before
// the orphan counts as nobody's.
const inspectWait = 2 * time.Second

// strangerWait is how long a dead child that we did not spawn, that is in our
// own session and that no pidfd of this process refers to may wait for somebody
// else's wait(2), C code's for one, before it is taken for an orphan.
const strangerWait = 10 * time.Second

// maxLooks bounds the looks of one reap.
const maxLooks = 5

// reap looks at the children of this process that it did not spawn, takes the
// dead off the table and learns whose the living are; then it sees which groups
// have become empty. Orphans fall to the first living thread of the subreaper,
// the main thread as a rule, so only every now and then (all) are the other
// threads' lists read.
func (s *Server) reap(all bool) {
	s.lastLook = time.Now()
	if all {
		s.lastTick = s.lastLook
	}
	var buried map[*child]bool
	for range maxLooks {
		pids, err := s.ownChildren(all)
		if err != nil {
			if !s.blind { // once, not at every SIGCHLD
				s.warn("cannot look for orphans: %w", err)
			}
			s.blind = true
			return
		}
		s.blind = false
		// A process that died after the list was made may have left us children
		// that are not in it.
		if buried = s.look(pids); len(buried) == 0 {
			break
		}
	}
	s.settle(buried)
}

// look deals with the given children of this process. It returns the owners of
// those it has taken off the table; nil among them stands for any.
func (s *Server) look(pids []int) (buried map[*child]bool) {
	var held map[int]bool // of pidfdsHeld, when needed
	buried = map[*child]bool{}
	seen := make(map[int]bool, len(s.orphans))
	for _, pid := range pids {
		if s.byPID[pid] != nil {
			continue
		}
		seen[pid] = true
		if o := s.orphans[pid]; o != nil && o.owner != nil && !s.cfg.inProcess {
			// Certainly the same, for nobody else here reaps; and asking for its
			// end is cheaper than /proc.
			var ws unix.WaitStatus
			if got, _ := wait4(pid, &ws, nil); got != 0 {
				buried[o.owner] = true
				delete(s.orphans, pid)
			}
			continue
		}
		st, err := readStat(pid)
		if err != nil {
			continue
		}
		if !st.dead() {
			s.meet(&st)
		} else if owner, ok := s.bury(&st, &held); ok {
			buried[owner] = true
		}
	}
	for pid := range s.orphans {
		if !seen[pid] && !exists(pid) {
			delete(s.orphans, pid)
		}
	}
	return buried
}

// settle sees which groups have become empty, but for those of buried, and goes
// on killing those that are to be.
func (s *Server) settle(buried map[*child]bool) {
	for _, c := range s.live {
		if c.killing && (c.cgroup == nil || !c.cgroup.killed) {
			s.killRound(c)
		}
		if c.cgroup != nil || !buried[c] && !buried[nil] {
			s.checkEmpty(c)
		}
	}
	if s.emptied != nil && len(s.live) == 0 {
		s.emptied()
		s.emptied = nil
	}
}

// ownChildren lists the children of this process.
func (s *Server) ownChildren(all bool) ([]int, error) {
	self := os.Getpid()
	tids := []int{self}
	if all {
		var err error
		if tids, err = threads(self); err != nil {
			return nil, err
		}
	}
	if s.cfg.inProcess {
		// Where others reap too, one reading may leave out some; hardly both.
		tids = append(tids, self)
	}
	var pids []int
	for _, tid := range tids {
		p, err := childrenOfThread(self, tid)
		if err != nil && err != unix.ESRCH {
			return nil, err
		}
		pids = append(pids, p...)
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// bury takes a dead child that is not managed off the process table, if it is
// an orphan and not one that other code of this process has started and will
// wait for. What tells them apart stays readable in a zombie: a process that
// this one has forked is in this one's session, or leads its own; and os/exec
// holds a pidfd from the fork until it has waited.
// It returns whose it was, as far as that is known.
func (s *Server) bury(st *procStat, held *map[int]bool) (owner *child, ok bool) {
	o := s.orphan(st)
	if o.owner == nil {
		o.owner = s.owner(st)
	}
	o.decided = true // the dead have no environment
	swept := s.byGroup[st.pid] != nil && s.byGroup[st.pid].lost
	ours := st.session != ownSession() && st.session != st.pid || swept
	if !ours {
		if *held == nil {
			h, err := pidfdsHeld()
			if err != nil {
				s.warn("cannot tell orphans from other children: %w", err)
				return nil, false
			}
			*held = h
		}
		if (*held)[st.pid] {
			return nil, false
		}
		if st.session == ownSession() && time.Since(o.seen) < s.cfg.strangerWait {
			return nil, false
		}
	}
	var ws unix.WaitStatus
	wait4(st.pid, &ws, nil)
	delete(s.orphans, st.pid)
	return o.owner, true
}

// orphan is the entry of a process in the table of orphans.
func (s *Server) orphan(st *procStat) *orphan {
	o := s.orphans[st.pid]
	if o == nil || o.start != st.start {
		o = &orphan{procKey: procKey{st.pid, st.start}, seen: time.Now()}
		s.orphans[st.pid] = o
	}
	return o
}

// meet takes a living child that is not managed into the table of orphans and
// finds out whose it is.
func (s *Server) meet(st *procStat) {
	before := s.orphans[st.pid]
	o := s.orphan(st)
	if o.decided {
		return
	}
	o.owner = s.owner(st)
	if o.owner == nil && s.cgroups != nil {
		o.owner = s.cgroups.childIn(st.pid)
	}
	// No descendant of a managed child is in our own session.
	o.decided = o.owner != nil || st.session == ownSession()
	if o != before && !o.decided {
		s.uninspected = append(s.uninspected, o)
		s.inspect()
	}
}

// maxInspecting bounds the threads that may be stuck in reading environments.
const maxInspecting = 4

// inspect learns from the environment of orphans whose they are. A process
// stuck in the kernel can block who reads it for good, so that is done by
// other goroutines.
func (s *Server) inspect() {
	for s.inspecting < maxInspecting && len(s.uninspected) > 0 {
		o := s.uninspected[0]
		s.uninspected = s.uninspected[1:]
		if s.orphans[o.pid] != o || o.decided {
			continue
		}
		s.inspecting++
		go func() {
			stream, ok := streamOf(o.pid)
			if ok && s.cfg.inProcess {
				// Not if it was started by other code of this program.
				held, err := pidfdsHeld()
				ok = err == nil && !held[o.pid]
			}
			s.post(func() {
				s.inspecting--
				o.decided = true
				if ok && s.orphans[o.pid] == o && o.owner == nil {
					o.owner = s.newestOf(stream, o.start)
				}
				s.inspect()
				s.settle(nil)
			})
		}()
	}
}

// signals brings SIGCHLD, and undoes what was ignored when this program was
// started (by nohup, for one): a child would inherit that, while handlers
// become the default at exec.
type signals struct {
	child   chan os.Signal
	ignored chan os.Signal
	hup     chan os.Signal // nil: not ours to take
}

func newSignals(hup bool) *signals {
	n := &signals{child: make(chan os.Signal, 1), ignored: make(chan os.Signal, 1)}
	signal.Notify(n.child, unix.SIGCHLD)
	if hup {
		n.hup = make(chan os.Signal, 1)
		n.ignoreHUP(false)
	}
	mask, err := ignoredSignals()
	for sig := syscall.Signal(1); err == nil && sig < 32; sig++ {
		if mask&(1<<(sig-1)) != 0 && sig != unix.SIGKILL && sig != unix.SIGSTOP {
			signal.Notify(n.ignored, sig)
		}
	}
	return n
}

// ignoreHUP is for the time of an exec, which leaves SIGHUP ignored in the new
// program until that has a handler; Go cannot start with it blocked. What is
// lost so is one more wish for what happens.
func (n *signals) ignoreHUP(on bool) {
	switch {
	case n.hup == nil:
	case on:
		signal.Ignore(unix.SIGHUP)
	default:
		signal.Notify(n.hup, unix.SIGHUP)
	}
}

func (n *signals) stop() {
	if n.hup != nil {
		signal.Stop(n.hup)
	}
	signal.Stop(n.child)
	signal.Stop(n.ignored)
}

func exists(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

func ownSession() int {
	sid, err := unix.Getsid(0)
	if err != nil {
		return -1
	}
	return sid
}
