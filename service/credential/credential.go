// Package credential finds the credentials that streams are given: those that
// systemd hands to the keeper's unit (LoadCredential=, LoadCredentialEncrypted=
// and SetCredential=; systemd.exec(5), "Credentials"), and files that only
// their owner can read, in a directory of the administrator's.
//
// It says where a credential is and whether it may be trusted to be one, reads
// it, and keeps nothing. What is read must not be shown: that is for who asks.
package credential

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Largest is how much of a credential is read, in bytes: one more than a
// stream can be given, so that it is seen to be too large.
const Largest = 8<<10 + 1

// Store is where credentials are. The zero Store has none.
type Store struct {
	// Systemd is the directory that systemd made for this unit,
	// $CREDENTIALS_DIRECTORY; "": none. Modes there are systemd's business:
	// where it gives the unit's user access by an ACL, they show a group's.
	Systemd string
	// Path are the administrator's directories. A file there belongs to root
	// or to the own user and is for its owner alone (0600 or stricter).
	// Systemd comes first, then these in order.
	Path []string
}

// ErrNotFound says that no directory has such a credential.
var ErrNotFound = fmt.Errorf("there is none: %w", fs.ErrNotExist)

// Read reads the credential of that name, at most Largest bytes. The error
// completes "cannot read it, as ", and puts no colon after a path: what stands
// after the name of a key and a colon is redacted wherever it is shown.
func (s *Store) Read(name string) ([]byte, error) {
	path, err := s.find(name)
	if err != nil {
		return nil, err
	}
	// A FIFO in its place would block.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrPermission) && !s.bySystemd(path) {
		return nil, fmt.Errorf("%w, for it belongs to somebody else than the keeper; chown %s %s", fs.ErrPermission, ownName(), path)
	}
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = s.check(path, info, true)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, Largest))
}

// Look says what is wrong with the credential of that name as far as that can
// be seen without reading it, by whatever user. ErrNotFound is in the error
// where there is none.
func (s *Store) Look(name string) error {
	path, err := s.find(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return cause(err)
	}
	return s.check(path, info, false)
}

// find is where the credential is.
func (s *Store) find(name string) (string, error) {
	if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\x00") {
		return "", errors.New("the name is no file name")
	}
	dirs := s.Path
	if s.Systemd != "" {
		dirs = append([]string{s.Systemd}, dirs...)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		_, err := os.Lstat(path)
		switch {
		case err == nil:
			return path, s.checkDir(dir)
		case !errors.Is(err, fs.ErrNotExist):
			return "", cause(err)
		}
	}
	if len(dirs) == 0 {
		return "", ErrNotFound
	}
	return "", fmt.Errorf("%w, neither in %s", ErrNotFound, strings.Join(dirs, " nor in "))
}

func (s *Store) bySystemd(path string) bool {
	return s.Systemd != "" && filepath.Dir(path) == s.Systemd
}

// checkDir: nobody but root and we may put a file there.
func (s *Store) checkDir(dir string) error {
	if dir == s.Systemd {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return cause(err)
	}
	switch {
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("mode %04o lets others write to %s; chmod go-w %[2]s", info.Mode().Perm(), dir)
	case !ours(info):
		return fmt.Errorf("%s belongs neither to root nor to the keeper; chown root %[1]s", dir)
	}
	return nil
}

// check: the file is one, and nobody but its owner may read it. owner: so is
// whose it is.
func (s *Store) check(path string, info fs.FileInfo, owner bool) error {
	forbidden := fs.FileMode(0o177)
	if s.bySystemd(path) {
		forbidden = 0o007
	}
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("it is no regular file, %s", path)
	case info.Mode().Perm()&forbidden != 0:
		return fmt.Errorf("mode %04o lets others read it; chmod 0600 %s", info.Mode().Perm(), path)
	case owner && !s.bySystemd(path) && !ours(info):
		return fmt.Errorf("it belongs neither to root nor to the keeper; chown %s %s", ownName(), path)
	}
	return nil
}

// ours: it belongs to root or to who we are.
func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}

// cause is err without the path.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
