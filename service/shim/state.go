package shim

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Versions of what one program leaves to the next. Version 2 has cgroups; where
// there are none what is left is of version 1, which programs from before
// understand.
const (
	minStateVersion = 1
	maxStateVersion = 2
)

// stateVersion is that of what this server would leave.
func (s *Server) stateVersion() int {
	if s.cgroups == nil {
		return 1
	}
	return 2
}

// state is all a server knows, for the program that takes its place. The
// descriptors in it stay open across the exec, under the same numbers.
type state struct {
	V        int          `json:"v"`
	LastID   ID           `json:"last_id"`
	Children []stateChild `json:"children"`
	Owners   []stateOwner `json:"owners"` // of orphans
	Notes    []stateNote  `json:"notes"`
	Listener int          `json:"listener"`         // -1: none
	Keeper   int          `json:"keeper"`           // -1: none
	Seq      uint64       `json:"seq"`              // of the request to be answered; 0: nobody's
	Cgroup   text         `json:"cgroup,omitempty"` // root of the tree; "": none
}

type stateChild struct {
	ID        ID                `json:"id"`
	Stream    text              `json:"stream"`
	PID       int               `json:"pid"`
	Started   int64             `json:"started"`
	Ticks     uint64            `json:"ticks"`
	PIDFD     int               `json:"pidfd"` // -1: closed
	Ends      map[End]int       `json:"ends"`
	Log       bool              `json:"log"`
	Exited    *exitedBody       `json:"exited"`
	Gone      bool              `json:"gone"`
	Empty     bool              `json:"empty"`
	Forgotten bool              `json:"forgotten"`
	Failed    bool              `json:"failed"`
	Termed    bool              `json:"termed"`
	Killing   bool              `json:"killing"`
	Rings     map[End]stateRing `json:"rings"`
	Cgroup    text              `json:"cgroup,omitempty"` // its name below the root; "": none
}

type stateRing struct {
	Data    []byte `json:"data"`
	Dropped uint64 `json:"dropped"`
}

type stateOwner struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
	Owner ID     `json:"owner"`
}

type stateNote struct {
	Stream text   `json:"stream"`
	Blob   []byte `json:"blob"`
}

// state describes the server; seq is the request that the next program answers.
func (s *Server) state(seq uint64) *state {
	st := &state{V: s.stateVersion(), LastID: s.lastID, Listener: -1, Keeper: -1, Seq: seq}
	if s.cgroups != nil {
		st.Cgroup = text(s.cgroups.root)
	}
	for _, c := range s.sorted() {
		sc := stateChild{
			ID: c.id, Stream: text(c.stream), PID: c.pid, Started: c.started.UnixNano(), Ticks: c.ticks,
			PIDFD: c.fd, Ends: c.ends, Log: c.log, Exited: c.exited.body(), Gone: c.gone, Empty: c.empty,
			Forgotten: c.forgotten, Failed: c.failed, Termed: c.termed, Killing: c.killing, Rings: map[End]stateRing{},
		}
		if c.cgroup != nil {
			sc.Cgroup = text(c.cgroup.name)
		}
		for e, r := range c.rings {
			sc.Rings[e] = stateRing{r.data, r.dropped}
		}
		st.Children = append(st.Children, sc)
		for key := range c.known {
			st.Owners = append(st.Owners, stateOwner{key.pid, key.start, c.id})
		}
	}
	for _, o := range s.orphans {
		if o.owner != nil {
			st.Owners = append(st.Owners, stateOwner{o.pid, o.start, o.owner.id})
		}
	}
	for stream, blob := range s.notes {
		st.Notes = append(st.Notes, stateNote{text(stream), blob})
	}
	if s.listener != nil {
		st.Listener = s.listener.fd
	}
	if s.keeper != nil {
		st.Keeper = s.keeper.conn.fd
	}
	return st
}

// save writes the state to a memfd.
func (st *state) save() (int, error) {
	data, err := json.Marshal(st)
	if err != nil {
		return -1, err
	}
	return memfd("shim-state", data)
}

// descriptors are those that must stay open.
func (st *state) descriptors() []int {
	var fds []int
	add := func(fd int) {
		if fd >= 0 {
			fds = append(fds, fd)
		}
	}
	add(st.Listener)
	add(st.Keeper)
	for _, c := range st.Children {
		add(c.PIDFD)
		for _, fd := range c.Ends {
			add(fd)
		}
	}
	return fds
}

