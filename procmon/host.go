package procmon

import (
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/prometheus/procfs"
)

// When Host.Slow says yes: percent, and load for each CPU.
//
// Measured with x264 encoding 720p30 in real time on 2 CPUs (kernel 6.18), as
// share of time in which somebody waited for a CPU, avg10: 1 stream 7 %, 2
// streams 21 %, both in time; 3 streams 69 %, speed 0.8, load 4.5. Beside
// endless loops the figure rises too (3 of them: 60 %) while one light stream
// stays in time: pressure alone proves nothing about a stream. The shares for
// memory and I/O are not measured but set high: in them the machine as a
// whole stands still.
const (
	slowCPU    = 50.0
	slowMemory = 20.0
	slowIO     = 50.0
	slowLoad   = 2.0
)

// Host tells whether the machine itself holds its streams up. Its methods may
// be called from any goroutine.
type Host struct {
	fs    procfs.FS
	ok    bool // there is a /proc
	cores int
}

// NewHost looks at this machine.
func NewHost() *Host {
	h := &Host{cores: runtime.NumCPU()}
	// NumCPU is what this process may use; load is that of all.
	if all, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*"); len(all) > 0 {
		h.cores = len(all)
	}
	fs, err := procfs.NewDefaultFS()
	h.fs, h.ok = fs, err == nil
	return h
}

// Pressure reads /proc/pressure.
func (h *Host) Pressure() Pressure {
	return Pressure{h.pressure("cpu"), h.pressure("memory"), h.pressure("io")}
}

func (h *Host) pressure(resource string) *procfs.PSIStats {
	if !h.ok {
		return nil
	}
	p, err := h.fs.PSIStatsForResource(resource)
	if err != nil {
		return nil
	}
	return &p
}

// Slow answers whether the host is overloaded, and by what, for people. It is
// meant for a stream that is already known to be late: a host may be busy and
// its streams in time. It is overloaded by any of these, each over the last
// ten seconds:
//   - CPU: for more than 50 % of the time some process that could run had to
//     wait for a CPU;
//   - memory: for more than 20 % of the time every process that had work to
//     do waited for memory: the machine swaps itself to a standstill;
//   - I/O: for more than 50 % of the time every process that had work to do
//     waited for I/O.
//
// Without PSI for the CPU: a load average over one minute above twice the
// number of CPUs. Where neither can be read the answer is no.
func (h *Host) Slow() (bool, string) {
	p := h.Pressure()
	switch {
	case p.CPU != nil && p.CPU.Some != nil:
		if v := p.CPU.Some.Avg10; v > slowCPU {
			return true, fmt.Sprintf("processes waited for a CPU for %.0f %% of the last 10 s", v)
		}
	case h.ok:
		if load, err := h.fs.LoadAvg(); err == nil && load.Load1 > slowLoad*float64(h.cores) {
			return true, fmt.Sprintf("load average is %.1f on %d CPUs", load.Load1, h.cores)
		}
	}
	if p.Memory != nil && p.Memory.Full != nil && p.Memory.Full.Avg10 > slowMemory {
		return true, fmt.Sprintf("everything waited for memory for %.0f %% of the last 10 s", p.Memory.Full.Avg10)
	}
	if p.IO != nil && p.IO.Full != nil && p.IO.Full.Avg10 > slowIO {
		return true, fmt.Sprintf("everything waited for I/O for %.0f %% of the last 10 s", p.IO.Full.Avg10)
	}
	return false, ""
}
