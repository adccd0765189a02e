package shim

import (
	"bytes"
	"strconv"
	"time"
)

// treeAge is how long a list of descendants serves the I/O counters: walking
// the threads of an encoder costs ten times what its counters do.
const treeAge = 30 * time.Second

// ioReader reads counters on a goroutine of its own: some microseconds a child,
// a thousand children at a time.
type ioReader struct {
	s    *Server
	jobs chan ioJob
	done chan struct{}
	// trees are the descendants of main processes as seen last.
	trees map[procKey]tree
}

type tree struct {
	pids []procKey
	at   time.Time
}

type ioJob struct {
	keeper *keeper
	seq    uint64
	procs  map[ID]procKey // main processes, with the start of the child
}

// maxIOJobs wait at most; a keeper that asks faster is refused.
const maxIOJobs = 16

func newIOReader(s *Server) *ioReader {
	r := &ioReader{s: s, jobs: make(chan ioJob, maxIOJobs), done: make(chan struct{}), trees: map[procKey]tree{}}
	go r.run()
	return r
}

// stop ends the reader once it has answered what it was asked, or is stuck.
func (r *ioReader) stop() {
	close(r.jobs)
	select {
	case <-r.done:
	case <-time.After(lastWords):
	}
}

func (r *ioReader) run() {
	defer close(r.done)
	for job := range r.jobs {
		answer := &message{Type: msgIO, Seq: job.seq, IO: map[ID]IO{}}
		for id, proc := range job.procs {
			if sum, ok := r.sum(proc); ok {
				answer.IO[id] = sum
			}
		}
		r.prune(time.Now())
		job.keeper.send(answer)
	}
}

// sum adds up the counters of a process and its living descendants.
func (r *ioReader) sum(proc procKey) (IO, bool) {
	total, ok := readIO(proc.pid)
	if !ok {
		return IO{}, false
	}
	t, known := r.trees[proc]
	if !known || time.Since(t.at) > treeAge {
		t = tree{pids: descendants(proc.pid), at: time.Now()}
		r.trees[proc] = t
	}
	for _, p := range t.pids {
		if st, err := readStat(p.pid); err != nil || st.start != p.start {
			continue
		}
		if io, ok := readIO(p.pid); ok {
			total.ReadChars += io.ReadChars
			total.WriteChars += io.WriteChars
			total.ReadBytes += io.ReadBytes
			total.WriteBytes += io.WriteBytes
		}
	}
	return total, true
}

// prune drops the trees of processes nobody has asked about for a while.
func (r *ioReader) prune(now time.Time) {
	for k, t := range r.trees {
		if now.Sub(t.at) > 2*treeAge {
			delete(r.trees, k)
		}
	}
}

// descendants lists all living descendants of a process.
func descendants(pid int) []procKey {
	var found []procKey
	seen := map[int]bool{pid: true}
	var walk func(int)
	walk = func(pid int) {
		for _, p := range childrenOf(pid) {
			if seen[p] {
				continue
			}
			seen[p] = true
			if st, err := readStat(p); err == nil && !st.dead() {
				found = append(found, procKey{p, st.start})
			}
			walk(p)
		}
	}
	walk(pid)
	return found
}

// readIO reads /proc/PID/io.
func readIO(pid int) (IO, bool) {
	var buf [512]byte
	data, err := readProc("/proc/"+strconv.Itoa(pid)+"/io", buf[:])
	if err != nil {
		return IO{}, false
	}
	return parseIO(data)
}

// parseIO parses /proc/PID/io (proc(5)): lines of "name: number".
func parseIO(data []byte) (IO, bool) {
	var io IO
	found := 0
	for line := range bytes.Lines(data) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		var to *uint64
		switch string(name) {
		case "rchar":
			to = &io.ReadChars
		case "wchar":
			to = &io.WriteChars
		case "read_bytes":
			to = &io.ReadBytes
		case "write_bytes":
			to = &io.WriteBytes
		default:
			continue
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
		if err != nil {
			return IO{}, false
		}
		*to = n
		found++
	}
	return io, found == 4
}

// readIO answers an io request, later.
func (s *Server) readIO(k *keeper, m *message) {
	job := ioJob{keeper: k, seq: m.Seq, procs: map[ID]procKey{}}
	for _, id := range m.IDs {
		if c := s.children[id]; c != nil && c.exited == nil {
			job.procs[id] = procKey{c.pid, c.ticks}
		}
	}
	select {
	case s.io.jobs <- job:
	default:
		k.fail(m.Seq, errTooMany)
	}
}
