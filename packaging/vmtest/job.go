package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pack makes the archive that the machine unpacks over its root directory:
// ffkeeper as installed, the test binary, and the command that runs it.
func pack(ctx context.Context, root, work, job, binary string, args []string) error {
	seed := filepath.Join(work, "seed")
	inside := filepath.Join(seed, "vmtest/inside")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		return err
	}
	// The machine's / becomes like it, whatever our umask is.
	if err := os.Chmod(seed, 0o755); err != nil {
		return err
	}
	for _, step := range [][]string{
		{"make", "-s", "-C", root, "install", "DESTDIR=" + seed, "PREFIX=/usr"},
		{"cp", binary, filepath.Join(seed, "vmtest/test")},
	} {
		if out, err := exec.CommandContext(ctx, step[0], step[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(step, " "), err, out)
		}
	}
	// The example is for people; tests have streams of their own.
	err := errors.Join(
		os.WriteFile(filepath.Join(seed, "vmtest/command"), []byte(command(args)), 0o755),
		os.Remove(filepath.Join(seed, "etc/ffkeeper/streams.d/testcard.stream")))
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "tar", "-C", seed, "-c", "-f", job, "--owner=0", "--group=0", ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	return nil
}

// command is a script that runs the test binary with these arguments.
func command(args []string) string {
	script := "#!/bin/sh\nexec /vmtest/test"
	for _, arg := range args {
		script += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return script + "\n"
}
