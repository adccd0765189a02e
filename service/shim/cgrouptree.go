package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cgroupTree is the part of the cgroup v2 hierarchy that was handed to this
// process (systemd's Delegate=yes): below root it lives in a leaf of its own,
// for a cgroup with processes in it cannot pass controllers on, and every child
// in a directory beside that. Names and used are the server's goroutine's.
type cgroupTree struct {
	root        string             // absolute directory
	path        string             // the same as /proc/PID/cgroup has it
	controllers map[string]bool    // in force below root
	used        map[string]*cgroup // by directory name: those of living children, and of spawns in flight
	watch       *cgroupWatch       // nil: none, then the server's tick has to do
	slots       chan struct{}      // bounds the threads that wait for the kernel's one lock on all cgroups

	// notInto says why no child can be born in its cgroup: then the exec helper
	// moves there first thing, and every child is started through it.
	notInto error
}

const (
	leafName     = "shim"    // the shim's own
	streamSuffix = ".stream" // of the children's
)

// wantedControllers are enabled where they are there.
var wantedControllers = [...]string{"cpu", "memory", "pids", "io"}

// claimCgroup takes over the cgroup that this process was started in. Warnings
// are about controllers, without which some limits are not in force.
func claimCgroup() (t *cgroupTree, warnings []error, err error) {
	root, path, err := ownCgroup()
	if err != nil {
		return nil, nil, err
	}
	if unix.Access(root+"/cgroup.events", unix.F_OK) != nil { // cgroups(7): in every cgroup but the root
		return nil, nil, fmt.Errorf("%s is the root of all control groups, which is the system's", root)
	}
	leaf := root + "/" + leafName
	if err := unix.Mkdir(leaf, 0o755); err != nil && err != unix.EEXIST {
		return nil, nil, fmt.Errorf("cannot make %s: %w", leaf, err)
	}
	if populated(leaf) {
		return nil, nil, fmt.Errorf("another shim is in %s", leaf)
	}
	if err := writeFile(leaf+"/cgroup.procs", "0"); err != nil { // 0: the process that writes
		unix.Rmdir(leaf)
		return nil, nil, fmt.Errorf("cannot move into %s: %w", leaf, err)
	}
	have := words(root + "/cgroup.controllers")
	for _, name := range wantedControllers {
		if !have[name] {
			continue
		}
		if err := writeFile(root+"/cgroup.subtree_control", "+"+name); err != nil {
			warnings = append(warnings, fmt.Errorf("cannot use the %s controller in %s: %w", name, root, err))
		}
	}
	t = newCgroupTree(root, path)
	t.sweep()
	return t, warnings, nil
}

// resumeCgroup goes on with the tree that the program before has claimed.
func resumeCgroup(root string) (*cgroupTree, error) {
	leaf, path, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	if leaf != root+"/"+leafName {
		return nil, fmt.Errorf("this process is in %s and not in %s", leaf, root)
	}
	return newCgroupTree(root, strings.TrimSuffix(path, "/"+leafName)), nil
}

func newCgroupTree(root, path string) *cgroupTree {
	return &cgroupTree{
		root: root, path: path, controllers: words(root + "/cgroup.subtree_control"),
		used: map[string]*cgroup{}, slots: make(chan struct{}, maxPreparing), notInto: noBirthInCgroup(),
	}
}

// noBirthInCgroup is nil if clone3(2) with CLONE_INTO_CGROUP (Linux 5.7) is
// there, which a sandbox may hide: systemd's RestrictNamespaces= answers ENOSYS.
// The descriptor given is no cgroup's, and no process is made.
func noBirthInCgroup() error {
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	args := struct { // struct clone_args of linux/sched.h
		flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
	}{flags: unix.CLONE_INTO_CGROUP, exitSignal: uint64(unix.SIGCHLD), cgroup: uint64(null)}
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	switch {
	case errno == 0 && pid == 0: // no kernel does this; but we would be twice
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	case errno == unix.EBADF:
		return nil
	}
	return errno
}

