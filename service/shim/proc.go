package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of start times in /proc/PID/stat: USER_HZ, which
// is 100 on every architecture that Go knows.
const ticksPerSecond = 100

// procStat is what we need of /proc/PID/stat (proc(5)). All of it stays
// readable in a zombie.
type procStat struct {
	pid, ppid, group, session int
	state                     byte   // R S D T t Z X ...
	start                     uint64 // clock ticks since boot; tells two users of one pid apart
	// envEnd is where its environment ends in memory; 0 in the middle of an
	// exec, in a zombie, and where we may not know.
	envEnd uint64
}

func (s *procStat) dead() bool { return s.state == 'Z' || s.state == 'X' }

// readStat reads /proc/PID/stat; unix.ESRCH where there is no such process.
func readStat(pid int) (procStat, error) {
	var buf [1024]byte
	data, err := readProc("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return procStat{}, err
	}
	return parseStat(data)
}

// readProc reads a small file of /proc into buf, in one read(2) so that it is
// of one moment. Of os.File it has no use: that would register with the poller.
func readProc(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		err = unix.ESRCH
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// parseStat parses the one line of /proc/PID/stat. The name, in parentheses,
// may hold anything, parentheses and newlines too.
func parseStat(line []byte) (procStat, error) {
	var s procStat
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return s, errors.New("not a /proc/PID/stat line")
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line[:open])))
	if err != nil {
		return s, fmt.Errorf("pid in /proc/PID/stat: %w", err)
	}
	f := bytes.Fields(line[end+1:])
	const stateField = 3 // counted from 1, as proc(5) does
	if len(f) < 22-stateField+1 || len(f[0]) != 1 {
		return s, errors.New("short /proc/PID/stat line")
	}
	s.pid, s.state = pid, f[0][0]
	for field, to := range map[int]*int{4: &s.ppid, 5: &s.group, 6: &s.session} {
		if *to, err = strconv.Atoi(string(f[field-stateField])); err != nil {
			return s, fmt.Errorf("field %d of /proc/PID/stat: %w", field, err)
		}
	}
	if s.start, err = strconv.ParseUint(string(f[22-stateField]), 10, 64); err != nil {
		return s, fmt.Errorf("field 22 of /proc/PID/stat: %w", err)
	}
	if len(f) > 51-stateField {
		if s.envEnd, err = strconv.ParseUint(string(f[51-stateField]), 10, 64); err != nil {
			return s, fmt.Errorf("field 51 of /proc/PID/stat: %w", err)
		}
	}
	return s, nil
}

// bootTicks is the time since boot in the unit of procStat.start.
func bootTicks() uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano()) / (1e9 / ticksPerSecond)
}

// childrenOfThread lists the children of one thread; unix.ESRCH where it is
// gone. The kernel may leave some out only if another one is reaped meanwhile.
func childrenOfThread(pid, tid int) ([]int, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/task/%d/children", pid, tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		err = unix.ESRCH
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	var data []byte
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		data = append(data, buf[:n]...)
		if n == len(buf) {
			buf = make([]byte, 4*len(buf))
		}
	}
	return parsePIDs(data)
}

func parsePIDs(data []byte) ([]int, error) {
	var pids []int
	for _, f := range bytes.Fields(data) {
		pid, err := strconv.Atoi(string(f))
		if err != nil || pid <= 0 {
			return pids, fmt.Errorf("list of children: %q", f)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// threads lists the threads of a process.
func threads(pid int) ([]int, error) { return numbersIn("/proc/" + strconv.Itoa(pid) + "/task") }

// numbersIn lists the entries of a directory of /proc that are numbers.
func numbersIn(dir string) ([]int, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			out = append(out, n)
		}
	}
	return out, nil
}

// childrenOf lists the children of all threads of a process; none where it is
// gone.
func childrenOf(pid int) []int {
	tids, err := threads(pid)
	if err != nil {
		return nil
	}
	var pids []int
	for _, tid := range tids {
		p, err := childrenOfThread(pid, tid)
		if err == nil {
			pids = append(pids, p...)
		}
	}
	return pids
}

// streamOf is the value of FFKEEPER_STREAM in a process's environment. It can
// block for as long as the process is stuck in the kernel with its memory map
// locked; never call it on the server's goroutine.
func streamOf(pid int) (string, bool) {
	// In the middle of an exec the environment reads as empty. It is only if it
	// lies at the same place before and after.
	var before procStat
	for deadline := time.Now().Add(inspectWait / 2); ; time.Sleep(time.Millisecond) {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil {
			return "", false
		}
		for v := range strings.SplitSeq(string(data), "\x00") {
			if s, ok := strings.CutPrefix(v, streamVariable+"="); ok {
				return s, true
			}
		}
		st, err := readStat(pid)
		settled := st.envEnd != 0 && st.envEnd == before.envEnd
		if len(data) > 0 || err != nil || st.dead() || settled || time.Now().After(deadline) {
			return "", false
		}
		before = st
	}
}

// pidfdsHeld is the set of processes this process holds a pidfd of. Go's
// os.Process holds one from the fork (CLONE_PIDFD) until Wait or Release.
func pidfdsHeld() (map[int]bool, error) {
	fds, err := numbersIn("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	held := map[int]bool{}
	var buf [1024]byte
	for _, fd := range fds {
		name := strconv.Itoa(fd)
		link, err := os.Readlink("/proc/self/fd/" + name)
		if err != nil || !strings.Contains(link, "pidfd") { // anon_inode:[pidfd]; since Linux 6.9 pidfd:[N]
			continue
		}
		info, err := readProc("/proc/self/fdinfo/"+name, buf[:])
		if err != nil {
			continue
		}
		for line := range bytes.Lines(info) {
			if rest, ok := bytes.CutPrefix(line, []byte("Pid:")); ok {
				if pid, err := strconv.Atoi(string(bytes.TrimSpace(rest))); err == nil {
					held[pid] = true
				}
			}
		}
	}
	return held, nil
}

// ignoredSignals is the set of signals this process ignores, signal n as bit
// n-1.
func ignoredSignals() (uint64, error) {
	var buf [8192]byte
	data, err := readProc("/proc/self/status", buf[:])
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("SigIgn:")); ok {
			return strconv.ParseUint(string(bytes.TrimSpace(rest)), 16, 64)
		}
	}
	return 0, errors.New("no SigIgn in /proc/self/status")
}
