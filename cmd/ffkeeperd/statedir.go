package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// defaultStateDir is the state directory where FFKEEPER_STATE_DIR is not set:
// systemd's RuntimeDirectory=, else one of the user's own.
func defaultStateDir(environ map[string]string) string {
	// Several names in RuntimeDirectory= arrive as one list; ours is first.
	if dir, _, _ := strings.Cut(environ["RUNTIME_DIRECTORY"], ":"); dir != "" {
		return dir
	}
	if dir := environ["XDG_RUNTIME_DIR"]; dir != "" {
		return filepath.Join(dir, "ffkeeper")
	}
	return filepath.Join("/tmp", "ffkeeper-"+strconv.Itoa(os.Getuid()))
}

// Prepare makes the state directory, readable by its owner only, where there
// is none. One that belongs to somebody else is refused: below /tmp anybody
// could have put it there to read the bus's socket.
func (d StateDir) Prepare() error {
	dir := string(d)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the state directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("cannot use the state directory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("cannot use the state directory %s: not a directory of uid %d", dir, os.Geteuid())
	}
	return nil
}
