package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal with ffkeeperctl on it.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu      sync.Mutex
	seen    strings.Builder
	changed chan struct{} // closed and made anew with each output
}

// onTerminal runs ffkeeperctl as the leader of a session on a terminal of the
// given size. The terminal's own termios are as a shell leaves them.
func onTerminal(t *testing.T, env []string, rows, columns uint16, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	term := &terminal{t: t, master: master, changed: make(chan struct{})}
	var number int
	term.control(func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		}
		return err
	})
	term.resize(rows, columns)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	term.cmd = exec.Command("ffkeeperctl", args...)
	term.cmd.Env = append(append(os.Environ(), "TERM=xterm"), env...)
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = term.cmd.Process.Kill() })
	go term.read()
	return term
}

func (term *terminal) control(f func(fd int) error) {
	term.t.Helper()
	conn, err := term.master.SyscallConn()
	if err == nil {
		e := conn.Control(func(fd uintptr) { err = f(int(fd)) })
		err = errors.Join(err, e)
	}
	if err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) resize(rows, columns uint16) {
	term.t.Helper()
	term.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
}

// echoes reports whether the terminal is in the mode for typing.
func (term *terminal) echoes() (yes bool) {
	term.t.Helper()
	term.control(func(fd int) error {
		tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			yes = tio.Lflag&(unix.ECHO|unix.ICANON) == unix.ECHO|unix.ICANON
		}
		return err
	})
	return yes
}

func (term *terminal) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := term.master.Read(buf)
		term.mu.Lock()
		term.seen.Write(buf[:n])
		close(term.changed)
		term.changed = make(chan struct{})
		term.mu.Unlock()
		if err != nil { // EIO: nobody has the terminal open any more
			return
		}
	}
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// waitFor waits until output that came after this call's predecessor matches,
// and takes it and all before off the output.
func (term *terminal) waitFor(pattern string) string {
	term.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(scriptPatience)
	for {
		term.mu.Lock()
		s, changed := term.seen.String(), term.changed
		if at := re.FindStringIndex(s); at != nil {
			term.seen.Reset()
			term.seen.WriteString(s[at[1]:])
			term.mu.Unlock()
			return s[:at[1]]
		}
		term.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			term.t.Fatalf("%v: never printed %s; last:\n%q", term.cmd.Args, pattern, s[max(0, len(s)-2000):])
		}
	}
}

// wait waits for the end of the program and answers its exit code.
func (term *terminal) wait() int {
	term.t.Helper()
	ended := make(chan struct{})
	go func() { _ = term.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(scriptPatience):
		term.t.Fatalf("%v does not end", term.cmd.Args)
	}
	return term.cmd.ProcessState.ExitCode()
}

// stopped waits until the program is stopped, as by Ctrl-Z. The kernel tells
// the parent by a wait that would take the status from cmd.Wait; so /proc is
// asked.
func (term *terminal) stopped() {
	term.t.Helper()
	file := fmt.Sprintf("/proc/%d/stat", term.cmd.Process.Pid)
	for deadline := time.Now().Add(scriptPatience); ; {
		stat, err := os.ReadFile(file)
		if err != nil {
			term.t.Fatal(err)
		}
		if _, rest, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(rest, "T") {
			return
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("%v is not stopped", term.cmd.Args)
		}
		time.Sleep(time.Millisecond)
	}
}
