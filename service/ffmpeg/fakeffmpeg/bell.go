package main

import (
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// bell is what the main goroutine waits for: a timer that others can let go
// off early. It is a timerfd in the runtime's poller, and all system calls
// about it are raw: a timer or a blocking system call of the runtime's own
// would wake the runtime's monitor thread, at a third of all the CPU time a
// fake takes in a second.
type bell struct {
	fd   int
	conn syscall.RawConn
	rung atomic.Bool
}

func (b *bell) hang() {
	fd, _, err := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != 0 {
		die(2, "[fatal] fakeffmpeg: timerfd: "+err.Error()+"\n")
	}
	b.fd = int(fd)
	conn, failed := os.NewFile(fd, "timer").SyscallConn()
	if failed != nil {
		die(2, "[fatal] fakeffmpeg: timerfd: "+failed.Error()+"\n")
	}
	b.conn = conn
}

const clockMonotonic = 1

// set lets the timer go off in ns, at least 1.
func (b *bell) set(ns int64) {
	var spec struct{ interval, value syscall.Timespec }
	spec.value = syscall.NsecToTimespec(ns)
	syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(b.fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// ring ends a wait now, or the next one at once; any goroutine may. What it is
// about must have been stored before.
func (b *bell) ring() {
	b.rung.Store(true)
	b.set(1)
}

// wait sleeps for ns or until the bell rings.
func (b *bell) wait(ns int64) {
	b.set(ns)
	// A ring before this setting has been overwritten by it, but is marked.
	if !b.rung.Load() {
		b.conn.Read(readTimer)
	}
	b.rung.Store(false)
}

// readTimer reports whether the timer has gone off, and resets it.
func readTimer(fd uintptr) bool {
	var expirations uint64
	_, _, err := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&expirations)), 8)
	return err != syscall.EAGAIN
}
