package shim

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// streamVariable marks the processes of a stream.
const streamVariable = "FFKEEPER_STREAM"

const (
	defaultStopWait = 10 * time.Second // between TERM and KILL when the shim stops its children by itself
	killWait        = 5 * time.Second  // after KILL, for processes the kernel lets go late
	slowTick        = 10 * time.Second // between looks for orphans nobody told us of
	fastTick        = 100 * time.Millisecond
	maxFastTick     = time.Second
	lastWords       = time.Second // of silence, until whoever is to take the shim's last words is given up
)

// Server owns the children. Create it with NewServer and call Run.
type Server struct {
	cfg Config

	// calls brings work to the one goroutine that owns all below.
	calls chan func()
	done  chan struct{} // closed when Run ends
	log   chan string   // warnings for stderr

	children map[ID]*child
	byPID    map[int]*child // main processes not reaped yet
	live     map[ID]*child  // not empty yet
	byGroup  map[int]*child // the same by group and session, as long as the number is theirs
	lastID   ID
	notes    map[string][]byte
	orphans  map[int]*orphan

	cgroups *cgroupTree // nil: children get no cgroups

	probing     int // spawns that wait to know where their program is, or for their cgroup
	uninspected []*orphan
	inspecting  int  // environments being read
	oldKernel   bool // a pidfd cannot signal a group: before Linux 6.9

	keeper    *keeper
	listener  *listener     // nil: none
	successor int           // connection to follow the keeper once that has been read to its end; -1: none
	blind     bool          // the last look for orphans failed
	lastTick  time.Time     // of a look at all threads
	lastLook  time.Time     // of any
	tick      time.Duration // current distance between fast looks
	drain     *drainer      // while no keeper is connected
	stopping  *stopping     // while the children are being stopped
	leaving   bool          // Leave was asked for
	asked     bool          // to end, by somebody else than the keeper
	emptied   func()        // called once when no child is left; may be nil
	null      int           // /dev/null
	io        *ioReader
	upgrading bool   // a Reexec is under way
	resumed   *state // of the program before, until Run
	signals   *signals
}

// NewServer prepares a server. The process becomes a subreaper: orphaned
// descendants become its children. All its descriptors but the first three
// become close-on-exec, so that children get none they were not given.
func NewServer(cfg Config) (*Server, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot become a subreaper: %w", err)
	}
	if err := closeOnExecFrom(3); err != nil {
		return nil, fmt.Errorf("cannot keep descriptors from children: %w", err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", os.DevNull, err)
	}
	if cfg.StopWait == 0 {
		cfg.StopWait = defaultStopWait
	}
	if cfg.strangerWait == 0 {
		cfg.strangerWait = strangerWait
	}
	s := &Server{
		cfg:       cfg,
		calls:     make(chan func()),
		done:      make(chan struct{}),
		log:       make(chan string, 100),
		children:  map[ID]*child{},
		byPID:     map[int]*child{},
		live:      map[ID]*child{},
		byGroup:   map[int]*child{},
		notes:     map[string][]byte{},
		orphans:   map[int]*orphan{},
		successor: -1,
		null:      null,

		oldKernel: cfg.oldKernel,
	}
	if cfg.Cgroup {
		tree, warnings, err := claimCgroup()
		if err != nil {
			s.warn("children get no control groups: %w", err)
		}
		for _, w := range warnings {
			s.warn("%w", w)
		}
		s.useCgroups(tree)
	}
	return s, nil
}

// useCgroups puts children into t from now on; nil: they get none.
func (s *Server) useCgroups(t *cgroupTree) {
	if s.cgroups = t; t == nil {
		return
	}
	var err error
	if t.notInto != nil {
		s.warn("children cannot be started in their control groups (clone3: %w); the exec helper moves them there, which takes some milliseconds each", t.notInto)
	}
	if t.watch, err = newCgroupWatch(); err != nil {
		s.warn("cannot watch control groups: %w", err)
	}
}

// Run serves until there is nothing left to do: after Leave or Stop, or, unless
// Stay is set, when the keeper is gone; then all children are. It locks its
// goroutine to its thread for good, for every child dies with that thread; in
// a program of its own call it on the main thread.
func (s *Server) Run() error {
	runtime.LockOSThread()
	// A child gets the mask of the thread that forks.
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil); err != nil {
		return fmt.Errorf("cannot clear the signal mask: %w", err)
	}
	return s.run()
}

