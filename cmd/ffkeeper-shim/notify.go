package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells systemd about this service, as in sd_notify(3): datagrams of
// NAME=value to the socket in NOTIFY_SOCKET.
type notifier struct {
	fd    int           // -1: not under systemd
	every time.Duration // of WATCHDOG=1; 0: not asked for
}

// newNotifier opens the socket once, so that a beat needs no free descriptor.
func newNotifier(env func(string) string) (*notifier, error) {
	n := &notifier{fd: -1}
	path := env("NOTIFY_SOCKET")
	if path == "" {
		return n, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil { // a leading @ is the abstract namespace
		unix.Close(fd)
		return nil, fmt.Errorf("NOTIFY_SOCKET %s: %w", path, err)
	}
	n.fd = fd
	if pid := env("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		usec, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
		if err == nil && usec > 0 {
			n.every = time.Duration(usec) * time.Microsecond / 3 // half would leave no room for one that systemd does not get to
		}
	}
	return n, nil
}

// send never blocks: a system manager that does not read must not stop the shim.
func (n *notifier) send(state string) {
	if n.fd >= 0 {
		unix.Sendto(n.fd, []byte(state), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	}
}
