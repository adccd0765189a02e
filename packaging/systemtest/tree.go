package systemtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// MakeTree makes a directory from which "make install" works, of the checkout
// at root, with programs built now, so that neither a stale bin/ nor a
// concurrent make matters.
func MakeTree(root, tree, version string) error {
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	copied := []string{"cp", "-a"}
	for _, name := range []string{"Makefile", "packaging", "contrib"} {
		copied = append(copied, filepath.Join(root, name))
	}
	if out, err := exec.Command(copied[0], append(copied[1:], tree)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(copied, " "), err, out)
	}
	return BuildPrograms(root, filepath.Join(tree, "bin"), version)
}

// BuildPrograms builds our programs into a directory.
func BuildPrograms(root, dir, version string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-X main.version="+version, "-o", abs+"/",
		"./cmd/ffkeeperd", "./cmd/ffkeeper-shim", "./cmd/ffkeeperctl")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Seed fills a directory for Boot: everything installed from tree below /usr,
// and files, by absolute path, laid over it.
func Seed(tree, seed string, files map[string]string) error {
	out, err := exec.Command("make", "-C", tree, "install", "DESTDIR="+seed, "PREFIX=/usr").CombinedOutput()
	if err != nil {
		return fmt.Errorf("make install: %w\n%s", err, out)
	}
	for path, text := range files {
		path = filepath.Join(seed, path)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}
