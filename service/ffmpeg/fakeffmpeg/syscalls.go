package main

import (
	"syscall"
	"time"
	"unsafe"
)

type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

const (
	pollIn  = 1
	pollOut = 4
	pipeBuf = 4096 // a pipe that is writable takes as much without blocking
)

// poll waits for one descriptor: until it is ready, or for ever with a nil
// timeout. It returns 0 where neither the time is up nor the descriptor ready.
func poll(fd, events int, timeout *syscall.Timespec) int {
	fds := [1]pollFD{{fd: int32(fd), events: int16(events)}}
	n, _, err := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), 1,
		uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
	if err != 0 {
		return 0
	}
	return int(n)
}

// writable reports whether a small write would not block. It is a raw system
// call: it cannot block either.
func writable(fd int) bool {
	fds := [1]pollFD{{fd: int32(fd), events: pollOut}}
	var zero syscall.Timespec
	n, _, err := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), 1,
		uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
	return err == 0 && n == 1
}

// write writes all of b, however slow the reader; false where there is none.
// What cannot block goes past the runtime, which would wake its monitor.
func write(fd int, b []byte) bool {
	if len(b) > 0 && len(b) <= pipeBuf && writable(fd) {
		n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if err == 0 {
			b = b[n:]
		}
	}
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		switch err {
		case nil:
			b = b[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			time.Sleep(time.Millisecond) // someone made the pipe non-blocking
		default:
			return false
		}
	}
	return true
}
