package procmon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// Hierarchy is how a machine has its cgroups mounted (systemd's terms).
type Hierarchy string

const (
	HierarchyUnified Hierarchy = "unified" // version 2 alone
	HierarchyHybrid  Hierarchy = "hybrid"  // version 2 without controllers, beside version 1
	HierarchyLegacy  Hierarchy = "legacy"  // version 1 alone
)

// Cgroup is where a process is.
type Cgroup struct {
	Hierarchy Hierarchy
	// Path begins with a slash, as /proc/PID/cgroup has it: that of version
	// 2, in a legacy hierarchy that of systemd's own (name=systemd). Where
	// the process sits in a cgroup namespace of another it may begin with
	// "/..".
	Path string
	// Deleted: the cgroup has been removed; the process is a zombie.
	Deleted bool
}

// ErrNoCgroup is the error for a machine without cgroups, or with none that
// systemd manages.
var ErrNoCgroup = errors.New("no cgroup")

// OwnCgroup answers where this process is.
func OwnCgroup() (Cgroup, error) { return CgroupOf(os.Getpid()) }

// CgroupOf answers where a process is; ErrGone if there is no such process.
func CgroupOf(pid int) (Cgroup, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return Cgroup{}, err
	}
	return cgroupOf(fs, pid)
}

func cgroupOf(fs procfs.FS, pid int) (Cgroup, error) {
	proc, err := fs.Proc(pid)
	if err != nil {
		if vanished(err) {
			err = ErrGone
		}
		return Cgroup{}, fmt.Errorf("cannot find the cgroup of process %d: %w", pid, err)
	}
	lines, err := proc.Cgroups()
	if err == nil {
		var c Cgroup
		if c, err = place(lines); err == nil {
			return c, nil
		}
	} else if vanished(err) {
		err = ErrGone
	}
	return Cgroup{}, fmt.Errorf("cannot find the cgroup of process %d: %w", pid, err)
}

// place decides by the lines of /proc/PID/cgroup (cgroups(7)): "0::PATH" is
// that of version 2, any other number one of version 1. The kernel shows the
// first also where version 2 is mounted and nobody uses it: all processes are
// in its root then, and systemd's own line tells more.
func place(lines []procfs.Cgroup) (Cgroup, error) {
	var unified, systemd string
	v1 := false
	for _, l := range lines {
		if l.HierarchyID == 0 && len(l.Controllers) == 0 {
			unified = l.Path
			continue
		}
		v1 = true
		if slices.Contains(l.Controllers, "name=systemd") {
			systemd = l.Path
		}
	}
	c := Cgroup{Hierarchy: HierarchyUnified, Path: unified}
	switch {
	case v1 && systemd != "" && (unified == "" || unified == "/" && systemd != "/"):
		c = Cgroup{Hierarchy: HierarchyLegacy, Path: systemd}
	case v1:
		c.Hierarchy = HierarchyHybrid
	}
	c.Path, c.Deleted = strings.CutSuffix(c.Path, " (deleted)")
	if !strings.HasPrefix(c.Path, "/") {
		return Cgroup{}, ErrNoCgroup
	}
	return c, nil
}

// Dir is the directory of the cgroup where everybody mounts it
// (file-hierarchy(7)); "" where it lies outside of our cgroup namespace.
func (c Cgroup) Dir() string {
	root := map[Hierarchy]string{
		HierarchyUnified: "/sys/fs/cgroup",
		HierarchyHybrid:  "/sys/fs/cgroup/unified",
		HierarchyLegacy:  "/sys/fs/cgroup/systemd",
	}[c.Hierarchy]
	if root == "" || slices.Contains(strings.Split(c.Path, "/"), "..") {
		return ""
	}
	return path.Join(root, c.Path)
}

// CPUStat is cpu.stat of a cgroup of version 2. It has the times without any
// controller; the throttling only where there is a limit.
type CPUStat struct {
	Usage, User, System time.Duration
	Periods, Throttled  uint64
	ThrottledTime       time.Duration
}

// ReadCPUStat reads cpu.stat in the directory of a cgroup of version 2.
func ReadCPUStat(dir string) (CPUStat, error) {
	var r fileReader
	return r.cpuStat(dir)
}

func (r *fileReader) cpuStat(dir string) (CPUStat, error) {
	v, err := r.keys(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return CPUStat{}, err
	}
	usec := func(key string) time.Duration { return time.Duration(v[key]) * time.Microsecond }
	return CPUStat{
		Usage: usec("usage_usec"), User: usec("user_usec"), System: usec("system_usec"),
		Periods: v["nr_periods"], Throttled: v["nr_throttled"], ThrottledTime: usec("throttled_usec"),
	}, nil
}

// MemoryEvents is memory.events of a cgroup of version 2: how often each has
// happened in it and below.
type MemoryEvents struct {
	Low, High, Max, OOM, OOMKill uint64
}

// ReadMemoryEvents reads memory.events in the directory of a cgroup of
// version 2. Without the memory controller there is none: os.ErrNotExist.
func ReadMemoryEvents(dir string) (MemoryEvents, error) {
	var r fileReader
	return r.memoryEvents(dir)
}

func (r *fileReader) memoryEvents(dir string) (MemoryEvents, error) {
	v, err := r.keys(filepath.Join(dir, "memory.events"))
	if err != nil {
		return MemoryEvents{}, err
	}
	return MemoryEvents{v["low"], v["high"], v["max"], v["oom"], v["oom_kill"]}, nil
}

// ReadMemoryCurrent reads memory.current, in bytes, in the directory of a
// cgroup of version 2. Without the memory controller there is none:
// os.ErrNotExist.
func ReadMemoryCurrent(dir string) (uint64, error) {
	var r fileReader
	name := filepath.Join(dir, memoryCurrent)
	text, err := r.read(name)
	if err != nil {
		return 0, err
	}
	n, err := parseNumber(text)
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return n, nil
}

const memoryCurrent = "memory.current"

func parseNumber(text []byte) (uint64, error) {
	return strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
}

func (r *fileReader) keys(name string) (map[string]uint64, error) {
	text, err := r.read(name)
	if err != nil {
		return nil, err
	}
	values, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	return values, nil
}

// parseKeys reads the kernel's "flat keyed" form, lines of "KEY VALUE"
// (Documentation/admin-guide/cgroup-v2.rst).
func parseKeys(text []byte) (map[string]uint64, error) {
	values := make(map[string]uint64)
	for line := range bytes.Lines(text) {
		key, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		if !ok {
			return nil, fmt.Errorf("no value in line %q", line)
		}
		n, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		values[string(key)] = n
	}
	return values, nil
}
