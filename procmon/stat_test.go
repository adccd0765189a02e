package procmon

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

func TestStatIsReadAsProcfsReadsIt(t *testing.T) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		t.Fatal(err)
	}
	// A name that looks like the rest of the line, a child that was waited
	// for, and a zombie.
	cmd := exec.Command("sh", "-c", `printf '1) R 7 8 9' >/proc/self/comm; true & wait; sleep 0 & exec sleep 1000`)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	var r fileReader
	for _, pid := range []int{os.Getpid(), os.Getppid(), cmd.Process.Pid, 1} {
		proc, err := fs.Proc(pid)
		if err != nil {
			t.Fatal(err)
		}
		// Read between two of ours that are alike, or its figures may have
		// moved on.
		for tries := 0; ; tries++ {
			before, err := r.readStat(pid)
			if err != nil {
				t.Fatal(err)
			}
			want, err := proc.Stat()
			if err != nil {
				t.Fatal(err)
			}
			after, err := r.readStat(pid)
			if err != nil {
				t.Fatal(err)
			}
			if before != after && tries < 1000 {
				continue
			}
			got := stat{
				state: want.State[0], ppid: want.PPID, user: time.Duration(want.UTime) * tick, system: time.Duration(want.STime) * tick,
				reaped: time.Duration(want.CUTime+want.CSTime) * tick, threads: want.NumThreads, start: want.Starttime,
				residentMemory: uint64(want.ResidentMemory()),
			}
			if got != after {
				t.Errorf("process %d: %+v, procfs %+v", pid, after, got)
			}
			break
		}
	}
}

func TestStatOfNoProcessIsGone(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if start, err := StartTime(cmd.Process.Pid); err == nil {
		t.Errorf("started at %d", start)
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 22 23 24 18446744073709551615\n"))
	f.Add([]byte("77 (a) R (b) ) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"))
	f.Add([]byte("1 () S"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStat(text)
		if err == nil && s.state == 0 {
			t.Errorf("%+v of %q", s, text)
		}
	})
}
