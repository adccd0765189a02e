package main

import (
	"syscall"
	"time"
	"unsafe"
)

// The forks here are bare fork(2)s: an exec for each of ten thousand orphans
// would take half a minute. In such a child only the calling thread lives, so
// it may do nothing but bare system calls: no allocation, no stack growth, no
// other goroutine. What it needs is laid out before.
var (
	forkLife    syscall.Timespec
	forkDefault kernelAction
)

// spawnOthers makes the child that keeps our pipes.
func (f *fake) spawnOthers() {
	if f.modes.grandchild > 0 {
		setLife(f.modes.grandchild)
		forkSleeper(f.modes.stubborn)
	}
}

// makeOrphans forks twice for each, so that whoever is the subreaper gets it.
func (f *fake) makeOrphans() {
	setLife(f.modes.orphanLife)
	for range f.modes.orphans {
		pid := forkForker(f.modes.stubborn)
		if pid > 0 {
			syscall.Wait4(int(pid), nil, 0, nil)
		}
	}
}

func setLife(d time.Duration) {
	forkLife = syscall.NsecToTimespec(int64(d))
}

// forkSleeper forks a child that sleeps for forkLife and ends.
//
//go:norace
//go:nosplit
func forkSleeper(stubborn bool) uintptr {
	pid, _, err := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if err != 0 || pid != 0 {
		return pid
	}
	sleepAndExit(stubborn)
	return 0
}

// forkForker forks a child that calls forkSleeper and ends.
//
//go:norace
//go:nosplit
func forkForker(stubborn bool) uintptr {
	pid, _, err := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if err != 0 || pid != 0 {
		return pid
	}
	pid, _, _ = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 {
		sleepAndExit(stubborn)
	}
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// sleepAndExit ignores TERM if stubborn: the handlers that the child has from
// the Go runtime queue it for a goroutine that is not there. Else they are
// taken away.
//
//go:norace
//go:nosplit
func sleepAndExit(stubborn bool) {
	if !stubborn {
		for _, sig := range [...]uintptr{uintptr(syscall.SIGTERM), uintptr(syscall.SIGINT), uintptr(syscall.SIGQUIT), uintptr(syscall.SIGXCPU)} {
			syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&forkDefault)), 0, 8, 0, 0)
		}
	}
	// A signal interrupts the sleep and writes what is left of it.
	for {
		_, _, err := syscall.RawSyscall(syscall.SYS_NANOSLEEP,
			uintptr(unsafe.Pointer(&forkLife)), uintptr(unsafe.Pointer(&forkLife)), 0)
		if err != syscall.EINTR {
			break
		}
	}
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
