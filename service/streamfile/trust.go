package streamfile

import (
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links one path may lead over, as in the kernel
// (path_resolution(7)).
const maxLinks = 40

// othersWrite are the bits that let others than the owner write. The group
// counts too, root's included: who is in it is nobody's to know here.
const othersWrite = 0o022

// trust judges whether anybody but root and the owners could change what a
// stream runs: by what the files' paths lead over, for whoever can write to a
// directory can exchange what is in it. What has been judged cannot be
// exchanged afterwards by anybody it is judged against. nil trusts everything.
type trust struct {
	owners []uint32
	dirs   map[string]*problem // judged before; nil: trusted
	own    map[string]bool     // what belongs to one of the owners, and not to root
}

// newTrust takes this process's own user where owners is nil.
func newTrust(owners []uint32) *trust {
	if owners == nil {
		owners = []uint32{uint32(os.Geteuid())}
	}
	return &trust{owners: owners, dirs: map[string]*problem{}, own: map[string]bool{}}
}

// directory judges one whose entries all count: that others may add to it is
// enough to refuse it, be it sticky or not.
func (t *trust) directory(path string) *problem {
	if t == nil {
		return nil
	}
	if p := t.walk(path); p != nil {
		return p
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() && info.Mode()&othersWrite != 0 {
		return writable(path, info.Mode())
	}
	return nil
}

// file judges a file and the directory it is in.
func (t *trust) file(path string) *problem {
	if t == nil {
		return nil
	}
	if p := t.directory(filepath.Dir(path)); p != nil {
		return p
	}
	return t.walk(path)
}

// walk judges all that an absolute path leads over, links and where they lead
// to as well. What is not there, or out of reach, is for the reading to find.
func (t *trust) walk(path string) *problem {
	left := strings.Split(filepath.Clean(path), "/")[1:]
	at := "/"
	if p := t.step(at); p != nil {
		return p
	}
	for links := 0; len(left) > 0; {
		name := left[0]
		left = left[1:]
		if name == "" {
			continue
		}
		if name == ".." { // of a link; at is free of links
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		target, err := os.Readlink(next)
		if p := t.step(next); p != nil {
			return p
		}
		if err != nil {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return nil
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		left = append(strings.Split(target, "/"), left...)
	}
	return nil
}

// step judges one path by itself. A directory that others may write to is no
// harm on the way if it is sticky, as /tmp is: there nobody can exchange what
// belongs to somebody else.
func (t *trust) step(path string) *problem {
	if p, ok := t.dirs[path]; ok {
		return p
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	p := t.judge(path, info)
	if info.IsDir() {
		t.dirs[path] = p
	}
	return p
}

func (t *trust) judge(path string, info fs.FileInfo) *problem {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if st.Uid != 0 {
		if !slices.Contains(t.owners, st.Uid) {
			return wrong("chown root "+printable(path), "%s belongs to %s, and what is in a stream file runs", printable(path), userText(st.Uid))
		}
		t.own[path] = true
	}
	switch mode := info.Mode(); {
	case mode&othersWrite == 0, mode&fs.ModeSymlink != 0: // a link's mode means nothing
	case mode.IsDir() && mode&fs.ModeSticky != 0:
	case mode.IsDir(), mode.IsRegular():
		return writable(path, mode)
	}
	return nil
}

func writable(path string, mode fs.FileMode) *problem {
	bits := mode.Perm()
	sticky := "0"
	if mode&fs.ModeSticky != 0 {
		sticky = "1"
	}
	return wrong("chmod go-w "+printable(path), "others may write to %s (mode %s%03o), and what is in a stream file runs", printable(path), sticky, bits)
}

// owned are the paths that belong to one of the owners and not to root, sorted.
func (t *trust) owned() []string {
	if t == nil {
		return nil
	}
	var all []string
	for path := range t.own {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

func userText(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return printable(u.Username)
	}
	return "uid " + id
}
