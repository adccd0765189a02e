package main

import (
	"context"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openKeys opens the terminal for reading keys: not stdin, which may be
// something else, and through a description of our own, so that making it
// non-blocking (for a read that Close ends) changes nothing for the shell.
// nil: there is none, and so no keys.
func openKeys() *os.File {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	return f
}

// keyMode lets keys through one by one, unseen. Signals stay, so Ctrl-C and
// Ctrl-Z do what they do everywhere.
func keyMode(tty *os.File) (restore func(), err error) {
	before, err := getTermios(tty)
	if err != nil {
		return nil, err
	}
	t := *before
	t.Lflag &^= unix.ICANON | unix.ECHO
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := setTermios(tty, &t); err != nil {
		return nil, err
	}
	return func() { _ = setTermios(tty, before) }, nil
}

// readKeys sends keys until the terminal or the context ends.
func readKeys(ctx context.Context, tty *os.File, keys chan<- key) {
	if tty == nil {
		return
	}
	buf := make([]byte, 64)
	for {
		n, err := tty.Read(buf)
		if err != nil {
			return
		}
		for rest := buf[:n]; len(rest) > 0; {
			var k key
			k, rest = parseKey(rest)
			if k == keyNone {
				continue
			}
			select {
			case keys <- k:
			case <-ctx.Done():
				return
			}
		}
	}
}

// keySequences are what terminals send in both modes of their cursor keys
// (xterm's ctlseqs, VT220-style function keys).
var keySequences = []struct {
	bytes string
	key   key
}{
	{"\x1b[A", keyUp}, {"\x1bOA", keyUp}, {"\x1b[B", keyDown}, {"\x1bOB", keyDown},
	{"\x1b[5~", keyPageUp}, {"\x1b[6~", keyPageDown},
	{"\x1b[H", keyHome}, {"\x1bOH", keyHome}, {"\x1b[1~", keyHome}, {"\x1b[7~", keyHome},
	{"\x1b[F", keyEnd}, {"\x1bOF", keyEnd}, {"\x1b[4~", keyEnd}, {"\x1b[8~", keyEnd},
	{"q", keyQuit}, {"Q", keyQuit}, {"s", keySort}, {"S", keySortBack}, {"r", keyReverse},
	{"k", keyUp}, {"j", keyDown}, {"b", keyPageUp}, {" ", keyPageDown}, {"g", keyHome}, {"G", keyEnd},
}

// parseKey takes one key off b; unknown ones are keyNone.
func parseKey(b []byte) (key, []byte) {
	for _, s := range keySequences {
		if len(b) >= len(s.bytes) && string(b[:len(s.bytes)]) == s.bytes {
			return s.key, b[len(s.bytes):]
		}
	}
	if b[0] != 0x1b || len(b) < 2 || b[1] != '[' && b[1] != 'O' {
		return keyNone, b[1:]
	}
	// another control sequence: all of it, up to its final byte
	for i := 2; i < len(b); i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			return keyNone, b[i+1:]
		}
	}
	return keyNone, nil
}