// sweep kills and removes what a shim before, killed with its children, has
// left; what is not gone at once is waited for when its name is needed.
func (t *cgroupTree) sweep() {
	for _, dir := range subdirs(t.root) {
		if name := dir[len(t.root)+1:]; strings.HasSuffix(name, streamSuffix) || strings.Contains(name, streamSuffix+".") {
			killTree(dir)
			removeTree(dir)
		}
	}
}

// claim reserves a directory for a child of a stream: no living child has it.
func (t *cgroupTree) claim(stream string) *cgroup {
	if stream == "" {
		stream = "unnamed"
	}
	base := stream + streamSuffix
	name := base
	for n := 2; t.used[name] != nil; n++ {
		name = base + "." + strconv.Itoa(n)
	}
	return t.adopt(name)
}

// adopt is claim for a name that is known to be free.
func (t *cgroupTree) adopt(name string) *cgroup {
	g := &cgroup{tree: t, name: name, dir: t.root + "/" + name, watch: -1}
	t.used[name] = g
	return g
}

// childIn is the child whose cgroup a process is in; nil: none's, or it cannot
// be told.
func (t *cgroupTree) childIn(pid int) *child {
	var buf [8192]byte
	data, err := readProc("/proc/"+strconv.Itoa(pid)+"/cgroup", buf[:])
	if err != nil {
		return nil
	}
	path, ok := unifiedPath(data)
	if !ok {
		return nil
	}
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(t.path, "/")+"/")
	if !ok {
		return nil
	}
	name, _, _ := strings.Cut(rest, "/")
	if g := t.used[name]; g != nil {
		return g.child
	}
	return nil
}

// ownCgroup is the cgroup v2 that this process is in: its directory, and its
// path as in /proc/PID/cgroup.
func ownCgroup() (dir, path string, err error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", "", err
	}
	path, ok := unifiedPath(own)
	if !ok {
		return "", "", errors.New("this kernel has no cgroup v2")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", "", err
	}
	for _, dir := range cgroupDirs(mounts, path) {
		if unix.Access(dir+"/cgroup.procs", unix.F_OK) == nil {
			return dir, path, nil
		}
	}
	return "", "", fmt.Errorf("control group %s is not within a mounted cgroup v2", path)
}

// unifiedPath is the path in the line "0::PATH" of /proc/PID/cgroup
// (cgroups(7)), which is that of version 2 whatever else is mounted.
func unifiedPath(data []byte) (string, bool) {
	for line := range bytes.Lines(data) {
		if path, ok := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\n")), []byte("0::")); ok {
			return strings.TrimSuffix(string(path), " (deleted)"), true
		}
	}
	return "", false
}

// cgroupDirs are the directories where a cgroup v2 can be found by the given
// /proc/PID/mountinfo (proc(5)), whose fields are: id, parent, device, root
// within the file system, mount point, options, any number of tags, "-", type,
// source, options.
func cgroupDirs(mountinfo []byte, path string) []string {
	var dirs []string
	for line := range strings.Lines(string(mountinfo)) {
		f := strings.Fields(line)
		if len(f) < 9 {
			continue
		}
		kind := ""
		for i := 6; i+1 < len(f); i++ {
			if f[i] == "-" {
				kind = f[i+1]
				break
			}
		}
		if kind != "cgroup2" {
			continue
		}
		root, point := strings.TrimSuffix(unescape(f[3]), "/"), strings.TrimSuffix(unescape(f[4]), "/")
		rest, ok := strings.CutPrefix(path, root)
		if !ok || rest != "" && rest[0] != '/' || strings.Contains(rest+"/", "/../") {
			continue
		}
		dirs = append(dirs, point+strings.TrimSuffix(rest, "/"))
	}
	return dirs
}

// unescape undoes the octal escapes of mountinfo: \040 is a blank.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
