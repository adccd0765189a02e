package shim

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

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
