// Package chaos shows on running programs that nothing that happens to the
// keeper interrupts a stream.
//
// There are two kinds of host. A plain one has no systemd: a shim with
// --linger, a bus of the test's own, and a ffkeeperd that is killed hundreds of
// times in a minute. A booted one is a real systemd, with the programs as
// installed and real ffmpeg; there all that an administrator or a bad day can
// do to the daemon is done to it.
//
// What happens when is random. The seed is printed; CHAOS_SEED= sets it, and
// CHAOS_EVENTS= how much happens on the booted host; CHAOS_ONLY= is a part of the
// names of what happens, to look closer at that. "make chaos" is the long form.
package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// work outlives single tests and is removed after the last.
var work string

func TestMain(m *testing.M) {
	shim.ExecHelperMain()
	os.Exit(func() int {
		var err error
		if work, err = os.MkdirTemp("", "chaos-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(work)
		return m.Run()
	}())
}

// random is a test's own source of chance.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// programs builds ffkeeperd and ffkeeper-shim once, side by side, with the race
// detector where the test has it.
var programs = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(work, "bin")
	args := []string{"build", "-buildvcs=false", "-o", dir + "/"}
	if raceEnabled {
		args = append(args, "-race")
	}
	args = append(args, "../../cmd/ffkeeperd", "../../cmd/ffkeeper-shim")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// eventually asks until cond answers "", for what has no event to wait for.
func eventually(t *testing.T, what string, cond func() string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		answer := cond()
		if answer == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s: %s", what, answer)
		}
	}
}
