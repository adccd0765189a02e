//go:build vmtest

package inside

import (
	"context"
	"fmt"
	"testing"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// The figures are of the whole control group: it is not the main process that
// has the memory here.
func TestHealthHasFiguresOfWholeCgroup(t *testing.T) {
	m := serving(t, map[string]string{
		"memory": `[Stream]
Type=simple
HealthCheckSec=1s
ExecStart=sh -c "head -c 40000000 /dev/zero | tail -c 40000000 | sleep 1234"
`,
		"burner": `[Stream]
Type=simple
HealthCheckSec=1s
CPUQuota=20%
ExecStart=sh -c "while :; do :; done & wait"
`,
	})
	m.event("memory", "started")
	m.event("burner", "started")
	c, err := client.Dial("system", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// figure is a key of GetHealth, of the type that the contract has.
	type figures struct {
		memory uint64
		cpu    float64
	}
	get := func(stream string) (f figures, missing string) {
		h, err := c.Health(context.Background(), stream)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"pressure_cpu_percent", "pressure_memory_percent", "pressure_io_percent"} {
			if v, ok := h.Raw[key].(float64); !ok || v < 0 || v > 100 {
				missing += fmt.Sprintf("%s is %v ", key, h.Raw[key])
			}
		}
		var ok bool
		if f.memory, ok = h.Raw["cgroup_memory_bytes"].(uint64); !ok {
			missing += fmt.Sprintf("cgroup_memory_bytes is %v ", h.Raw["cgroup_memory_bytes"])
		}
		if f.cpu, ok = h.Raw["cgroup_cpu_percent"].(float64); !ok {
			missing += fmt.Sprintf("cgroup_cpu_percent is %v ", h.Raw["cgroup_cpu_percent"])
		}
		return f, missing
	}
	m.Eventually(patience, "the memory of a part", func() string {
		f, missing := get("memory")
		if missing == "" && (f.memory < 40_000_000 || f.memory > 60_000_000) {
			return fmt.Sprint(f.memory)
		}
		return missing
	})
	m.Eventually(patience, "the CPU time of a part, which is capped", func() string {
		f, missing := get("burner")
		if missing == "" && (f.cpu < 5 || f.cpu > 40) {
			return fmt.Sprint(f.cpu)
		}
		return missing
	})
}
