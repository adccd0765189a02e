package shim

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// signal sends sig to those of c that scope names. That they are gone is no
// error.
func (s *Server) signal(c *child, sig unix.Signal, scope Scope) error {
	if sig <= 0 || sig > 64 {
		return fmt.Errorf("%d is not a signal", sig)
	}
	if c.empty {
		return nil
	}
	if sig == unix.SIGTERM && s.stopping != nil && c.termed {
		return nil // the keeper did not know that we had done so; a second would hurt
	}
	switch scope {
	case Main:
		if c.exited == nil {
			unix.PidfdSendSignal(c.fd, sig, nil, 0)
		}
	case Group:
		s.groupSignal(c, sig)
	case All:
		strays := s.strays(c)
		s.groupSignal(c, sig)
		for i := range strays {
			if strays[i].group != c.pid {
				signalProcess(&strays[i], sig)
			}
		}
	default:
		return fmt.Errorf("unknown scope %q", scope)
	}
	c.termed = c.termed || sig == unix.SIGTERM
	return nil
}

// kill ends everything of c, and goes on until it is empty.
func (s *Server) kill(c *child) {
	if c.empty {
		return
	}
	c.killing = true
	s.tick = fastTick
	s.killRound(c)
	s.checkEmpty(c)
}

// maxRounds bounds one killRound; what forks faster than that is met again at
// the next SIGCHLD or tick.
const maxRounds = 50

// killRound kills everything of c that can be found, until a look finds nobody
// who has not been killed yet: a process in uninterruptible sleep ends later.
// The kernel kills a whole group at once, forks in flight included; those
// outside are found one by one. A cgroup it kills at once as a whole, and one
// round is enough.
func (s *Server) killRound(c *child) {
	if c.hit == nil {
		c.hit = map[procKey]bool{}
	}
	if c.known == nil {
		c.known = map[procKey]bool{}
	}
	if g := c.cgroup; g != nil {
		if c.exited == nil { // it may be on its way there
			unix.PidfdSendSignal(c.fd, unix.SIGKILL, nil, 0)
		}
		if g.killed = killTree(g.dir); g.killed {
			return
		}
	}
	for range maxRounds {
		strays := s.strays(c)
		s.groupSignal(c, unix.SIGKILL)
		fresh := false
		for i := range strays {
			key := procKey{strays[i].pid, strays[i].start}
			if !c.known[key] {
				c.known[key], fresh = true, true
			}
			// One that was in the group may have left it before that was killed:
			// the next look tells.
			if strays[i].group != c.pid && !c.hit[key] {
				signalProcess(&strays[i], unix.SIGKILL)
				c.hit[key], fresh = true, true
			}
		}
		if !fresh {
			return
		}
	}
}

// signalProcess signals one process, and never another that has got its pid.
func signalProcess(st *procStat, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(st.pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	now, err := readStat(st.pid)
	if err != nil {
		return err
	}
	if now.start != st.start {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}
