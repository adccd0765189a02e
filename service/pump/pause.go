package pump

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pause is a timer of the kernel's. One of the Go runtime's is waited for in
// whole milliseconds, rounded down, and then in one more: the process would be
// woken twice for each pause, and its runtime with it.
type pause struct{ timer *os.File }

func newPause() (*pause, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	return &pause{os.NewFile(uintptr(fd), "timerfd")}, nil
}

// wait returns after d, which is more than 0, or with an error when the pause
// has been closed.
func (p *pause) wait(d time.Duration) error {
	conn, err := p.timer.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
	})
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	var expirations [8]byte
	_, err = p.timer.Read(expirations[:])
	return err
}

func (p *pause) close() error { return p.timer.Close() }
