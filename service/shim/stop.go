package shim

import (
	"time"

	"golang.org/x/sys/unix"
)

// stopping is the end of all children without a keeper's help: TERM, a wait,
// KILL, a shorter wait.
type stopping struct {
	deadline time.Time
	killed   bool
	over     bool
}

// keeperSay is how long a keeper that is connected may take to say what it
// makes of the shim's being told to stop.
const keeperSay = 2 * time.Second

// stopAsked: somebody wants the shim to end. A keeper knows better how to stop
// its streams, and whether they are to be started anew: it says so by leave,
// and stops them within the time we would take, or leaves it to us by stop.
func (s *Server) stopAsked() {
	s.asked = true
	if s.keeper == nil || !s.keeper.greeted || s.leaving {
		s.stopAll()
		return
	}
	s.tell(&message{Type: msgStopping})
	k := s.keeper
	later := func(wait time.Duration, f func()) { time.AfterFunc(wait, func() { s.post(f) }) }
	later(keeperSay, func() {
		if s.keeper != k || !s.leaving {
			s.stopAll()
		}
	})
	later(s.cfg.StopWait, s.stopAll)
}

// stopAll stops every child and then ends the server. The shim knows nothing of
// the q that ffmpeg would take, but TERM finishes its files too, unless it is
// the second one.
func (s *Server) stopAll() {
	if s.stopping != nil {
		return
	}
	s.stopping = &stopping{deadline: time.Now().Add(s.cfg.StopWait)}
	s.tick = fastTick
	for _, c := range s.live {
		if !c.termed {
			s.signal(c, unix.SIGTERM, All)
		}
		// A stopped process would not get to its TERM.
		s.signal(c, unix.SIGCONT, All)
	}
	s.reap(true)
	s.stopFurther()
}

// stopFurther takes the next step of stopAll when it is due.
func (s *Server) stopFurther() {
	st := s.stopping
	switch {
	case st == nil:
	case time.Now().Before(st.deadline):
	case !st.killed:
		st.killed = true
		st.deadline = time.Now().Add(killWait)
		for _, c := range s.live {
			s.kill(c)
		}
	default:
		for _, c := range s.live {
			s.warn("%s (pid %d) does not end; leaving it to the kernel", c.stream, c.pid)
		}
		st.over = true
	}
}
