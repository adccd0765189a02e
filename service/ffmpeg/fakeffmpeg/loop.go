package main

import (
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const never = int64(1) << 62

// keys is stdin as ffmpeg's remote control.
type keys struct {
	on  bool
	eof bool
	due int64 // when ffmpeg's next look at it is; 0: nothing has come
}

// stdinData is stdin as an input.
type stdinData struct {
	on    bool
	fd    int
	taken int64 // bytes
	told  int64 // bytes, at the last block
}

// readBuffer takes stdin data, and is the data written to stdout; body is what
// an output file grows by with each block.
var (
	readBuffer [64 << 10]byte
	body       [64]byte
)

func (f *fake) now() int64 { return int64(time.Since(epoch)) }

var epoch = time.Now()

// loop runs until the process ends.
func (f *fake) loop() {
	f.clock.start = f.now()
	f.clock.last = f.clock.start
	next := f.clock.start + int64(f.modes.startDelay)
	if f.modes.neverStart {
		next = never
	}
	stoodAt := int64(0)
	for {
		now := f.now()
		f.react()
		if f.finishAt > 0 {
			f.finishing(now)
			f.wait(now, min(f.finishAt, now+int64(100*time.Millisecond)))
			continue
		}
		if now >= next {
			standing := f.standing(now, &stoodAt)
			f.advance(now, standing)
			silent := standing && (f.modes.stall || f.modes.stallFIFO)
			idle := f.data.on && f.data.taken == f.data.told
			if !silent && !idle {
				f.report()
			}
			// As ffmpeg: a period after the last one, not on a grid.
			next = now + int64(f.cmd.period)
			continue
		}
		if f.out.stdout && f.modes.stdoutRate == 0 && f.blocks > 0 {
			f.feedStdout(len(readBuffer))
			f.wait(now, now)
			continue
		}
		f.wait(now, next)
	}
}

// standing reports whether a stall is in force, and ends it with resume=.
func (f *fake) standing(now int64, since *int64) bool {
	m := &f.modes
	if !m.stall && !m.stallFIFO && !m.freeze && !m.partial || f.blocks < m.after {
		return false
	}
	if *since == 0 {
		*since = now
	}
	return m.resume == 0 || now < *since+int64(m.resume)
}

// advance moves the media on.
func (f *fake) advance(now int64, standing bool) {
	d := time.Duration(float64(now-f.clock.last) * f.modes.speed)
	f.clock.last = now
	if standing && !f.modes.partial {
		return
	}
	f.clock.media += d
	if standing {
		f.clock.stood += d
	}
	if f.out.fd >= 0 && !f.out.stdout && !f.out.list && f.clock.last-f.clock.start >= int64(f.modes.lookahead) {
		if !f.put(body[:]) {
			f.log(levelError, "av_interleaved_write_frame(): No space left on device")
			f.exit(1)
		}
	}
	if f.out.stdout && f.modes.stdoutRate > 0 {
		f.feedStdout(int(float64(f.modes.stdoutRate) * d.Seconds()))
	}
}

// feedStdout writes n bytes, at the reader's pace: a slow one stops the blocks,
// as with ffmpeg.
func (f *fake) feedStdout(n int) {
	for n > 0 {
		part := min(n, len(readBuffer))
		if !write(1, readBuffer[:part]) {
			f.log(levelError, "av_interleaved_write_frame(): Broken pipe")
			f.log(levelError, "Error writing trailer of pipe:: Broken pipe")
			f.exit(1)
		}
		f.out.size += uint64(part)
		n -= part
	}
}

// report sends a block and whatever else comes with it.
func (f *fake) report() {
	m := &f.modes
	f.sent = f.figuresNow()
	f.data.told = f.data.taken
	if f.progress >= 0 {
		write(f.progress, f.appendBlock(f.buf[:0], f.sent, false))
	}
	f.blocks++
	if f.cmd.stats && f.cmd.level >= levelInfo {
		b := f.appendStats(f.line(f.buf[:0], levelInfo, ""), f.sent, false)
		write(2, append(b, '\r'))
	}
	if m.lineLevel > 0 && m.lineLevel <= f.cmd.level {
		b := f.line(f.buf[:0], m.lineLevel, "[fake @ 0x55d0fa6e0000] ")
		b = append(b, "line "...)
		b = strconv.AppendInt(b, int64(f.blocks), 10)
		write(2, append(b, '\n'))
	}
	if f.blocks == 1 && m.orphans > 0 {
		f.makeOrphans()
	}
	if f.blocks == m.after {
		f.oddLines()
		if m.crash > 0 {
			f.crash()
		}
	}
	ended := m.blocks > 0 && f.blocks >= m.blocks ||
		m.runFor > 0 && f.clock.last-f.clock.start >= int64(m.runFor) ||
		f.cmd.limit > 0 && f.sent.out >= f.cmd.limit
	if ended {
		f.finish(m.exitCode)
	}
}

// finish ends it in an orderly way: at once, or after the trailer has taken its
// time.
func (f *fake) finish(code int) {
	f.code = code
	if f.modes.slowFinish > 0 {
		f.finishAt = f.now() + int64(f.modes.slowFinish)
		return
	}
	f.end()
}

// finishing grows the output until the time is over.
func (f *fake) finishing(now int64) {
	if now >= f.finishAt {
		f.end()
	}
	f.put(readBuffer[:4096])
}

// end writes the trailer, the last block and the last lines, and exits.
func (f *fake) end() {
	if now := f.now(); f.finishAt == 0 && !f.modes.freeze {
		f.clock.media += time.Duration(float64(now-f.clock.last) * f.modes.speed)
		f.clock.last = now
	}
	switch {
	case f.out.list:
		f.put([]byte("#EXT-X-ENDLIST\n"))
	case !f.out.stdout:
		f.put([]byte(trailer))
	}
	g := f.figuresNow()
	if f.progress >= 0 {
		write(f.progress, f.appendBlock(f.buf[:0], g, true))
	}
	if f.cmd.level >= levelInfo {
		b := f.appendStats(f.line(f.buf[:0], levelInfo, ""), g, true)
		write(2, append(b, '\n'))
		f.log(levelInfo, "video:0kB audio:0kB subtitle:0kB other streams:0kB global headers:0kB muxing overhead: unknown")
	}
	if f.signals.count.Load() > 0 {
		f.code = 255
	}
	f.leave(f.code)
}

// leave exits, with a last line if there was a signal.
func (f *fake) leave(code int) {
	if f.signals.count.Load() > 0 {
		f.log(levelInfo, "Exiting normally, received signal "+strconv.Itoa(int(f.signals.last.Load()))+".")
	}
	f.exit(code)
}

// react does what a signal, a key or data ask for.
func (f *fake) react() {
	standing := f.blocks >= f.modes.after && (f.modes.stall || f.modes.stallFIFO || f.modes.freeze)
	count := f.signals.received()
	opening := f.blocks == 0 && (f.modes.neverStart || f.modes.startDelay > 0)
	switch {
	case count == 0:
	case opening:
		f.log(levelError, shownURL(f.cmd.outputs[0].url)+": Immediate exit requested")
		f.leave(1)
	case standing && f.modes.stallFIFO, f.data.on && f.data.taken == f.data.told && !f.readable():
		// In a read that no signal interrupts: only the fourth ends it.
	case standing && count < 2:
	case standing, count > 1:
		// ffmpeg gives the output up as it is.
		f.log(levelError, "Error closing file "+shownURL(f.cmd.outputs[0].url)+": Immediate exit requested")
		f.leave(255)
	case f.finishAt == 0:
		f.finish(0)
	}
	if f.keys.due > 0 && f.now() >= f.keys.due && f.finishAt == 0 && !opening && !(standing && !f.modes.freeze) {
		f.keys.due = 0
		var key [1]byte
		n, _ := syscall.Read(0, key[:])
		f.keys.eof = n < 1
		if n == 1 && key[0] == 'q' && !f.modes.ignoreQ {
			f.log(levelInfo, "\n\n[q] command received. Exiting.\n")
			if !standing {
				f.finish(0)
			}
		}
	}
}

// readable reports whether stdin has something, if only its end.
func (f *fake) readable() bool {
	var zero syscall.Timespec
	return poll(f.data.fd, pollIn, &zero) > 0
}

// wait sleeps until the bell rings or the time until has come.
func (f *fake) wait(now, until int64) {
	f.askStdin()
	if f.keys.due > 0 {
		until = min(until, f.keys.due)
	}
	f.bell.wait(max(until-now, 1))
	if !f.stdin.ready.CompareAndSwap(true, false) {
		return
	}
	f.stdin.asked = false
	if f.data.on {
		f.takeData()
		return
	}
	// ffmpeg looks each 100 ms.
	const look = int64(100 * time.Millisecond)
	f.keys.due = f.now()
	if !f.modes.qAtOnce {
		f.keys.due = f.clock.start + ((f.keys.due-f.clock.start)/look+1)*look
	}
}

// stdinWatch is a goroutine, and so a thread, that waits for stdin to become
// readable, each time it is asked to.
type stdinWatch struct {
	ask   chan struct{}
	asked bool
	ready atomic.Bool
}

func (f *fake) askStdin() {
	wanted := f.data.on || f.keys.on && !f.keys.eof && f.keys.due == 0
	if !wanted || f.stdin.asked || f.finishAt > 0 {
		return
	}
	if f.stdin.ask == nil {
		f.stdin.ask = make(chan struct{}, 1)
		go f.watchStdin()
	}
	f.stdin.asked = true
	f.stdin.ask <- struct{}{}
}

func (f *fake) watchStdin() {
	for range f.stdin.ask {
		for poll(f.data.fd, pollIn, nil) == 0 {
		}
		f.stdin.ready.Store(true)
		f.bell.ring()
	}
}

// takeData reads an input from stdin; its end is the end of the run.
func (f *fake) takeData() {
	n, err := syscall.Read(f.data.fd, readBuffer[:])
	switch {
	case n > 0:
		f.data.taken += int64(n)
	case err == syscall.EINTR || err == syscall.EAGAIN:
	default:
		f.signals.settle() // one that came before the end counts
		f.react()
		if f.finishAt == 0 {
			f.finish(f.modes.exitCode)
		}
	}
}

// progressFD is the descriptor of a -progress URL; -1 for none, or a URL that
// is not one.
func progressFD(url string) int {
	if url == "-" {
		return 1
	}
	number, ok := strings.CutPrefix(url, "pipe:")
	if !ok {
		return -1
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return 1
	}
	return fd
}
