package shim

import "golang.org/x/sys/unix"

// headroom is the number of descriptors a spawn leaves free: without any the
// shim could not look for orphans, nor take a new keeper.
const headroom = 32

// pipes are the descriptors of one spawn: ours by end, the child's by number.
type pipes struct {
	ours  map[End]int
	child []int // fd 0, 1, 2, 3, ...; -1: closed
	made  []int // those of child to be closed after the fork

	cgroup *cgroup // where the child is born; nil: in ours
}

func (p *pipes) closeChildSide() { closeAll(p.made); p.made = nil }

func (p *pipes) closeOurSide() {
	for _, fd := range p.ours {
		unix.Close(fd)
	}
	p.ours = nil
}

// openEnds makes what the child's descriptors will be. Ours are non-blocking,
// the child's are blocking: they are different open file descriptions.
func (s *Server) openEnds(r *SpawnRequest, extra []int) (p *pipes, err error) {
	p = &pipes{ours: map[End]int{}}
	defer func() {
		if err != nil {
			p.closeChildSide()
			p.closeOurSide()
		}
	}()
	limit := descriptorLimit()
	add := func(e End, kind StdioKind) error {
		var pair [2]int
		var err error
		switch kind {
		case Null:
			p.child = append(p.child, s.null)
			return nil
		case Socket:
			pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		case Pipe:
			err = unix.Pipe2(pair[:], unix.O_CLOEXEC)
		}
		if err != nil {
			return err
		}
		ours, theirs := pair[0], pair[1]
		if kind == Pipe && e == Stdin {
			ours, theirs = theirs, ours
		}
		p.child = append(p.child, theirs)
		p.made = append(p.made, theirs)
		p.ours[e] = ours
		if uint64(max(ours, theirs))+headroom > limit {
			return unix.EMFILE
		}
		_, err = unix.FcntlInt(uintptr(ours), unix.F_SETFL, unix.O_NONBLOCK)
		return err
	}
	if err := add(Stdin, r.Stdin); err != nil {
		return p, err
	}
	if err := add(Stdout, r.Stdout); err != nil {
		return p, err
	}
	if err := add(Stderr, r.Stderr); err != nil {
		return p, err
	}
	switch {
	case r.Progress:
		if err := add(Progress, Pipe); err != nil {
			return p, err
		}
	case len(extra) > 0:
		p.child = append(p.child, -1) // extra files begin at 4 whatever 3 is
	}
	p.child = append(p.child, extra...)
	return p, nil
}

// descriptorLimit is our RLIMIT_NOFILE.
func descriptorLimit() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 1024
	}
	return r.Cur
}