// run is Run for a server that never forks.
func (s *Server) run() error {
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		s.logTo(os.Stderr)
	}()
	defer func() {
		select {
		case <-logged:
		case <-time.After(lastWords): // nobody reads them
		}
	}()
	defer close(s.done)
	defer s.shutdown()
	s.signals = newSignals(s.cfg.UpgradeOnHUP)
	defer s.signals.stop()
	s.io = newIOReader(s)
	if s.cfg.Listener > 0 {
		if err := s.listen(s.cfg.Listener); err != nil {
			return err
		}
	}
	if s.cfg.Conn > 0 {
		if err := s.connect(s.cfg.Conn); err != nil {
			return err
		}
	}
	if s.resumed != nil {
		if err := s.restore(s.resumed); err != nil {
			return err
		}
		s.resumed = nil
	}
	var beat <-chan time.Time
	if s.cfg.BeatEvery > 0 {
		t := time.NewTicker(s.cfg.BeatEvery)
		defer t.Stop()
		beat = t.C
		// Now too: whoever counts the time since the last beat does so over an
		// upgrade in place, and several may follow each other.
		s.cfg.Beat()
	}
	stop := s.cfg.Stop
	tick := time.NewTimer(0)
	defer tick.Stop()
	for !s.finished() {
		tick.Reset(s.nextTick())
		select {
		case call := <-s.calls:
			call()
		case <-s.signals.child:
			s.reap(false)
		case <-tick.C:
			s.onTick()
		case <-stop:
			stop = nil
			s.stopAsked()
		case <-s.signals.hup:
			s.reexec(&upgrade{program: s.cfg.Program})
		case <-beat:
			s.cfg.Beat()
		}
	}
	return nil
}

// post runs f on the server's goroutine. It returns when that has begun, or
// false if it never will because the server has ended.
func (s *Server) post(f func()) bool {
	select {
	case s.calls <- f:
		return true
	case <-s.done:
		return false
	}
}

// nextTick is when to look at what no event tells of.
func (s *Server) nextTick() time.Duration {
	next := slowTick - time.Since(s.lastTick)
	if s.awaiting() {
		next = min(next, s.tick-time.Since(s.lastLook))
	} else {
		s.tick = fastTick
	}
	if s.stopping != nil {
		next = min(next, time.Until(s.stopping.deadline))
	}
	return max(0, next)
}

func (s *Server) onTick() {
	s.tick = min(2*s.tick, maxFastTick)
	s.reap(time.Since(s.lastTick) >= slowTick)
	s.stopFurther()
}

// awaiting: some group is waited for to become empty.
func (s *Server) awaiting() bool {
	for _, c := range s.live {
		if (c.exited != nil || c.killing) && (c.cgroup == nil || !c.cgroup.awaited() || c.killing && !c.cgroup.killed) {
			return true
		}
	}
	return false
}

// finished: nothing is left to do.
func (s *Server) finished() bool {
	if s.stopping != nil && s.stopping.over {
		return true
	}
	return (s.leaving || s.stopping != nil) && len(s.live) == 0
}

// whenEmpty calls f once no child has a process left.
func (s *Server) whenEmpty(f func()) {
	s.emptied = f
	s.reap(true)
}

// shutdown lets go of what Run has opened.
func (s *Server) shutdown() {
	s.stopDraining()
	for _, c := range s.sorted() {
		c.release()
		c.closePIDFD()
	}
	if s.keeper != nil {
		s.keeper.conn.drain(lastWords)
		s.keeper.conn.close()
	}
	if s.successor >= 0 {
		unix.Close(s.successor)
	}
	if s.listener != nil {
		s.listener.close()
	}
	if s.cgroups != nil && s.cgroups.watch != nil {
		s.cgroups.watch.close()
	}
	s.io.stop()
	unix.Close(s.null)
}

// sorted are the children by ID.
func (s *Server) sorted() []*child {
	list := make([]*child, 0, len(s.children))
	for _, c := range s.children {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *child) int { return cmp.Compare(a.id, b.id) })
	return list
}
