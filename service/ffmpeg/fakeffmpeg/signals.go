package main

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signals are those that ffmpeg catches: INT, TERM, QUIT and XCPU. All others
// act as they do by default: HUP kills.
type signals struct {
	count   atomic.Int32 // received
	last    atomic.Int32
	fence   chan struct{}
	settled int32 // of count, as the main goroutine knows it
}

func (f *fake) catchSignals() {
	f.signals.fence = make(chan struct{}, 1)
	caught := make(chan os.Signal, 64)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGXCPU, fence)
	go func() {
		for s := range caught {
			if s == fence {
				select {
				case f.signals.fence <- struct{}{}:
				default: // a terminal has changed its size
				}
				continue
			}
			if f.modes.ignoreTerm {
				continue
			}
			f.signals.last.Store(int32(s.(syscall.Signal)))
			if f.signals.count.Add(1) > 3 {
				// Here and not in the loop, which may be blocked.
				die(123, "Received > 3 system signals, hard exiting\n")
			}
			f.bell.ring()
		}
	}()
}

// fence is a signal to ourselves. It has a higher number than all that are
// caught, so those that are pending are handed over before it.
const fence = syscall.SIGWINCH

// settle waits until the Go runtime, which hands signals over when it gets to
// it, has done so with all that came before: those for the main thread, which
// may be between two of them while other threads run on, then those for any.
func (s *signals) settle() {
	unix.Tgkill(os.Getpid(), os.Getpid(), fence)
	<-s.fence
	syscall.Kill(os.Getpid(), fence)
	<-s.fence
}

// received is how many there were, those included that came together with the
// last.
func (s *signals) received() int32 {
	if s.count.Load() > s.settled {
		s.settle()
		s.settled = s.count.Load()
	}
	return s.settled
}

// kernelAction is struct sigaction of the kernel.
type kernelAction struct {
	handler, flags, restorer, mask uintptr
}

// crash ends by a signal as C code would, past the Go runtime, which makes of
// SIGSEGV a stack trace and an exit code.
func (f *fake) crash() {
	if f.modes.core {
		var limit syscall.Rlimit
		if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
			limit.Cur = limit.Max
			syscall.Setrlimit(syscall.RLIMIT_CORE, &limit)
		}
	}
	var byDefault kernelAction
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(f.modes.crash),
		uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	syscall.Kill(os.Getpid(), syscall.Signal(f.modes.crash))
	for {
		syscall.Pause()
	}
}
