package shim

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// cgroupSetting is one file to be written into a cgroup.
type cgroupSetting struct {
	option     string // as in a stream file, with its value; "": nobody asked for it
	controller string
	file       string
	value      string
}

const infinity = ^uint64(0)

// Of the processor controller, all in µs (cgroup-v2.rst, kernel/sched/core.c):
// the period unless a quota would fall below the least the kernel takes.
const (
	cpuPeriod    = 100_000
	maxCPUPeriod = 1_000_000
	minCPUQuota  = 1_000
)

// settings are the files for the limits, in the order to write them.
func (l *CgroupLimits) settings() []cgroupSetting {
	// A pipeline that has lost a part to the OOM killer is of no use.
	list := []cgroupSetting{{"", "memory", "memory.oom.group", "1"}}
	if l == nil {
		return list
	}
	amount := func(option, controller, file string, v *uint64) {
		if v == nil {
			return
		}
		value, shown := strconv.FormatUint(*v, 10), strconv.FormatUint(*v, 10)
		if *v == infinity {
			value, shown = "max", "infinity"
		}
		list = append(list, cgroupSetting{option + "=" + shown, controller, file, value})
	}
	amount("MemoryHigh", "memory", "memory.high", l.MemoryHigh)
	amount("MemoryMax", "memory", "memory.max", l.MemoryMax)
	amount("TasksMax", "pids", "pids.max", l.TasksMax)
	amount("CPUWeight", "cpu", "cpu.weight", l.CPUWeight)
	if l.CPUQuota != nil {
		list = append(list, cgroupSetting{
			"CPUQuota=" + strconv.FormatFloat(*l.CPUQuota*100, 'f', -1, 64) + "%", "cpu", "cpu.max", cpuMax(*l.CPUQuota),
		})
	}
	if w := l.IOWeight; w != nil {
		list = append(list,
			// Of the BFQ scheduler, where a disk has that.
			cgroupSetting{"", "io", "io.bfq.weight", strconv.FormatUint(bfqWeight(*w), 10)},
			cgroupSetting{fmt.Sprintf("IOWeight=%d", *w), "io", "io.weight", fmt.Sprintf("default %d", *w)},
		)
	}
	return list
}

// cpuMax is the line for cpu.max: so many µs in each period, together cores.
func cpuMax(cores float64) string {
	period := math.Round(max(cpuPeriod, min(maxCPUPeriod, minCPUQuota/cores)))
	quota := math.Round(max(minCPUQuota, cores*period))
	return fmt.Sprintf("%.0f %.0f", quota, period)
}

// bfqWeight maps 1..10000 to BFQ's 1..1000, 100 to 100, as systemd does.
func bfqWeight(w uint64) uint64 {
	if w <= 100 {
		return w
	}
	return 100 + (w-100)*(1000-100)/(10000-100)
}

var errNoControllers = errors.New("this shim has no control groups")

// apply puts the limits in force in a directory. What cannot be is a warning
// that names the stream, the option and the reason.
func (l *CgroupLimits) apply(stream, dir string, controllers map[string]bool) (warnings []error) {
	for _, set := range l.settings() {
		var err error
		switch {
		case dir == "":
			err = errNoControllers
		case controllers[set.controller]:
			err = writeFile(dir+"/"+set.file, set.value)
			if err == unix.ENOENT {
				err = fmt.Errorf("this kernel has no %s", set.file)
			}
		default:
			err = fmt.Errorf("the %s controller is not given to this shim", set.controller)
		}
		if err != nil && set.option != "" {
			warnings = append(warnings, fmt.Errorf("%s: %s is not in force: %w", stream, set.option, err))
		}
	}
	return warnings
}
