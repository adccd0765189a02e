// Vmtest runs a test binary in a virtual machine in which ffkeeper is
// installed, with a kernel and cgroup controllers of its own. It is for
//
//	go test -tags vmtest -exec bin/vmtest ./packaging/vmtest/inside
//
// which calls it as "vmtest BINARY ARGUMENT...": what the binary prints there
// is printed here, as it comes, and its exit code is ours. "make test-vm" does
// all of it.
//
// It needs root, Debian on x86-64 and what "packaging/dev/deps vm" lists. KVM
// is used where it works, and emulation, some ten times slower, where not. The
// machine is kept below $XDG_CACHE_HOME/ffkeeper-vmtest; no run changes it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: vmtest TEST-BINARY ARGUMENT...")
		os.Exit(2)
	}
	// QUIT is what go test sends when its own patience has ended.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer cancel()
	code, err := run(ctx, os.Args[1], os.Args[2:], os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "vmtest: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// run answers the exit code of the test binary; an error says that there is
// none.
func run(ctx context.Context, binary string, args []string, out io.Writer) (int, error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("it takes root")
	}
	root, err := sourceRoot()
	if err != nil {
		return 0, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	image := exec.CommandContext(ctx, filepath.Join(root, "packaging/vmtest/image"), filepath.Join(cache, "ffkeeper-vmtest"))
	image.Stderr = os.Stderr
	dir, err := image.Output()
	if err != nil {
		return 0, fmt.Errorf("cannot make the machine: %w", err)
	}
	work, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	job := filepath.Join(work, "job.tar")
	if err := pack(ctx, root, work, job, binary, args); err != nil {
		return 0, fmt.Errorf("cannot pack what the machine is given: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit(args), fmt.Errorf("the machine had not finished after %v", limit(args)))
	defer cancel()
	return machine{image: strings.TrimSpace(string(dir)), job: job, work: work}.run(ctx, out)
}

// sourceRoot is the directory of go.mod; go test runs us in the package's.
func sourceRoot() (string, error) {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(gomod))), nil
}

// limit is for the machine as a whole: what the tests themselves are given,
// which they report better than we can, and a minute for booting it.
func limit(args []string) time.Duration {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	timeout := flags.Duration("test.timeout", 10*time.Minute, "")
	for _, arg := range args {
		if strings.HasPrefix(arg, "-test.timeout=") {
			flags.Parse([]string{arg})
		}
	}
	return *timeout + 50*time.Second // go test waits a minute longer than the tests
}
