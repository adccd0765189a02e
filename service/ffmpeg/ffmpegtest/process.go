package ffmpegtest

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

// patience is how long any one event may take on a busy machine.
const patience = 30 * time.Second

// Process is a running ffmpeg with a pipe on stdin, on stderr and on fd 3,
// both drained all the time. It is killed at the end of the test at the
// latest. Its methods may be called from the test's goroutine only.
type Process struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin *os.File
	// readers are our ends of its other pipes.
	readers []*os.File

	mu      sync.Mutex
	changed *sync.Cond
	late    bool // of whoever waits
	raw     []byte
	blocks  []ffmpeg.Block
	arrived []time.Time
	lines   []string
	reading int
	waited  bool
	signals []syscall.Signal
	took    time.Duration
}

// Exit is how a Process ended, and all that it wrote.
type Exit struct {
	Code   int            // -1 if a signal killed it
	Signal syscall.Signal // 0: none
	Core   bool
	Took   time.Duration // from the call of Wait

	Signals []syscall.Signal // that were sent through Process.Signal
	Blocks  []ffmpeg.Block
	Raw     string   // what came on fd 3
	Lines   []string // of stderr, as they came, stats lines included
}

// LastBlockEnd reports whether the last block said end.
func (e Exit) LastBlockEnd() bool {
	return len(e.Blocks) > 0 && e.Blocks[len(e.Blocks)-1].End
}

// Command says what Start is to run beyond the command line.
type Command struct {
	Path   string
	Args   []string // without argv[0]
	Dir    string
	Env    []string  // nil: the test's own
	Stdin  *os.File  // nil: a pipe, see Write and CloseStdin; else it is closed here
	Stdout io.Writer // nil: /dev/null
}

// Start runs c. The arguments are used as they are.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	p := &Process{t: t, cmd: exec.Command(c.Path, c.Args...)}
	p.changed = sync.NewCond(&p.mu)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout = c.Dir, c.Env, c.Stdout
	// A group of its own: what it has forked can be ended with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	childIn := c.Stdin
	if childIn == nil {
		childIn, p.stdin = p.pipe()
	}
	errors, childErr := p.pipe()
	progress, childProgress := p.pipe()
	p.cmd.Stdin, p.cmd.Stderr = childIn, childErr
	p.cmd.ExtraFiles = []*os.File{childProgress}

	err := p.cmd.Start()
	childIn.Close()
	childErr.Close()
	childProgress.Close()
	if err != nil {
		t.Fatalf("cannot start %s: %v", c.Path, err)
	}
	t.Cleanup(func() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		if !p.waited {
			p.cmd.Wait()
		}
		if p.stdin != nil {
			p.stdin.Close()
		}
		p.CloseReaders()
	})
	p.readers = []*os.File{progress, errors}
	p.reading = len(p.readers)
	go p.read(progress, p.takeProgress())
	go p.read(errors, p.takeLines())
	return p
}

func (p *Process) pipe() (r, w *os.File) {
	p.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	return r, w
}

// read hands what comes from f to take, and nil at its end.
func (p *Process) read(f *os.File, take func(chunk []byte)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		p.mu.Lock()
		take(buf[:n])
		if err != nil {
			take(nil)
			p.reading--
		}
		p.changed.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *Process) takeProgress() func([]byte) {
	var parser ffmpeg.ProgressParser
	return func(chunk []byte) {
		p.raw = append(p.raw, chunk...)
		parser.Feed(chunk, func(b ffmpeg.Block) {
			p.blocks = append(p.blocks, b)
			p.arrived = append(p.arrived, time.Now())
		})
	}
}

func (p *Process) takeLines() func([]byte) {
	var splitter ffmpeg.LineSplitter
	add := func(raw []byte, _ bool) { p.lines = append(p.lines, string(raw)) }
	return func(chunk []byte) {
		if chunk == nil {
			splitter.Flush(add)
			return
		}
		splitter.Feed(chunk, add)
	}
}

