package stream

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// Wait says when Start, Stop and Restart answer.
type Wait string

const (
	WaitNone Wait = "none" // as soon as it is accepted
	WaitDone Wait = "done" // when there is a pid, or nothing left
	WaitOK   Wait = "ok"   // when the stream delivers
)

// Start wants the stream and starts it. One that runs is left alone and its
// pid answered. If ctx ends first the start goes on.
func (s *Stream) Start(ctx context.Context, w Wait) (pid int, err error) {
	return s.wanted(ctx, w, evStart{})
}

// Restart stops the stream as Stop does, then starts it. timeout replaces
// TimeoutStopSec=; 0 keeps it.
func (s *Stream) Restart(ctx context.Context, w Wait, timeout time.Duration) (pid int, err error) {
	return s.wanted(ctx, w, evRestart{timeout: timeout})
}

func (s *Stream) wanted(ctx context.Context, w Wait, ev event) (int, error) {
	return s.await(ctx, func(o *owner) *waiter {
		switch {
		case o.m.removed:
			return answered(0, &Error{NoSuchStream, o.cfg.Name + ": its file is gone"})
		case o.m.bad != "":
			return answered(0, &Error{BadSetting, o.m.bad})
		}
		before := o.m.attempts
		o.step(ev)
		if w == WaitNone {
			return answered(o.m.pid, nil)
		}
		want := o.m.attempts
		if want == before && o.m.state != StateStarting && o.m.state != StateRunning {
			want++ // still to come: an old process has to go first
		}
		if o.m.state == StateZombie {
			return answered(0, &Error{Busy, o.cfg.Name + ": " + o.m.detail + "; then it will be started"})
		}
		return &waiter{check: upWaiter(want, w)}
	})
}

// Stop unwants the stream and stops it by the cascade. timeout replaces
// TimeoutStopSec=; 0 keeps it. If ctx ends first the stop goes on.
func (s *Stream) Stop(ctx context.Context, w Wait, timeout time.Duration) error {
	_, err := s.await(ctx, func(o *owner) *waiter {
		o.step(evStop{timeout: timeout})
		if w == WaitNone {
			return answered(0, nil)
		}
		attempts := o.m.attempts
		return &waiter{check: func(m *machine) (bool, int, error) { return m.downYet(attempts) }}
	})
	return err
}

// ResetFailed forgets the failures; a failed stream becomes stopped.
func (s *Stream) ResetFailed(ctx context.Context) error {
	return s.ask(ctx, func(o *owner) { o.step(evResetFailed{}) })
}

// Kill sends a signal to the stream's process group. A TERM counts as the one
// that a stop would send.
func (s *Stream) Kill(ctx context.Context, sig syscall.Signal) error {
	var err error
	if e := s.ask(ctx, func(o *owner) {
		if o.proc == nil {
			err = o.notRunning()
			return
		}
		// Known before it is sent: a stop must not add a second TERM.
		o.step(evKilled{term: sig == syscall.SIGTERM, interrupt: sig == syscall.SIGINT})
		o.signal(sig)
	}); e != nil {
		return e
	}
	return err
}

// Reload gives the stream a new definition (nil: the files are broken, and
// bad says why). What runs goes on. It does not wait: whatever is asked of the
// stream after it finds the definition in force.
func (s *Stream) Reload(def *streamfile.Definition, bad string) {
	o := s.in.owner
	s.post(func() { o.step(evReload{def: def, bad: bad}) })
}

// Remove stops the stream, its file being gone; a Transition with Removed
// says when that is done.
func (s *Stream) Remove() {
	o := s.in.owner
	s.post(func() { o.step(evRemove{}) })
}

// Ping answers when the owner's goroutine gets round to it.
func (s *Stream) Ping(ctx context.Context) error { return s.ask(ctx, func(*owner) {}) }

// Sampled stores what the kernel says of the stream's processes.
func (s *Stream) Sampled(pid int, u *Usage) {
	o := s.in.owner
	s.post(func() {
		if p := o.proc; p != nil && p.pid == pid {
			p.usage = u
			o.step(o.sample(u))
		}
	})
}

