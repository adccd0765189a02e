package shim

import (
	"time"

	"golang.org/x/sys/unix"
)

// This file says which processes belong to a child. Where it has a control
// group of its own they are those in it and below, whatever they have done to
// hide, and it is empty when the kernel says so. Where it has none they are
//
//   - its process group, which the kernel knows;
//   - its session, which processes that made a group of their own stay in;
//   - while the main process lives, all its descendants;
//   - orphans that carry FFKEEPER_STREAM=<its stream> in their environment and
//     started after it, and their descendants.
//
// A process that has left the session, cleared its environment and lost its
// parents before anybody looked is not known to be anybody's; it is reaped when
// it ends.

// owner is the child whose group or session a process is in, or that was seen
// to be its ancestor when it was killed.
func (s *Server) owner(st *procStat) *child {
	for _, number := range [...]int{st.group, st.session} {
		c := s.byGroup[number]
		if c == nil || st.start < c.ticks {
			continue
		}
		// The main process is reaped: whoever has its pid now is a stranger,
		// and so is everybody in a group or session of that number.
		if c.exited != nil && !c.lost && exists(c.pid) {
			s.numberReused(c.pid)
			continue
		}
		return c
	}
	for _, c := range s.live {
		if c.known[procKey{st.pid, st.start}] {
			return c
		}
	}
	return nil
}

// numberReused notes that the kernel has given a pid away again, which it does
// only when nobody is left in the group and the session of that number.
func (s *Server) numberReused(pid int) {
	if old := s.byGroup[pid]; old != nil {
		old.gone = true
		delete(s.byGroup, pid)
	}
}

// newestOf is the youngest child of a stream that a process with the given
// start can descend from.
func (s *Server) newestOf(stream string, start uint64) *child {
	var newest *child
	for _, c := range s.live {
		if c.stream == stream && stream != "" && c.ticks <= start && (newest == nil || c.id > newest.id) {
			newest = c
		}
	}
	return newest
}

// strays lists the living processes that belong to c besides its group's:
// complete only as far as nothing forks meanwhile.
func (s *Server) strays(c *child) []procStat {
	var found []procStat
	seen := map[int]bool{c.pid: true}
	if c.cgroup != nil {
		for _, pid := range procsIn(c.cgroup.dir) {
			if st, err := readStat(pid); err == nil && !st.dead() && !seen[pid] {
				seen[pid] = true
				found = append(found, st)
			}
		}
		return found
	}
	var walk func(pid int)
	walk = func(pid int) {
		for _, p := range childrenOf(pid) {
			if seen[p] || s.byPID[p] != nil {
				continue
			}
			seen[p] = true
			if st, err := readStat(p); err == nil && !st.dead() {
				found = append(found, st)
			}
			walk(p)
		}
	}
	if c.exited == nil {
		walk(c.pid)
	}
	for _, o := range s.orphans {
		if o.owner != c || seen[o.pid] {
			continue
		}
		st, err := readStat(o.pid)
		if err != nil || st.start != o.start || st.dead() {
			continue
		}
		seen[o.pid] = true
		found = append(found, st)
		walk(o.pid)
	}
	return found
}

// groupSignal signals the group of c; unix.ESRCH where there is none left.
// From Linux 6.9 on a pidfd names the group and no other can be hit. Before,
// once the main process is reaped, the number is only ours for as long as
// somebody is in the group; so somebody has to be seen in it.
func (s *Server) groupSignal(c *child, sig unix.Signal) error {
	if c.gone {
		return unix.ESRCH
	}
	err := error(unix.EINVAL)
	if !s.oldKernel && c.fd >= 0 {
		err = unix.PidfdSendSignal(c.fd, sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
	}
	if err == unix.EINVAL {
		s.oldKernel = true
		err = unix.ESRCH
		if c.exited == nil || s.seenInGroup(c) {
			err = unix.Kill(-c.pid, sig)
		}
	}
	if err == unix.ESRCH && c.exited != nil {
		c.gone = true
	}
	return err
}

// seenInGroup: a process that descends from us and started after c is in the
// group numbered c.pid.
func (s *Server) seenInGroup(c *child) bool {
	for _, o := range s.orphans {
		if o.owner != c {
			continue
		}
		if st, err := readStat(o.pid); err == nil && st.start == o.start && st.group == c.pid {
			return true
		}
	}
	for _, st := range s.strays(c) {
		if st.group == c.pid {
			return true
		}
	}
	return false
}

// checkEmpty tells the keeper when nothing of c is left.
func (s *Server) checkEmpty(c *child) {
	if c.exited == nil || c.empty || c.starting {
		return
	}
	if c.cgroup != nil && !s.cgroupEmpty(c) || c.cgroup == nil && !s.groupGone(c) {
		return
	}
	c.empty, c.known, c.hit = true, nil, nil
	c.closePIDFD()
	delete(s.live, c.id)
	if s.byGroup[c.pid] == c {
		delete(s.byGroup, c.pid)
	}
	if !c.failed {
		s.tell(&message{Type: msgEmpty, ID: c.id, Stream: text(c.stream), At: time.Now().UnixNano()})
	}
	s.dropIfDone(c)
}

// groupGone: nothing of c is left in its group, nor among the orphans that may
// be its.
func (s *Server) groupGone(c *child) bool {
	for _, o := range s.orphans {
		undecided := !o.decided && time.Since(o.seen) < inspectWait && o.start >= c.ticks
		if (o.owner == c || undecided) && exists(o.pid) {
			return false
		}
	}
	return s.groupSignal(c, 0) == unix.ESRCH
}