// await waits until done says so, which is asked under the lock after every
// read, and fails the test if that takes too long.
func (p *Process) await(what string, done func() bool) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = false
	timer := time.AfterFunc(patience, func() {
		p.mu.Lock()
		p.late = true
		p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer timer.Stop()
	for !done() {
		if p.late || p.reading == 0 {
			p.t.Fatalf("no %s from %q (waited too long: %v); blocks %d, log:\n%q", what, p.cmd.Args, p.late, len(p.blocks), p.lines)
		}
		p.changed.Wait()
	}
}

// PID is the process id, which is that of its group too.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// AwaitBlocks waits until n blocks have come in all, and returns all that
// have.
func (p *Process) AwaitBlocks(n int) []ffmpeg.Block {
	p.t.Helper()
	return p.AwaitBlock("enough blocks", func(all []ffmpeg.Block) bool { return len(all) >= n })
}

// AwaitBlock waits until ok says yes of all blocks so far, and returns them.
func (p *Process) AwaitBlock(what string, ok func(all []ffmpeg.Block) bool) []ffmpeg.Block {
	p.t.Helper()
	var all []ffmpeg.Block
	p.await(what, func() bool {
		all = p.blocks
		return ok(all)
	})
	return slices.Clone(all)
}

// Blocks are those that have come so far.
func (p *Process) Blocks() []ffmpeg.Block {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.blocks)
}

// Arrivals are the times at which the blocks came.
func (p *Process) Arrivals() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.arrived)
}

// AwaitLine waits for a line of stderr that satisfies ok, and returns it.
func (p *Process) AwaitLine(what string, ok func(line string) bool) string {
	p.t.Helper()
	var found string
	seen := 0
	p.await(what, func() bool {
		for ; seen < len(p.lines); seen++ {
			if ok(p.lines[seen]) {
				found = p.lines[seen]
				return true
			}
		}
		return false
	})
	return found
}

// Signal sends sig to the process alone.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("cannot send %v: %v", sig, err)
	}
	p.signals = append(p.signals, sig)
}

// SignalThread sends sig to its main thread.
func (p *Process) SignalThread(sig syscall.Signal) {
	p.t.Helper()
	if err := unix.Tgkill(p.PID(), p.PID(), sig); err != nil {
		p.t.Fatalf("cannot send %v: %v", sig, err)
	}
	p.signals = append(p.signals, sig)
}

// Write writes to its stdin.
func (p *Process) Write(data string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, data); err != nil {
		p.t.Fatalf("cannot write to stdin: %v", err)
	}
}

// CloseStdin closes our end of its stdin.
func (p *Process) CloseStdin() {
	p.stdin.Close()
}

// CloseReaders closes our ends of its stderr and progress pipes, as the end of
// its supervisor would.
func (p *Process) CloseReaders() {
	for _, f := range p.readers {
		f.Close()
	}
}

// Running reports whether it has not ended yet.
func (p *Process) Running() bool {
	// A zombie would answer signal 0 too.
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.PID(), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == 0
}

// Wait waits until it has ended and its pipes are empty, and returns how. A
// process that it has left a pipe to keeps it waiting.
func (p *Process) Wait() Exit {
	p.t.Helper()
	p.wait()
	p.await("end of output", func() bool { return p.reading == 0 })
	return p.exit()
}

// WaitMain waits until it has ended, whoever still holds its pipes.
func (p *Process) WaitMain() Exit {
	p.t.Helper()
	p.wait()
	return p.exit()
}

func (p *Process) wait() {
	p.t.Helper()
	began := time.Now()
	watchdog := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	p.cmd.Wait()
	p.waited = true
	p.took = time.Since(began)
	if !watchdog.Stop() {
		p.t.Fatalf("%q did not end within %v; log:\n%q", p.cmd.Args, patience, p.lines)
	}
}

func (p *Process) exit() Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	e := Exit{
		Code: p.cmd.ProcessState.ExitCode(), Took: p.took, Core: status.CoreDump(),
		Signals: p.signals,
		Blocks:  slices.Clone(p.blocks), Raw: string(p.raw), Lines: slices.Clone(p.lines),
	}
	if status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}