func (o *owner) notRunning() error {
	return &Error{NotRunning, fmt.Sprintf("%s is not running (%s)", o.cfg.Name, o.m.state)}
}

// maxWrite is the most one WriteStdin takes.
const maxWrite = 1 << 20

// WriteStdin writes data to the stream's stdin without ever blocking and says
// how much was taken; a full pipe takes nothing. It counts as activity.
func (s *Stream) WriteStdin(ctx context.Context, data []byte) (n int, err error) {
	if len(data) > maxWrite {
		data = data[:maxWrite]
	}
	e := s.ask(ctx, func(o *owner) {
		if err = o.dataStdin(); err != nil {
			return
		}
		o.step(evFed{})
		if n, err = o.proc.write(data); n > 0 {
			o.step(evOutput{})
		}
		if err == unix.EPIPE || err == unix.ECONNRESET {
			err = &Error{StdinClosed, o.cfg.Name + ": the process has closed its stdin"}
		}
	})
	if e != nil {
		return 0, e
	}
	return n, err
}

// write never blocks, whatever mode the file is in: the end of a socket that
// is handed to clients stays blocking for them.
func (p *process) write(data []byte) (n int, err error) {
	withFD(p.in, func(fd int) {
		for n < len(data) && err == nil {
			var k int
			if p.plain {
				unix.SetNonblock(fd, true)
				k, err = unix.Write(fd, data[n:])
			} else {
				k, err = unix.SendmsgN(fd, data[n:], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			}
			n += max(k, 0)
		}
	})
	if err == unix.EAGAIN || err == unix.EINTR {
		err = nil
	}
	return n, err
}

// dataStdin says why data cannot be written now.
func (o *owner) dataStdin() error {
	p := o.proc
	switch {
	case p == nil || !o.m.main:
		return o.notRunning()
	case p.stdin != streamfile.StdinPipe:
		return &Error{StdinClosed, fmt.Sprintf("%s takes no data: StandardInput=%s", o.cfg.Name, p.stdin)}
	case p.in == nil || o.m.state == StateStopping:
		return &Error{StdinClosed, o.cfg.Name + ": stdin has been shut down"}
	}
	return nil
}

// OpenStdin answers a descriptor of its own for the stream's stdin; the
// caller closes it. At a stop the data ends whoever holds it.
func (s *Stream) OpenStdin(ctx context.Context) (f *os.File, err error) {
	e := s.ask(ctx, func(o *owner) {
		if err = o.dataStdin(); err != nil {
			return
		}
		if f, err = reopen(o.proc.in, o.proc.plain, os.O_WRONLY); err == nil {
			o.step(evFed{})
		}
	})
	if e != nil {
		return nil, e
	}
	return f, err
}

// OpenStdout answers a descriptor of its own for what the stream writes to
// stdout, where that is a pipe; the caller closes it.
func (s *Stream) OpenStdout(ctx context.Context) (f *os.File, err error) {
	e := s.ask(ctx, func(o *owner) {
		switch {
		case o.proc == nil:
			err = o.notRunning()
		case o.proc.out == nil:
			err = &Error{InvalidArgs, o.cfg.Name + ": StandardOutput= is not pipe"}
		default:
			f, err = reopen(o.proc.out, true, os.O_RDONLY)
		}
	})
	if e != nil {
		return nil, e
	}
	return f, err
}

// reopen makes a descriptor for a client. A pipe is opened anew, so that the
// client's blocking mode is its own; a socket can only be duplicated, and
// ours is left in blocking mode for that reason.
func reopen(file *os.File, pipe bool, mode int) (*os.File, error) {
	var fd int
	var err error
	withFD(file, func(old int) {
		if pipe {
			fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", old), mode|unix.O_CLOEXEC, 0)
			return
		}
		unix.SetNonblock(old, false)
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot hand out the descriptor: %w", err)
	}
	return os.NewFile(uintptr(fd), "stdio"), nil
}
