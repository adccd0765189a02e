package procmon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Descendants answers the children of a process, theirs, and so on, parents
// before their children, itself not among them; zombies are. What has ended
// or begun meanwhile may be missing. The error is ErrGone if there is no such
// process.
func Descendants(pid int) ([]int, error) {
	if _, err := StartTime(pid); err != nil {
		return nil, err
	}
	var r reader
	all := []int{pid}
	known := map[int]bool{pid: true}
	for i := 0; i < len(all); i++ {
		children, err := r.children(all[i], true, new(threads))
		if err != nil {
			return nil, err
		}
		for _, child := range children {
			if !known[child] {
				known[child] = true
				all = append(all, child)
			}
		}
	}
	return all[1:], nil
}

// StartTime answers when a process was started, in clock ticks (1/100 s)
// since boot: with the pid it names a process for good. The error is ErrGone
// if there is no such process.
func StartTime(pid int) (uint64, error) {
	var r fileReader
	stat, err := r.readStat(pid)
	return stat.start, err
}

// vanished tells the errors that opening and reading a file of an ended
// process answer.
func vanished(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

func gone(pid int) error { return fmt.Errorf("process %d: %w", pid, ErrGone) }

// sinceBoot is the clock of start times.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// threads remembers of one process whether its threads other than the main
// one are worth being asked for children.
type threads struct {
	asked int  // how often it was looked at
	fork  bool // one of them had children
}

// due tells whether all threads are to be asked this time.
func (t threads) due(n int) bool {
	return n > 1 && (t.fork || t.asked == 0 || t.asked%6 == 2)
}

// reader reads the files under /proc/PID/task, which procfs does not know.
// They exist where the kernel has CONFIG_PROC_CHILDREN, as those of all
// distributions do; else no process has children.
type reader struct {
	file fileReader
	path []byte
	pids []int
}

// children answers the children of the main thread, or of every thread. The
// answer is valid until the next call. A process that has ended has none.
func (r *reader) children(pid int, all bool, t *threads) ([]int, error) {
	t.asked++
	r.pids = r.pids[:0]
	if err := r.read(pid, pid); err != nil || !all {
		return r.pids, err
	}
	ofMain := len(r.pids)
	names, err := r.threadNames(pid)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil && tid != pid {
			if err := r.read(pid, tid); err != nil {
				return nil, err
			}
		}
	}
	t.fork = len(r.pids) > ofMain
	return r.pids, nil
}

func (r *reader) threadNames(pid int) ([]string, error) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/task")
	if vanished(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the threads of process %d: %w", pid, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil && !vanished(err) {
		return nil, fmt.Errorf("cannot list the threads of process %d: %w", pid, err)
	}
	return names, nil
}

// read appends the children of one thread to r.pids.
func (r *reader) read(pid, tid int) error {
	r.path = strconv.AppendInt(append(r.path[:0], "/proc/"...), int64(pid), 10)
	r.path = strconv.AppendInt(append(r.path, "/task/"...), int64(tid), 10)
	r.path = append(r.path, "/children"...)
	fd, err := unix.Open(string(r.path), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return r.failed(err)
	}
	defer unix.Close(fd)
	text := r.file.buffer()
	var list pidList
	for {
		n, err := unix.Read(fd, text)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return r.failed(err)
		case n == 0:
			return nil
		}
		r.pids = list.feed(text[:n], r.pids)
	}
}

func (r *reader) failed(err error) error {
	if vanished(err) {
		return nil
	}
	return fmt.Errorf("cannot read %s: %w", r.path, err)
}

// pidList reads "12 345 ", decimal numbers with a space after each, in
// pieces that may be cut anywhere (proc_tid_children(5)).
type pidList struct {
	number int
	digits bool
}

func (l *pidList) feed(text []byte, pids []int) []int {
	for _, c := range text {
		if c >= '0' && c <= '9' {
			l.number, l.digits = l.number*10+int(c-'0'), true
		} else if l.digits {
			pids = append(pids, l.number)
			*l = pidList{}
		}
	}
	return pids
}
