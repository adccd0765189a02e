package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStateDirIsMadePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 { // one that exists is taken as it is
		if err := StateDir(dir).Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestStateDirRefusesLinkAndForeignOwner(t *testing.T) {
	tmp := t.TempDir()
	link := filepath.Join(tmp, "link")
	if err := os.Symlink(tmp, link); err != nil {
		t.Fatal(err)
	}
	if err := StateDir(link).Prepare(); err == nil {
		t.Error("a symbolic link is taken")
	}
	foreign := "/" // root's, for everybody but root
	if os.Geteuid() == 0 {
		foreign = filepath.Join(tmp, "foreign")
		if err := os.Mkdir(foreign, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(foreign, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	if err := StateDir(foreign).Prepare(); err == nil {
		t.Error("somebody else's directory is taken")
	}
}
