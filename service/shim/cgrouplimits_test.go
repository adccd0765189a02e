package shim

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLimitsAreWrittenAsTheKernelWantsThem(t *testing.T) {
	all := map[string]bool{"cpu": true, "memory": true, "pids": true, "io": true}
	for name, test := range map[string]struct {
		limits *CgroupLimits
		want   map[string]string
	}{
		"none":    {nil, map[string]string{"memory.oom.group": "1"}},
		"memory":  {&CgroupLimits{MemoryMax: ptr(uint64(100 << 20)), MemoryHigh: ptr(uint64(90 << 20))}, map[string]string{"memory.oom.group": "1", "memory.max": "104857600", "memory.high": "94371840"}},
		"no end":  {&CgroupLimits{MemoryMax: ptr(infinity), MemoryHigh: ptr(infinity), TasksMax: ptr(infinity)}, map[string]string{"memory.oom.group": "1", "memory.max": "max", "memory.high": "max", "pids.max": "max"}},
		"weights": {&CgroupLimits{CPUWeight: ptr(uint64(10000)), IOWeight: ptr(uint64(1))}, map[string]string{"memory.oom.group": "1", "cpu.weight": "10000", "io.weight": "default 1", "io.bfq.weight": "1"}},
		"heavy":   {&CgroupLimits{IOWeight: ptr(uint64(10000))}, map[string]string{"memory.oom.group": "1", "io.weight": "default 10000", "io.bfq.weight": "1000"}},
		"tasks":   {&CgroupLimits{TasksMax: ptr(uint64(7))}, map[string]string{"memory.oom.group": "1", "pids.max": "7"}},
		"half":    {&CgroupLimits{CPUQuota: ptr(0.5)}, map[string]string{"memory.oom.group": "1", "cpu.max": "50000 100000"}},
		"two":     {&CgroupLimits{CPUQuota: ptr(2.0)}, map[string]string{"memory.oom.group": "1", "cpu.max": "200000 100000"}},
		// The kernel takes no quota below a millisecond.
		"half a percent": {&CgroupLimits{CPUQuota: ptr(0.005)}, map[string]string{"memory.oom.group": "1", "cpu.max": "1000 200000"}},
		"next to none":   {&CgroupLimits{CPUQuota: ptr(0.0001)}, map[string]string{"memory.oom.group": "1", "cpu.max": "1000 1000000"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.limits.check(); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			files := []string{"memory.oom.group", "memory.max", "memory.high", "cpu.max", "cpu.weight", "io.weight", "io.bfq.weight", "pids.max"}
			for _, f := range files {
				if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if w := test.limits.apply("s", dir, all); len(w) > 0 {
				t.Errorf("%v", w)
			}
			for _, f := range files {
				got, err := os.ReadFile(filepath.Join(dir, f))
				if err != nil || string(got) != test.want[f] {
					t.Errorf("%s: %q, want %q (%v)", f, got, test.want[f], err)
				}
			}
		})
	}
}

func TestLimitThatCannotBeIsAWarning(t *testing.T) {
	limits := &CgroupLimits{
		MemoryMax: ptr(uint64(5)), MemoryHigh: ptr(infinity), CPUQuota: ptr(1.5), CPUWeight: ptr(uint64(1)), IOWeight: ptr(uint64(2)), TasksMax: ptr(uint64(3)),
	}
	shown := []string{"MemoryHigh=infinity", "MemoryMax=5", "TasksMax=3", "CPUWeight=1", "CPUQuota=150%", "IOWeight=2"}
	for _, test := range []struct {
		dir         string
		controllers map[string]bool
		reason      string
	}{
		{"", nil, "this shim has no control groups"},
		{t.TempDir(), nil, "controller is not given to this shim"},
		{t.TempDir(), map[string]bool{"cpu": true, "memory": true, "pids": true, "io": true}, "this kernel has no "},
	} {
		got := limits.apply("cam1", test.dir, test.controllers)
		if len(got) != len(shown) {
			t.Errorf("%v", got)
			continue
		}
		for i, w := range got {
			if text := w.Error(); !strings.HasPrefix(text, "cam1: "+shown[i]+" is not in force: ") || !strings.Contains(text, test.reason) {
				t.Errorf("%q, want one about %s: %s", text, shown[i], test.reason)
			}
		}
	}
}

// The stream starts all the same, in a cgroup of its own.
func TestStreamStartsWithoutControllers(t *testing.T) {
	l, root := startInCgroup(t)
	if have := words(root + "/cgroup.subtree_control"); have["pids"] {
		t.Skipf("SKIPPED: THERE ARE CONTROLLERS HERE: %v", have)
	}
	r := l.dial(t)
	c := r.start(SpawnRequest{Stream: "cam1", Argv: []string{"sh", "-c", "exit 4"}, Cgroup: &CgroupLimits{TasksMax: ptr(uint64(9))}})
	if w := next[Warning](r); w.Text != "cam1: TasksMax=9 is not in force: the pids controller is not given to this shim" {
		t.Errorf("%+v", w)
	}
	if c.Cgroup != root+"/cam1.stream" {
		t.Errorf("it is in %s", c.Cgroup)
	}
	if e := r.ends(c); e.Code != 4 || e.OOM || e.TaskLimit {
		t.Errorf("%+v", e)
	}
}

// What the kernel's counters say of an exit.
func TestVerdictOfTheCounters(t *testing.T) {
	for _, test := range []struct {
		memory, pids string
		exited       Exited
		oom, tasks   bool
	}{
		{"low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n", "max 0\n", Exited{Signal: int(unix.SIGKILL)}, true, false},
		{"oom_kill 2\noom_group_kill 1\n", "max 0\n", Exited{Code: 137}, true, false}, // a shell whose child it was
		{"oom_kill 1\n", "max 4\n", Exited{}, false, true},
		{"oom_kill 1\n", "max 0\n", Exited{Signal: int(unix.SIGTERM)}, false, false},
		{"oom 1\noom_kill 0\n", "max 1\n", Exited{Signal: int(unix.SIGKILL)}, false, true},
		{"", "", Exited{Signal: int(unix.SIGKILL)}, false, false}, // no controllers
	} {
		g := &cgroup{dir: t.TempDir()}
		for name, text := range map[string]string{"memory.events": test.memory, "pids.events": test.pids} {
			if text != "" {
				if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		e := test.exited
		g.verdict(&e)
		if e.OOM != test.oom || e.TaskLimit != test.tasks {
			t.Errorf("%+v: OOM %v, TaskLimit %v", test, e.OOM, e.TaskLimit)
		}
	}
}

// With the kernel's own controllers: runs where FFKEEPER_TEST_CGROUP names an
// empty cgroup that has them.
func TestLimitsAreInForce(t *testing.T) {
	parent := os.Getenv(cgroupVariable)
	if parent == "" {
		t.Skipf("SKIPPED: %s DOES NOT NAME A CGROUP WITH CONTROLLERS", cgroupVariable)
	}
	have := words(parent + "/cgroup.controllers")
	for name := range have {
		if err := writeFile(parent+"/cgroup.subtree_control", "+"+name); err != nil {
			t.Logf("+%s: %v", name, err)
		}
	}
	const hog = `x=$(head -c 100000000 /dev/zero | tr '\0' x); echo survived`
	for _, test := range []struct {
		name       string
		controller string
		limits     CgroupLimits
		script     string
		files      map[string]string // of the cgroup, as they must read
		check      func(t *testing.T, e Exited, said string)
	}{
		{"MemoryMax", "memory", CgroupLimits{MemoryMax: ptr(uint64(24 << 20))}, hog,
			map[string]string{"memory.max": "25165824", "memory.oom.group": "1"},
			func(t *testing.T, e Exited, said string) {
				if !e.OOM || e.Signal != int(unix.SIGKILL) || said != "" {
					t.Errorf("%+v, it said %q", e, said)
				}
			}},
		// The whole group goes, the part that was not guilty too.
		{"MemoryMax of a pipeline", "memory", CgroupLimits{MemoryMax: ptr(uint64(24 << 20))}, `sh -c "` + strings.ReplaceAll(strings.ReplaceAll(hog, "$", `\$`), "'\\0'", "'\\\\0'") + `" & wait; echo survived; sleep 1000`,
			nil,
			func(t *testing.T, e Exited, said string) {
				if !e.OOM || said != "" {
					t.Errorf("%+v, it said %q", e, said)
				}
			}},
		{"MemoryHigh", "memory", CgroupLimits{MemoryHigh: ptr(uint64(64 << 20))}, "echo survived",
			map[string]string{"memory.high": "67108864", "memory.max": "max"}, survives},
		{"TasksMax", "pids", CgroupLimits{TasksMax: ptr(uint64(3))}, "sleep 1000 & sleep 1000 & sleep 1000 & sleep 1000 & echo survived",
			map[string]string{"pids.max": "3"},
			func(t *testing.T, e Exited, said string) {
				if !e.TaskLimit || e.OOM {
					t.Errorf("%+v, it said %q", e, said)
				}
			}},
		{"CPUQuota", "cpu", CgroupLimits{CPUQuota: ptr(0.2)}, "until [ -e ${0%/*}/throttled ]; do :; done; echo survived",
			map[string]string{"cpu.max": "20000 100000"}, survives},
		{"CPUWeight", "cpu", CgroupLimits{CPUWeight: ptr(uint64(321))}, "echo survived", map[string]string{"cpu.weight": "321"}, survives},
		{"IOWeight", "io", CgroupLimits{IOWeight: ptr(uint64(77))}, "echo survived", map[string]string{"io.weight": "default 77"}, survives},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !have[test.controller] {
				t.Skipf("SKIPPED: %s HAS NO %s CONTROLLER", parent, test.controller)
			}
			l, _ := startInCgroup(t)
			r := l.dial(t)
			c := r.start(SpawnRequest{
				Stream: "cam1", Argv: []string{"sh", "-c", "read go; " + test.script, l.path}, Stdin: Socket, Stdout: Pipe, Cgroup: &test.limits,
			})
			for file, want := range test.files {
				got, err := os.ReadFile(c.Cgroup + "/" + file)
				if err != nil && file == "io.weight" {
					t.Skipf("SKIPPED: THIS KERNEL HAS NO io.weight: %v", err)
				}
				if err != nil || strings.TrimSpace(string(got)) != want {
					t.Errorf("%s: %q, want %q (%v)", file, got, want, err)
				}
			}
			c.Stdin.Write([]byte("\n"))
			if test.name == "CPUQuota" {
				until(t, "it is throttled", func() bool {
					n, err := readKey(c.Cgroup+"/cpu.stat", "nr_throttled")
					return err == nil && n > 0
				})
				if err := os.WriteFile(filepath.Join(filepath.Dir(l.path), "throttled"), nil, 0o644); err != nil {
					t.Error(err)
				}
			}
			e := next[Exited](r)
			r.Kill(c.ID)
			next[Empty](r)
			c.Stdout.SetReadDeadline(time.Now().Add(patience))
			said, _ := bufio.NewReader(c.Stdout).ReadString('\n')
			test.check(t, e, said)
			select {
			case e := <-r.events:
				t.Errorf("%#v", e)
			default:
			}
		})
	}
}

func survives(t *testing.T, e Exited, said string) {
	if e.Code != 0 || e.Signal != 0 || e.OOM || e.TaskLimit || said != "survived\n" {
		t.Errorf("%+v, it said %q", e, said)
	}
}
