package dbusapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busaddress"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busconfig"
)

const (
	// maxSocketPath is sizeof(sun_path) less the zero at its end, unix(7).
	maxSocketPath = 107

	// privateStart bounds a dbus-daemon's start; it takes a few milliseconds.
	privateStart = 10 * time.Second

	// privateRetry is how soon a dbus-daemon that died, or did not start, is
	// started again.
	privateRetry    = 50 * time.Millisecond
	privateRetryMax = 5 * time.Second
)

// PrivateBus is a dbus-daemon of our own, for where there is no bus or none is
// to be used. It is started again when it dies, on the same address, and ends
// with Close, or with us.
type PrivateBus struct {
	address string
	dir     string
	cancel  context.CancelFunc
	done    chan struct{}

	mu  sync.Mutex
	pid int // 0 while there is none
}

// StartPrivateBus starts a dbus-daemon that only our own uid, and root, can
// connect to, and leaves its address in the file bus-address of the state
// directory, where clients find it. A bus that runs there already is an error:
// two keepers cannot share a state directory. ctx bounds the bus's life, not
// only its start.
func StartPrivateBus(ctx context.Context, stateDir string) (*PrivateBus, error) {
	dir, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, fmt.Errorf("cannot start a private bus: %w", err)
	}
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		return nil, errors.New("cannot start a private bus: there is no dbus-daemon (Debian and Fedora have it in the package dbus-daemon)")
	}
	socket := filepath.Join(dir, "bus")
	if len(socket) > maxSocketPath {
		return nil, fmt.Errorf("cannot start a private bus: the socket's path %s is longer than %d bytes; choose a shorter state directory", socket, maxSocketPath)
	}
	if err := noBusAt(ctx, socket); err != nil {
		return nil, err
	}
	b := &PrivateBus{
		address: "unix:path=" + dbus.EscapeBusAddressValue(socket),
		dir:     dir,
		done:    make(chan struct{}),
	}
	if err := writeFile(b.configFile(), busconfig.Text(b.address, "")); err != nil {
		return nil, fmt.Errorf("cannot start a private bus: %w", err)
	}
	ctx, b.cancel = context.WithCancel(ctx)
	started := make(chan error, 1)
	go b.keep(ctx, started)
	if err := <-started; err != nil {
		b.Close()
		return nil, fmt.Errorf("cannot start a private bus: %w", err)
	}
	if err := writeFile(busaddress.PrivateFile(dir), b.address+"\n"); err != nil {
		b.Close()
		return nil, fmt.Errorf("cannot start a private bus: %w", err)
	}
	return b, nil
}

// Address is the bus's D-Bus address; it stays the same as long as the bus is
// kept.
func (b *PrivateBus) Address() string { return b.address }

// PID is the dbus-daemon's process, 0 while there is none.
func (b *PrivateBus) PID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pid
}

// Close ends the bus and removes its files. It may be called more than once.
func (b *PrivateBus) Close() {
	b.cancel()
	<-b.done
	for _, f := range []string{busaddress.PrivateFile(b.dir), b.configFile(), filepath.Join(b.dir, "bus")} {
		os.Remove(f)
	}
}

func (b *PrivateBus) configFile() string { return filepath.Join(b.dir, "bus.conf") }

// noBusAt makes sure that nobody serves on the socket. The bus of a keeper
// that was killed a moment ago gets a second to end.
func noBusAt(ctx context.Context, socket string) error {
	deadline := time.Now().Add(time.Second)
	for {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return nil
		}
		// Whether it ends can be read from the connection: it does not talk
		// before we do.
		c.SetReadDeadline(deadline)
		_, err = c.Read(make([]byte, 1))
		c.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			return fmt.Errorf("cannot start a private bus: one runs at %s already; is another keeper using this state directory?", socket)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// keep runs dbus-daemons one after the other, and tells how the first one
// started.
func (b *PrivateBus) keep(ctx context.Context, started chan<- error) {
	defer close(b.done)
	// The kernel sends the parent-death signal when the thread that started
	// the process ends, so that thread is kept for as long as the process. A
	// goroutine that ends with its thread locked would end the thread, and with
	// it whatever else was once started from there.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	delay := privateRetry
	for {
		cmd, err := b.start(ctx)
		if err == nil {
			b.setPID(cmd.Process.Pid)
		}
		if started != nil {
			started <- err
			started = nil
			if err != nil {
				return
			}
		}
		if err == nil {
			begun := time.Now()
			cmd.Wait() // whatever it says, there is no bus any more
			b.setPID(0)
			if time.Since(begun) > time.Minute {
				delay = privateRetry
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
			delay = min(2*delay, privateRetryMax)
		}
	}
}

func (b *PrivateBus) setPID(pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pid = pid
}

// start starts a dbus-daemon and waits until it listens.
func (b *PrivateBus) start(ctx context.Context) (*exec.Cmd, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var complaints tail
	cmd := exec.CommandContext(ctx, "dbus-daemon", "--config-file="+b.configFile(), "--nofork", "--nopidfile", "--nosyslog", "--print-address=3")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second // then KILL
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGTERM,
		Setpgid:   true, // a Ctrl-C at the terminal is for us; the bus ends last
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	r.SetReadDeadline(time.Now().Add(privateStart))
	stop := context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("dbus-daemon does not start: %w%s", err, complaints.text())
	}
	return cmd, nil
}

// writeFile puts a file that only its owner may read in its place as a whole.
func writeFile(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// tail keeps the beginning of what a program complained of, for an error.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[:min(len(p), 1024-len(t.buf))]...)
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(t.buf))
}