// Resume prepares a server that goes on from the state in the memfd fd, left by
// the program that this one has replaced. cfg.Conn, cfg.Listener and cfg.Cgroup
// are not used.
func Resume(cfg Config, fd int) (*Server, error) {
	data, err := readMemfd(fd, 1<<30)
	unix.Close(fd)
	if err != nil {
		return nil, fmt.Errorf("cannot go on: %w", err)
	}
	st, err := parseState(data)
	if err != nil {
		return nil, fmt.Errorf("cannot go on: %w", err)
	}
	setCloseOnExec(st.descriptors(), true)
	cfg.Conn, cfg.Listener, cfg.Cgroup = 0, 0, false
	s, err := NewServer(cfg)
	if err != nil {
		return nil, err
	}
	s.resumed = st
	return s, nil
}

func parseState(data []byte) (*state, error) {
	st := new(state)
	if err := json.Unmarshal(data, st); err != nil {
		return nil, fmt.Errorf("state of the program before: %w", err)
	}
	if st.V < minStateVersion || st.V > maxStateVersion {
		return nil, fmt.Errorf("state of the program before is of version %d, not %d to %d", st.V, minStateVersion, maxStateVersion)
	}
	return st, nil
}

// restore takes up what the program before has left.
func (s *Server) restore(st *state) error {
	s.lastID = st.LastID
	if st.Cgroup != "" {
		tree, err := resumeCgroup(string(st.Cgroup))
		if err != nil {
			s.warn("children get no control groups any more: %w", err)
		}
		s.useCgroups(tree)
	}
	for i := range st.Children {
		if err := s.restoreChild(&st.Children[i]); err != nil {
			return err
		}
	}
	for _, n := range st.Notes {
		s.notes[string(n.Stream)] = n.Blob
	}
	for _, o := range st.Owners {
		if c := s.children[o.Owner]; c != nil && !c.empty {
			if c.known == nil {
				c.known = map[procKey]bool{}
			}
			c.known[procKey{o.PID, o.Start}] = true
		}
	}
	if st.Listener >= 0 {
		if err := s.listen(st.Listener); err != nil {
			return err
		}
	}
	if st.Keeper < 0 {
		s.startDraining()
		return nil
	}
	if err := s.connect(st.Keeper); err != nil {
		return err
	}
	s.keeper.hello, s.keeper.greeted = new(helloBody), true
	if st.Seq != 0 {
		s.keeper.send(&message{Type: msgReexeced, Seq: st.Seq, Hello: s.hello()})
	}
	return nil
}

func (s *Server) restoreChild(sc *stateChild) error {
	c := &child{
		id: sc.ID, stream: string(sc.Stream), pid: sc.PID, started: time.Unix(0, sc.Started), ticks: sc.Ticks,
		fd: sc.PIDFD, ends: sc.Ends, log: sc.Log, exited: sc.Exited.event(), gone: sc.Gone, empty: sc.Empty,
		forgotten: sc.Forgotten, failed: sc.Failed, termed: sc.Termed, killing: sc.Killing,
	}
	if c.ends == nil {
		c.ends = map[End]int{}
	}
	for e, r := range sc.Rings {
		if c.rings == nil {
			c.rings = map[End]*ring{}
		}
		c.rings[e] = &ring{data: r.Data, dropped: r.Dropped}
	}
	s.children[c.id] = c
	if !c.empty {
		s.live[c.id] = c
		if !c.gone || s.byGroup[c.pid] == nil {
			s.byGroup[c.pid] = c
		}
		s.restoreCgroup(c, sc)
	}
	if c.fd < 0 {
		return nil
	}
	if c.exited != nil {
		c.pidfd = os.NewFile(uintptr(c.fd), "pidfd")
		return nil
	}
	s.byPID[c.pid] = c
	return s.follow(c)
}

// restoreCgroup goes on watching. What happened meanwhile the first reap sees.
func (s *Server) restoreCgroup(c *child, sc *stateChild) {
	name := string(sc.Cgroup)
	if name == "" || s.cgroups == nil {
		return
	}
	g := s.cgroups.adopt(name)
	g.child, c.cgroup = c, g
	if err := g.follow(s.cgroupChanged(g)); err != nil {
		s.warn("cannot watch control group %s: %w", g.dir, err)
	}
}
