package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalOf answers the file behind a stream if it is a terminal.
func terminalOf(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return nil, false
	}
	_, err := getTermios(f)
	return f, err == nil
}

// terminalSize answers 0, 0 where the terminal does not say.
func terminalSize(f *os.File) (width, height int) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, 0
	}
	_ = conn.Control(func(fd uintptr) {
		if ws, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			width, height = int(ws.Col), int(ws.Row)
		}
	})
	return width, height
}

// getTermios goes through SyscallConn: Fd would make the file blocking.
func getTermios(f *os.File) (t *unix.Termios, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	if e := conn.Control(func(fd uintptr) { t, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) }); e != nil {
		return nil, e
	}
	return t, err
}

func setTermios(f *os.File, t *unix.Termios) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if e := conn.Control(func(fd uintptr) { err = unix.IoctlSetTermios(int(fd), unix.TCSETSW, t) }); e != nil {
		return e
	}
	return err
}
