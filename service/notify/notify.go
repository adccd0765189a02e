// Package notify speaks with the service manager that started this process:
// what to tell it (sd_notify(3)), and what it has in mind (the job for our own
// unit).
//
// Invariants: nothing here blocks for longer than a stated bound, whatever
// state the manager or the bus is in; without a manager everything succeeds
// and does nothing. What failed is answered for the log; no caller has to act
// on it.
//
// Place in the flow: ffkeeperd tells Ready, Status and Reloading as the
// keeper changes, Ping as long as every part of it answers, and asks Job when
// it is told to end: stopped, restarted, or merely killed make a difference
// to the streams.
package notify

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells the service manager about this service, at the address in
// $NOTIFY_SOCKET. Its methods may be called from any goroutine; messages
// arrive in the order of the calls. They take at most half a second; a message
// that has not gone out by then follows as soon as the manager takes any, and
// the error is ErrStuck.
type Notifier struct {
	enabled bool
	queue   queue

	mu     sync.Mutex
	status string // as told last
}

// New makes the notifier of this process; one without effect where
// $NOTIFY_SOCKET is not set.
func New() *Notifier {
	return &Notifier{enabled: os.Getenv("NOTIFY_SOCKET") != ""}
}

// Enabled tells whether there is anybody to notify.
func (n *Notifier) Enabled() bool { return n.enabled }

// Ready tells that starting, or reloading, is done.
func (n *Notifier) Ready() error { return n.send(daemon.SdNotifyReady) }

// Status tells the one line that systemctl status shows. It is sent only if
// it has changed.
func (n *Notifier) Status(text string) error {
	// A line feed would begin another variable.
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
	n.mu.Lock()
	defer n.mu.Unlock()
	if text == n.status {
		return nil
	}
	err := n.send("STATUS=" + text)
	if err == nil {
		n.status = text
	} else {
		n.status = "" // whatever the manager has now
	}
	return err
}

// Reloading tells that the configuration is being read anew; Ready tells the
// end of it.
func (n *Notifier) Reloading() error {
	// In one datagram, with the time by which the manager tells this reload
	// from the one before.
	return n.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping tells that the service is about to end.
func (n *Notifier) Stopping() error { return n.send(daemon.SdNotifyStopping) }

// ExtendTimeout tells that starting or stopping, whichever is under way, goes
// on for another d from now, although the unit's time for it is up. It has to
// be told again before d has passed.
func (n *Notifier) ExtendTimeout(d time.Duration) error {
	return n.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(max(0, d.Microseconds()), 10))
}

// Watchdog answers within what time the manager wants a Ping each, and
// whether it does. sd_watchdog_enabled(3) recommends one in half of it.
func (n *Notifier) Watchdog() (interval time.Duration, enabled bool) {
	if !n.enabled {
		return 0, false
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	return interval, err == nil && interval > 0
}

// Ping tells that the service is alive.
func (n *Notifier) Ping() error { return n.send(daemon.SdNotifyWatchdog) }

func (n *Notifier) send(state string) error {
	if !n.enabled {
		return nil
	}
	return n.queue.send(state)
}

// Environ is os.Environ for a child: without the variables that a service
// manager addresses to its main process alone. A child that found them would
// speak for us.
func Environ() []string {
	ours := []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "FDSTORE", "MAINPID"}
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ours, name)
	})
}
