package shim

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// headroom is the number of descriptors a spawn leaves free: without any the
// shim could not look for orphans, nor take a new keeper.
const headroom = 32

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

// probe is what has to be known, or made, before a fork.
type probe struct {
	path     string
	remote   bool // it or the directory is on a file server
	cgroup   *cgroup
	warnings []error
	err      error
}

// probe is for a goroutine that may be stuck. It makes g, if that is not nil.
func (s *Server) probe(req *SpawnRequest, g *cgroup) *probe {
	p := &probe{cgroup: g}
	if p.path, p.err = lookPath(req); p.err != nil {
		return p
	}
	p.remote = onFileServer(p.path) || onFileServer(req.Dir)
	if g == nil {
		if req.Cgroup != nil {
			p.warnings = req.Cgroup.apply(req.Stream, "", nil)
		}
		return p
	}
	p.warnings, p.err = g.prepare(req, s.cgroupChanged(g))
	return p
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

// check validates what does not need the kernel.
func (r *SpawnRequest) check() error {
	if len(r.Argv) == 0 {
		return errors.New("argv is empty")
	}
	if len(r.Stream) > maxName || strings.ContainsAny(r.Stream, "\n") {
		return fmt.Errorf("bad stream name %q", r.Stream)
	}
	if strings.HasPrefix(r.Stream, ".") || strings.Contains(r.Stream, "/") {
		return fmt.Errorf("stream name %q cannot be a directory's", r.Stream)
	}
	if r.Path == "" {
		r.Path = r.Argv[0]
	}
	for _, list := range [][]string{r.Argv, r.Env, {r.Path, r.Dir, r.Stream}} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return fmt.Errorf("NUL byte in %q: %w", v, unix.EINVAL)
			}
		}
	}
	for _, k := range []*StdioKind{&r.Stdin, &r.Stdout, &r.Stderr} {
		switch *k {
		case "":
			*k = Null
		case Null, Pipe:
		case Socket:
			if k != &r.Stdin {
				return errors.New("only stdin can be a socket")
			}
		default:
			return fmt.Errorf("unknown stdio kind %q", *k)
		}
	}
	if err := r.checkSettings(); err != nil {
		return err
	}
	return r.Cgroup.check()
}

// streamEnv is the child's environment, with the variable that marks it.
func streamEnv(r *SpawnRequest) []string {
	if r.Stream == "" {
		return r.Env
	}
	for _, v := range r.Env {
		if strings.HasPrefix(v, streamVariable+"=") {
			return r.Env
		}
	}
	return append(r.Env[:len(r.Env):len(r.Env)], streamVariable+"="+r.Stream)
}

// defaultPath is where a bare program name is looked for without a PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookPath finds the program of a request; one with a slash is left to execve.
func lookPath(r *SpawnRequest) (string, error) {
	if strings.Contains(r.Path, "/") {
		return r.Path, nil
	}
	dirs := defaultPath
	for _, v := range r.Env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			dirs = p
		}
	}
	why := error(syscall.ENOENT)
	for dir := range strings.SplitSeq(dirs, ":") {
		if !strings.HasPrefix(dir, "/") { // "" or relative: never from the working directory
			continue
		}
		path := dir + "/" + r.Path
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
		why = syscall.EACCES
	}
	return "", execError(r.Path, why)
}

// onFileServer: path is on a file system that another machine, or another
// process, may keep from answering. Magic numbers from statfs(2).
func onFileServer(path string) bool {
	var st unix.Statfs_t
	if path == "" || unix.Statfs(path, &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		unix.CEPH_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC:
		return true
	}
	return false
}

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
