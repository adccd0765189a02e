//go:build vmtest

package inside

import (
	"strconv"
	"strings"
	"testing"
)

func TestLimitsStandInCgroup(t *testing.T) {
	limits := []struct{ option, file, want string }{
		{"MemoryMax=64M", "memory.max", "67108864"},
		{"MemoryHigh=48M", "memory.high", "50331648"},
		{"CPUQuota=150%", "cpu.max", "150000 100000"},
		{"CPUWeight=250", "cpu.weight", "250"},
		{"TasksMax=64", "pids.max", "64"},
		{"IOWeight=300", "io.weight", "default 300"},
	}
	limited := "[Stream]\nType=simple\nExecStart=sleep 1000\n"
	free := limited
	for _, l := range limits {
		limited += l.option + "\n"
	}
	m := serving(t, map[string]string{"limited": limited, "free": free})
	m.event("limited", "started")
	m.event("free", "started")
	for _, l := range limits {
		t.Run(l.option, func(t *testing.T) {
			m := m.in(t)
			if got := m.cgroup("limited", l.file); got != l.want {
				t.Errorf("%s is %q, want %q", l.file, got, l.want)
			}
			if got := m.cgroup("free", l.file); got == l.want {
				t.Errorf("%s of a stream without limits is %q", l.file, got)
			}
		})
	}
	for _, name := range []string{"limited", "free"} {
		if got := m.cgroup(name, "cgroup.procs"); got != m.pid(name) {
			t.Errorf("in the control group of %s is %q, its pid is %s", name, got, m.pid(name))
		}
	}
	m.onlyCgroups("free", "limited")
	if r := m.Journal(m.since, "-u", "ffkeeper", "-u", "ffkeeper-streams", "-p", "warning"); len(r) > 0 {
		t.Errorf("there were warnings: %v", r)
	}
}

// The quota binds whatever the host's speed: in n periods of 100 ms, 20 ms of
// CPU time each, and what the kernel hands out at once to each CPU (5 ms).
func TestCPUQuotaThrottles(t *testing.T) {
	m := serving(t, map[string]string{"burner": `[Stream]
Type=simple
CPUQuota=20%
ExecStart=sh -c "while :; do :; done & while :; do :; done"
`})
	m.event("burner", "started")
	number := func(key string) int {
		n, err := strconv.Atoi(m.counter("burner", "cpu.stat", key))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	m.Eventually(patience, "throttled in 20 periods", func() string {
		if n := number("nr_throttled"); n < 20 {
			return strconv.Itoa(n)
		}
		return ""
	})
	used := number("usage_usec")
	if allowed := (number("nr_periods") + 2) * 30_000; used > allowed {
		t.Errorf("it has had %d µs of CPU time, want at most %d", used, allowed)
	}
}

// dash gives up at the first fork that is refused.
const forker = `[Stream]
Type=simple
Restart=no
TasksMax=10
ExecStart=sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1234 & done; echo all are started; wait"
`

func TestTasksMaxRefusesAndIsNamed(t *testing.T) {
	m := serving(t, map[string]string{"forker": forker})
	exited := m.event("forker", "exited")
	if exited["FFKEEPER_REASON"] != "task-limit" || !strings.Contains(exited["MESSAGE"], "TasksMax=") {
		t.Errorf("the journal says\n%v", exited)
	}
	m.event("forker", "failed")
	if reason, detail := m.property("forker", "Reason"), m.property("forker", "Detail"); reason != "task-limit" || !strings.Contains(detail, "TasksMax=") {
		t.Errorf("the reason is %s, %q", reason, detail)
	}
	lines := m.Journal(m.since, "-t", "forker")
	if len(lines) != 1 || !strings.Contains(lines[0]["MESSAGE"], "annot fork") {
		t.Errorf("its shell said %v", lines)
	}
	m.onlyCgroups()
	if left := m.processes("sleep 1234"); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}
