package shim

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spawn starts a process and calls done, later and on this goroutine. It takes
// over extra.
//
// A fork blocks this thread, and with it sooner or later every other of a Go
// program, until the child has changed its directory and executed its program:
// on a dead file server, for ever. So another goroutine finds out first where
// program and directory are, and what is on a file server is left to the exec
// helper, which is a process of its own. There its cgroup is made too, which
// may have to be emptied first.
func (s *Server) spawn(req *SpawnRequest, extra []int, done func(*child, error)) {
	if err := req.check(); err != nil {
		closeAll(extra)
		done(nil, &SpawnError{Path: req.Path, Op: "check the request", Err: err})
		return
	}
	s.probing++
	var g *cgroup
	if s.cgroups != nil {
		g = s.cgroups.claim(req.Stream)
	}
	var once sync.Once
	proceed := func(p *probe) (first bool) {
		once.Do(func() {
			first = true
			ok := s.post(func() {
				s.probing--
				s.spawnProbed(req, p, extra, done)
				s.answerHello()
			})
			if !ok {
				closeAll(extra)
			}
		})
		return first
	}
	timeout := time.AfterFunc(helperWait, func() {
		proceed(&probe{err: &SpawnError{Path: req.Path, Op: "look for it and " + req.Dir, Err: syscall.ETIMEDOUT}})
	})
	go func() {
		p := s.probe(req, g)
		timeout.Stop()
		if !proceed(p) && g != nil {
			s.post(g.discard) // not before now: it was still being made
		}
	}()
}

// spawnProbed goes on when it is known where everything is.
func (s *Server) spawnProbed(req *SpawnRequest, found *probe, extra []int, done func(*child, error)) {
	defer closeAll(extra)
	g, path := found.cgroup, found.path
	defer func() {
		if g != nil && g.child == nil {
			g.discard()
		}
	}()
	for _, w := range found.warnings {
		s.warn("%w", w)
	}
	if found.err != nil {
		done(nil, found.err)
		return
	}
	if s.stopping != nil || s.leaving {
		done(nil, &SpawnError{Path: path, Op: "spawn", Err: errors.New("the shim is about to leave")})
		return
	}
	p, err := s.openEnds(req, extra)
	if err != nil {
		done(nil, &SpawnError{Path: path, Op: "make its pipes", Err: err})
		return
	}
	defer p.closeChildSide()
	req.Path, req.Env = path, streamEnv(req)
	p.cgroup = g
	if req.needsHelper() || found.remote && s.cfg.Helper != "" || g != nil && g.tree.notInto != nil {
		s.spawnThroughHelper(req, p, done)
		return
	}
	c, err := s.fork(req, path, req.Argv, req.Env, req.Dir, p)
	if err != nil {
		p.closeOurSide()
		done(nil, err)
		return
	}
	if err := s.follow(c); err != nil {
		s.abandon(c)
		done(nil, &SpawnError{Path: path, Op: "follow it", Err: err})
		return
	}
	done(c, nil)
}

// fork starts a process on this very thread and takes it into the tables. The
// ends in p become the child's.
func (s *Server) fork(r *SpawnRequest, path string, argv, env []string, dir string, p *pipes) (*child, error) {
	pidfd := -1
	files := make([]uintptr, len(p.child))
	for i, fd := range p.child {
		files[i] = uintptr(fd)
	}
	if dir == "" {
		dir = "/"
	}
	ticks, started := bootTicks(), time.Now()
	attr := &syscall.ProcAttr{
		Dir: dir, Env: env, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
	}
	pid, err := forkInto(p.cgroup, path, argv, attr)
	// Before anybody hears of the child: what it has closed would seem open.
	p.closeChildSide()
	if err != nil {
		return nil, forkError(path, dir, err)
	}
	s.lastID++
	c := &child{
		id: s.lastID, stream: r.Stream, pid: pid, started: started, ticks: ticks,
		fd: pidfd, ends: p.ours, log: r.StdoutLog,
	}
	s.numberReused(pid)
	if g := p.cgroup; g != nil {
		g.child, c.cgroup = c, g
	}
	s.children[c.id], s.live[c.id] = c, c
	s.byPID[pid], s.byGroup[pid] = c, c
	return c, nil
}

// forkInto forks in the cgroup g, if there is one and that can be done.
func forkInto(g *cgroup, path string, argv []string, attr *syscall.ProcAttr) (int, error) {
	if g == nil || g.tree.notInto != nil {
		return syscall.ForkExec(path, argv, attr)
	}
	fd, err := unix.Open(g.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fd
	return syscall.ForkExec(path, argv, attr)
}

// follow begins to await the end of a child that was just forked.
func (s *Server) follow(c *child) error {
	err := unix.SetNonblock(c.fd, true)
	if err == nil {
		c.pidfd = os.NewFile(uintptr(c.fd), "pidfd")
		err = s.watch(c)
	}
	return err
}

// forkError tells a failed chdir from a failed exec from a failed fork, which
// all come back as a bare errno.
func forkError(path, dir string, err error) error {
	switch err {
	case syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE:
		return &SpawnError{Path: path, Op: "fork", Err: err}
	}
	var st unix.Stat_t
	if dirErr := unix.Stat(dir, &st); dirErr != nil {
		return &SpawnError{Path: path, Op: "chdir " + dir, Err: dirErr}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return &SpawnError{Path: path, Op: "chdir " + dir, Err: syscall.ENOTDIR}
	}
	if err == syscall.EACCES && unix.Access(dir, unix.X_OK) != nil {
		return &SpawnError{Path: path, Op: "chdir " + dir, Err: err}
	}
	return execError(path, err)
}
