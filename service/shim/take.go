package shim

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Names of the descriptors beside a child message; the ends go by their own.
const (
	fdPIDFD   = "pidfd"
	fdDrained = "drained"
	fdExtra   = "extra"
)

// takeChild makes a Child of a child or spawned message. It takes over the
// descriptors whatever it returns.
func takeChild(m *message, fds []int) (*Child, error) {
	child, drained, err := takeFiles(m, fds)
	if drained >= 0 {
		unix.Close(drained)
	}
	return child, err
}

// takeHeld makes a Held of a child message, likewise.
func takeHeld(m *message, fds []int) (*Held, error) {
	child, drained, err := takeFiles(m, fds)
	if err != nil {
		return nil, err
	}
	held := &Held{Child: *child, Exited: m.Child.Exited.event(), Empty: m.Child.Empty, Termed: m.Child.Termed, Killing: m.Child.Killing}
	if drained < 0 {
		return held, nil
	}
	defer unix.Close(drained)
	data, err := readMemfd(drained, maxDrained)
	if err != nil {
		held.close()
		return nil, err
	}
	held.Drained = map[End]Drained{}
	for end, s := range m.Child.Drained {
		if s.Offset < 0 || s.Len < 0 || s.Offset > len(data) || s.Len > len(data)-s.Offset {
			held.close()
			return nil, fmt.Errorf("drained %s of child %d: out of bounds", end, child.ID)
		}
		held.Drained[end] = Drained{Data: data[s.Offset : s.Offset+s.Len : s.Offset+s.Len], Dropped: s.Dropped}
	}
	return held, nil
}

// maxDrained bounds the memfd of all that was drained for one child.
const maxDrained = 3 * maxRing

// takeFiles sorts the descriptors; drained is -1 where there is none.
func takeFiles(m *message, fds []int) (child *Child, drained int, err error) {
	drained = -1
	if m.Child == nil {
		closeAll(fds)
		return nil, -1, errors.New("child message without a child")
	}
	b := m.Child
	child = &Child{ID: b.ID, Stream: string(b.Stream), PID: b.PID, Started: time.Unix(0, b.Started), Cgroup: string(b.Cgroup)}
	for i, fd := range fds {
		name := ""
		if i < len(m.FDs) {
			name = m.FDs[i]
		}
		file := func(slot **os.File) {
			if *slot != nil {
				unix.Close(fd)
				return
			}
			*slot = os.NewFile(uintptr(fd), name+" of "+child.Stream)
		}
		switch name {
		case fdPIDFD:
			file(&child.PIDFD)
		case string(Stdin):
			file(&child.Stdin)
		case string(Stdout):
			file(&child.Stdout)
		case string(Stderr):
			file(&child.Stderr)
		case string(Progress):
			file(&child.Progress)
		case fdDrained:
			if drained >= 0 {
				unix.Close(drained)
			}
			drained = fd
		default: // of a newer shim
			unix.Close(fd)
		}
	}
	return child, drained, nil
}

// close closes the files.
func (c *Child) close() {
	for _, f := range []*os.File{c.PIDFD, c.Stdin, c.Stdout, c.Stderr, c.Progress} {
		if f != nil {
			f.Close()
		}
	}
}
