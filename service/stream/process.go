package stream

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/pump"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// process is one run: the shim's child, its pipes and what is being made of
// them.
type process struct {
	id      shim.ID
	pid     int
	started time.Time
	command []string // redacted
	cgroup  string   // directory of its cgroup; "": none
	outputs []string // files that it writes
	stdin   streamfile.Stdin
	plain   bool // stdin is a pipe, not a socket
	askable bool // q or the end of its data ends it
	control bool // q, not the end of data

	pidfd    *os.File
	in       *os.File // stdin; nil: none, or shut
	out      *os.File // stdout, where a client may have it
	progress *pump.Source
	stderr   *pump.Source
	stdout   *pump.Source // where it goes to the journal

	parser    ffmpeg.ProgressParser
	rate      ffmpeg.Rate
	block     ffmpeg.Block
	blockAt   time.Time
	hasBlock  bool
	ended     bool
	errLines  ffmpeg.LineSplitter
	outLines  ffmpeg.LineSplitter
	usage     *Usage
	received  uint64 // bytes from its stderr, progress and logged stdout
	tagged    bool   // its lines have levels
	prevLevel int    // of the last tagged line: continuation lines have no tag
}

// request is what the shim is to start.
func request(def *streamfile.Definition, l *streamfile.Launch) shim.SpawnRequest {
	req := shim.SpawnRequest{
		Stream: def.Name, Path: l.Path, Argv: l.Argv, Env: l.Environ(), Dir: l.Dir,
		Stdin: shim.Null, Stdout: shim.Null, Stderr: shim.Pipe, Progress: true,
		Nice: def.Nice, UMask: def.UMask, CPUAffinity: def.CPUAffinity,
	}
	if len(def.Limits) > 0 {
		req.Limits = make(map[string]shim.Limit, len(def.Limits))
		for name, limit := range def.Limits {
			req.Limits[name] = shim.Limit{Soft: limit.Soft, Hard: limit.Hard}
		}
	}
	if r := def.Resources; r != (streamfile.Resources{}) {
		req.Cgroup = &shim.CgroupLimits{
			MemoryMax: r.MemoryMax, MemoryHigh: r.MemoryHigh, TasksMax: r.TasksMax,
			CPUQuota: r.CPUQuota, CPUWeight: r.CPUWeight, IOWeight: r.IOWeight,
		}
	}
	switch l.Stdin {
	case streamfile.StdinControl:
		req.Stdin = shim.Pipe
	case streamfile.StdinPipe:
		req.Stdin = shim.Socket
		if l.StdinPlain {
			req.Stdin = shim.Pipe
		}
	}
	switch l.Stdout {
	case streamfile.StdoutPipe:
		req.Stdout = shim.Pipe
	case streamfile.StdoutJournal:
		req.Stdout, req.StdoutLog = shim.Pipe, true
	}
	if def.StandardError == streamfile.StderrNull {
		req.Stderr = shim.Null
	}
	return req
}

// newProcess takes over a child, new or of an earlier keeper.
func (o *owner) newProcess(def *streamfile.Definition, l *streamfile.Launch, c *shim.Child) *process {
	p := &process{
		id: c.ID, pid: c.PID, started: time.Now(), command: o.cfg.Redact.Args(l.Argv),
		cgroup: c.Cgroup,
		stdin:  l.Stdin, plain: l.StdinPlain, pidfd: c.PIDFD, in: c.Stdin,
		control: l.Stdin == streamfile.StdinControl,
	}
	if def.Type == streamfile.TypeFFmpeg {
		p.outputs = outputFiles(l)
	}
	p.askable = l.Stdin == streamfile.StdinPipe && p.in != nil ||
		p.control && p.in != nil && def.Type == streamfile.TypeFFmpeg && l.ControlQ
	p.prevLevel = plainPriority
	add := func(f *os.File) *pump.Source {
		if f == nil {
			return nil
		}
		s, err := o.cfg.Pump.Add(f, 0, o.poke)
		if err != nil {
			o.cfg.Log.Error("cannot read a pipe of the stream", "error", err)
			f.Close()
			return nil
		}
		return s
	}
	p.progress, p.stderr = add(c.Progress), add(c.Stderr)
	if l.Stdout == streamfile.StdoutPipe {
		p.out = c.Stdout
	} else {
		p.stdout = add(c.Stdout)
	}
	return p
}

func (p *process) canAsk() bool { return p.askable }

// ask ends the process by its stdin: one q, never another key (d swallows
// the next q, c blocks ffmpeg's loop), or the end of its data.
func (p *process) ask(s Shim) {
	if p.in == nil {
		return
	}
	if p.control {
		withFD(p.in, func(fd int) {
			unix.SetNonblock(fd, true)
			unix.Write(fd, []byte("q"))
		})
		return
	}
	p.shutStdin(s)
}

