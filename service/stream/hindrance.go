package stream

import (
	"fmt"

	"github.com/ffkeeper/ffkeeper/procmon"
)

// hindrance is what kept a stream's processes from their work of late. It
// tells a host that is too slow, or a limit that is too low, from an input
// that has stopped sending: processes that wait for their input wait for
// nothing of the host's.
type hindrance struct {
	by   cause
	text string // a clause for people, to follow another after "; "
}

type cause int

const (
	causeNone  cause = iota
	causeQuota       // CPUQuota= of the stream
	causeCPU         // too few CPUs, or too many others
	causeLimit       // MemoryHigh= or MemoryMax= of the stream
	causeMemory
	causeIO
	causeHost // the host is short of something; whether the stream is, the kernel does not tell
)

// reason of a stream that is too slow. What its own limit does to it is no
// fault of the host.
func (h hindrance) reason() Reason {
	switch h.by {
	case causeNone, causeQuota, causeLimit:
		return ReasonTooSlow
	}
	return ReasonHostSlow
}

// From what share on, in percent, a stream that is late or delivers nothing
// is so because its processes wait, or because CPUQuota= stops them. Neither
// says anything of a stream that is in time.
//
// Measured on 2 CPUs that others used too at times (kernel 6.18, ffmpeg
// 5.1.9), ffmpeg in a cgroup of its own beside endless loops (sh -c 'while :;
// do :; done') in another:
//
//	ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -c:v libx264 -preset medium -f null -
//
// as "some avg10" of its cpu.pressure after 18 to 30 s, the host's in
// brackets, the quota by cpu.cfs_quota_us of version 1 with a period of 100 ms:
//
//	alone                                 speed 1.00   18 %  [29]
//	beside 1 loop                         speed 0.86   71 %  [81]
//	beside 2 loops                        speed 1.08   53 %  [78]
//	1920x1080, -preset slow, alone        speed 0.45   57 %  [66]
//	-preset veryfast -threads 1, 2 loops  speed 0.96   35 %  [73]
//	-preset veryfast, quota 50 %          speed 1.00   15 %  [29]  throttled in 14 % of the periods
//	-preset veryfast, quota 35 %          speed 0.86   71 %  [85]  throttled in 98 %
//	-preset veryfast, quota 20 %          speed 0.49   62 %  [66]  throttled in 100 %
//
// and where the input is to blame, at half speed (-readrate 0.5 for -re) or
// silent (a FIFO), while the host's own figure blames the host:
//
//	-preset veryfast beside 3 loops       speed 0.50   16 %  [72]
//	-preset veryfast beside 8 loops       speed 0.50   44 %  [81]
//	320x180, ultrafast, beside 8 loops    speed 0.50   13 %  [72]
//	silent, beside 8 loops                speed 0       1 %  [94]
//
// A thread that shares a CPU with one other waits for half of the time at
// most: such a stream may be called too slow without more. Memory and I/O are
// not measured; the same share of time is lost in them.
const (
	waitsMost     = 50.0
	throttledMost = 50.0
)

// hindrance judges by the stream's own cgroup; known is false where the
// kernel does not tell.
func (u *Usage) hindrance() (h hindrance, known bool) {
	if u == nil {
		return hindrance{}, false
	}
	waited := func(by cause, percent float64, what, so string) (hindrance, bool) {
		return hindrance{by, fmt.Sprintf("its processes waited for %s for %.0f %% of the last 10 s: %s", what, percent, so)}, true
	}
	// What has too little memory waits for I/O too, and for a CPU meanwhile.
	switch {
	case u.ThrottledPercent >= throttledMost:
		return hindrance{causeQuota, fmt.Sprintf("throttled by CPUQuota= in %.0f %% of its periods", u.ThrottledPercent)}, true
	case u.HasPressureMemory && u.PressureMemory >= waitsMost && u.MemoryLimited:
		return waited(causeLimit, u.PressureMemory, "memory", "MemoryHigh= or MemoryMax= is too low")
	case u.HasPressureMemory && u.PressureMemory >= waitsMost:
		return waited(causeMemory, u.PressureMemory, "memory", "the host has too little")
	case u.HasPressureIO && u.PressureIO >= max(waitsMost, u.PressureCPU):
		return waited(causeIO, u.PressureIO, "I/O", "a disk or network file system is too slow")
	case u.HasPressureCPU && u.PressureCPU >= waitsMost:
		return waited(causeCPU, u.PressureCPU, "a CPU", "the host is too slow")
	}
	return hindrance{}, u.HasPressureCPU
}

// SetCgroup takes over what is known of the stream's control group.
func (u *Usage) SetCgroup(c procmon.CgroupUsage) {
	u.CgroupMemory, u.HasCgroupMemory = c.Memory, c.HasMemory
	u.CgroupCPUPercent, u.HasCgroupCPU = c.CPUPercent, c.HasCPU
	u.ThrottledPercent, u.MemoryLimited = c.ThrottledPercent, c.MemoryLimited
	u.setPressure(c.Pressure)
}

func (u *Usage) setPressure(p procmon.Pressure) {
	u.PressureCPU, u.HasPressureCPU = procmon.Waited(p.CPU)
	u.PressureMemory, u.HasPressureMemory = procmon.Waited(p.Memory)
	u.PressureIO, u.HasPressureIO = procmon.Waited(p.IO)
}

// hindrance is that of the stream or, where the kernel does not tell of the
// stream alone, of the host.
func (o *owner) hindrance(u *Usage) hindrance {
	if h, known := u.hindrance(); known {
		return h
	}
	if o.cfg.HostSlow != nil {
		if why := o.cfg.HostSlow(); why != "" {
			return hindrance{causeHost, why + ": the host is too slow"}
		}
	}
	return hindrance{}
}

// usageNow is the last sample with the pressure of this moment, for a verdict:
// the sample may be HealthCheckSec= old.
func (p *process) usageNow() *Usage {
	var u Usage
	if p.usage != nil {
		u = *p.usage // a copy: snapshots share it
	}
	if p.cgroup != "" {
		u.setPressure(procmon.ReadPressure(p.cgroup))
	}
	return &u
}
