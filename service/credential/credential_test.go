package credential

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// file puts a credential into dir, with that mode whatever the umask.
func file(t *testing.T, dir, name, content string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func TestSystemdsCredentialsComeFirst(t *testing.T) {
	systemd, etc := t.TempDir(), t.TempDir()
	s := &Store{Systemd: systemd, Path: []string{etc}}
	file(t, etc, "key", "of the administrator", 0o600)
	if got, err := s.Read("key"); string(got) != "of the administrator" {
		t.Errorf("got %q, %v", got, err)
	}
	file(t, systemd, "key", "of systemd", 0o440) // as an ACL's mask shows
	if got, err := s.Read("key"); string(got) != "of systemd" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := s.Look("key"); err != nil {
		t.Error(err)
	}
	if _, err := s.Read("other"); !errors.Is(err, ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := new(Store).Read("key"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestCredentialsThatOthersCanReadAreRefusedWithTheirMode(t *testing.T) {
	dir := t.TempDir()
	s := &Store{Path: []string{dir}}
	for mode, refused := range map[fs.FileMode]string{
		0o600: "", 0o400: "", 0o640: "mode 0640", 0o604: "mode 0604", 0o620: "mode 0620", 0o700: "mode 0700",
	} {
		file(t, dir, "key", "s3cret", mode)
		for what, err := range map[string]error{"Look": s.Look("key"), "Read": second(s.Read("key"))} {
			if refused == "" && err != nil || refused != "" && (err == nil || !strings.Contains(err.Error(), refused) || !strings.Contains(err.Error(), filepath.Join(dir, "key"))) {
				t.Errorf("%s of %04o: %v", what, mode, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the value: %v", err)
			}
		}
		os.Remove(filepath.Join(dir, "key"))
	}
}

func second(_ []byte, err error) error { return err }

func TestDirectoryThatOthersCanWriteToIsRefusedWithItsMode(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "key", "s3cret", 0o600)
	s := &Store{Path: []string{dir}}
	for _, mode := range []fs.FileMode{0o775, 0o757} {
		os.Chmod(dir, mode)
		if _, err := s.Read("key"); err == nil || !strings.Contains(err.Error(), "mode 07") {
			t.Errorf("%04o: %v", mode, err)
		}
	}
	os.Chmod(dir, 0o755)
	if _, err := s.Read("key"); err != nil {
		t.Error(err)
	}
}

func TestCredentialOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away takes root")
	}
	dir := t.TempDir()
	file(t, dir, "key", "s3cret", 0o600)
	if err := os.Chown(filepath.Join(dir, "key"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	s := &Store{Path: []string{dir}}
	if _, err := s.Read("key"); err == nil || !strings.Contains(err.Error(), "neither to root nor to the keeper") {
		t.Errorf("got %v", err)
	}
	if err := s.Look("key"); err != nil { // whoever verifies is not the keeper
		t.Error(err)
	}
	os.Chown(filepath.Join(dir, "key"), 0, 0)
	os.Chown(dir, 65534, 65534)
	if _, err := s.Read("key"); err == nil || !strings.Contains(err.Error(), dir+" belongs neither") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyRegularFilesInTheDirectoriesAreCredentials(t *testing.T) {
	dir := t.TempDir()
	s := &Store{Path: []string{filepath.Join(dir, "in")}}
	err := errors.Join(os.Mkdir(filepath.Join(dir, "in"), 0o755), syscall.Mkfifo(filepath.Join(dir, "in/fifo"), 0o600), os.Mkdir(filepath.Join(dir, "in/dir"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	file(t, dir, "out", "s3cret", 0o600)
	for _, name := range []string{"fifo", "dir", "../out", "", ".", "..", ".hidden", "in/../out", "a\x00b"} {
		if got, err := s.Read(name); err == nil {
			t.Errorf("%q is %q", name, got)
		}
	}
}

func TestLargeCredentialIsCutWhereItIsTooLarge(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "key", strings.Repeat("x", Largest+1000), 0o600)
	if got, err := (&Store{Path: []string{dir}}).Read("key"); err != nil || len(got) != Largest {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