// shutStdin ends the data, whoever else holds the other ends of the socket.
// A plain pipe only ends when every holder has closed it: ours and the
// shim's do.
func (p *process) shutStdin(s Shim) {
	if p.in == nil {
		return
	}
	if !p.plain {
		withFD(p.in, func(fd int) { unix.Shutdown(fd, unix.SHUT_WR) })
	} else {
		s.CloseEnd(p.id, shim.Stdin)
	}
	p.in.Close()
	p.in = nil
}

// noReader says whether the process waits for somebody to read its standard
// output: the pipe is full. A reader that is merely slow empties it between
// two looks, and then progress moves too.
func (p *process) noReader() bool {
	if p.out == nil {
		return false
	}
	full := false
	withFD(p.out, func(fd int) {
		size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
		if err != nil {
			return
		}
		held, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		// A pipe is full when no page is left for the next write, which
		// holds for less than its size where writes were short.
		full = err == nil && held > 0 && held >= size/2
	})
	return full
}

// withFD runs f with f's descriptor, which stays open meanwhile and keeps its
// blocking mode (File.Fd would change it).
func withFD(file *os.File, f func(fd int)) {
	if c, err := file.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { f(int(fd)) })
	}
}

// takesAtOnce is how many buffers of one pipe the owner reads before it looks
// at its inbox again; the pump calls when there is more.
const takesAtOnce = 4

// pumpIn takes what the pump has read since.
func (o *owner) pumpIn() {
	o.jobsIn()
	p := o.proc
	if p == nil {
		return
	}
	take := func(s *pump.Source, feed func([]byte)) {
		if s == nil {
			return
		}
		// Giving a buffer back answers what has come meanwhile. A flood that
		// comes faster than it is read must not keep the owner here for ever.
		var data []byte
		for range takesAtOnce {
			if data, _ = s.Take(data); len(data) == 0 {
				return
			}
			feed(data)
		}
	}
	take(p.progress, o.feedProgress)
	take(p.stderr, o.feedStderr)
	take(p.stdout, o.feedStdout)
}

// pumpNow takes everything that stands in the pipes: the process has just
// ended, and its last words say why.
func (o *owner) pumpNow() {
	p := o.proc
	if p == nil {
		return
	}
	o.drainProgress()
	if p.stderr != nil {
		o.feedStderr(p.stderr.Drain())
	}
	if p.stdout != nil {
		o.feedStdout(p.stdout.Drain())
	}
}

func (o *owner) drainProgress() {
	if o.proc != nil && o.proc.progress != nil {
		o.feedProgress(o.proc.progress.Drain())
	}
}

func (o *owner) feedProgress(data []byte) {
	if len(data) == 0 {
		return
	}
	p, now := o.proc, o.time()
	p.received += uint64(len(data))
	p.parser.Feed(data, func(b ffmpeg.Block) {
		p.rate.Add(b, now)
		p.block, p.blockAt, p.hasBlock = b, now, true
		p.ended = p.ended || b.End
		o.sawSomething(b.End) // how it ended the next keeper is to know
		o.step(evBlock{block: b, slow: o.tooSlow(now)})
	})
}

func (o *owner) tooSlow(now time.Time) bool {
	if o.m.def == nil || o.m.def.MinSpeed <= 0 {
		return false
	}
	pace := o.proc.rate.Over(ffmpeg.JudgeWindow, now)
	// A window that is not yet full judges a start-up, not a stream.
	return pace.HasSpeed && pace.Over >= ffmpeg.JudgeWindow*9/10 && pace.Speed < o.m.def.MinSpeed
}

// dropProcess lets go of the run: the shim forgets it, its files are closed.
func (o *owner) dropProcess() {
	p := o.proc
	if p == nil {
		return
	}
	// Only lines: a step within a step would publish what the outer one has
	// only begun to do. Progress that matters has been taken before.
	last := func(s *pump.Source, lines *ffmpeg.LineSplitter) {
		if s != nil {
			lines.Feed(s.Finish(), o.line)
		}
		lines.Flush(o.line)
	}
	last(p.stderr, &p.errLines)
	last(p.stdout, &p.outLines)
	if p.progress != nil {
		p.progress.Finish()
	}
	o.proc = nil
	for _, f := range []*os.File{p.pidfd, p.in, p.out} {
		if f != nil {
			f.Close()
		}
	}
	if o.ctx.Err() == nil && !o.left {
		o.cfg.Shim.Forget(p.id)
	}
}

// localBits of an ID are the shim's own number of a child. Each shim counts
// its children from 1; above them an ID says which shim it is of since the
// keeper began, which another keeper counts otherwise.
const localBits = 40

// GlobalID is the ID of a child of the given shim.
func GlobalID(shimNumber uint64, id shim.ID) shim.ID { return shim.ID(shimNumber<<localBits) | id }

// LocalID takes an ID apart.
func LocalID(id shim.ID) (shimNumber uint64, local shim.ID) {
	return uint64(id) >> localBits, id & (1<<localBits - 1)
}

func localNumber(id shim.ID) uint64 {
	_, local := LocalID(id)
	return uint64(local)
}
