// Command bench measures ffkeeper beside supervisord on this machine and
// prints a table. Both run the same children: the fake ffmpeg with one
// progress block and one stderr line a second, and a shell that reports its
// own start. Keeper and shim are counted together; figures are medians of the
// runs (-runs). The last column is ffkeeper's share of what supervisord takes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// bench is what all measurements share.
type bench struct {
	ctx  context.Context
	bin  string // of ffkeeper's programs
	fake string
	dir  string
	runs int
	load time.Duration // how long CPU use is measured
	out  *table

	journal *journald
}

func main() {
	b := &bench{out: newTable()}
	flag.IntVar(&b.runs, "runs", 5, "runs of each measurement; the median is shown")
	flag.StringVar(&b.bin, "bin", "bin", "directory of ffkeeperd, ffkeeper-shim and ffkeeperctl")
	flag.DurationVar(&b.load, "load", 20*time.Second, "how long CPU use is measured in each run")
	only := flag.String("only", "", "crash, load, calls, flood, callflood or survive: measure only that")
	peers := flag.Bool("peer", true, "measure supervisord too")
	flag.Parse()
	if flag.Arg(0) == "flood" { // a child of callflood's
		if err := flood(flag.Arg(1), flag.Arg(2)); err != nil {
			fmt.Fprintln(os.Stderr, "bench: flood:", err)
			os.Exit(1)
		}
		return
	}
	if flag.Arg(0) == "tick" {
		tick(flag.Arg(1)) // a child of survive's
		return
	}
	if err := b.run(*only, *peers); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(only string, peers bool) (err error) {
	var stop context.CancelFunc
	b.ctx, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "ffkeeper-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.fake = filepath.Join(b.dir, "ffmpeg")
	build := exec.Command("go", "build", "-o", b.fake, "github.com/ffkeeper/ffkeeper/service/ffmpeg/fakeffmpeg")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the fake ffmpeg: %w\n%s", err, out)
	}
	if b.journal, err = startJournal(b.dir); err != nil {
		return err
	}
	defer b.journal.stop()
	kinds := []starter{startKeeper}
	if peers {
		if _, err := exec.LookPath("supervisord"); err != nil {
			return fmt.Errorf("supervisord is missing (apt-get install supervisor, or -peer=false): %w", err)
		}
		kinds = append(kinds, startSupervisord)
	}
	steps := []struct {
		name string
		f    func([]starter) error
	}{{"crash", b.crash}, {"flood", b.flood}, {"load", b.loads}, {"calls", b.calls}, {"callflood", b.callFlood}, {"survive", b.survive}}
	for _, s := range steps {
		if only != "" && only != s.name {
			continue
		}
		if err := s.f(kinds); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.out.print(os.Stdout)
	return nil
}
