package shim

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// rlimits are the resource limits by systemd's names without "Limit".
var rlimits = map[string]int{
	"AS": unix.RLIMIT_AS, "CORE": unix.RLIMIT_CORE, "CPU": unix.RLIMIT_CPU, "DATA": unix.RLIMIT_DATA,
	"FSIZE": unix.RLIMIT_FSIZE, "LOCKS": unix.RLIMIT_LOCKS, "MEMLOCK": unix.RLIMIT_MEMLOCK,
	"MSGQUEUE": unix.RLIMIT_MSGQUEUE, "NICE": unix.RLIMIT_NICE, "NOFILE": unix.RLIMIT_NOFILE,
	"NPROC": unix.RLIMIT_NPROC, "RSS": unix.RLIMIT_RSS, "RTPRIO": unix.RLIMIT_RTPRIO,
	"RTTIME": unix.RLIMIT_RTTIME, "SIGPENDING": unix.RLIMIT_SIGPENDING, "STACK": unix.RLIMIT_STACK,
}

// needsHelper: something is asked for that has to be set in the new process.
func (r *SpawnRequest) needsHelper() bool {
	return r.Nice != nil || r.UMask != nil || len(r.CPUAffinity) > 0 || len(r.Limits) > 0 || r.OOMScoreAdj != nil
}

// checkSettings validates the values for the helper.
func (r *SpawnRequest) checkSettings() error {
	if r.Nice != nil && (*r.Nice < -20 || *r.Nice > 19) {
		return fmt.Errorf("nice %d is not within -20..19: %w", *r.Nice, syscall.EINVAL)
	}
	if r.UMask != nil && *r.UMask > 0o777 {
		return fmt.Errorf("umask %#o is not within 0..0777: %w", *r.UMask, syscall.EINVAL)
	}
	if r.OOMScoreAdj != nil && (*r.OOMScoreAdj < -1000 || *r.OOMScoreAdj > 1000) {
		return fmt.Errorf("OOM score %d is not within -1000..1000: %w", *r.OOMScoreAdj, syscall.EINVAL)
	}
	for _, cpu := range r.CPUAffinity {
		if cpu < 0 || cpu >= maxCPUs {
			return fmt.Errorf("CPU %d is not within 0..%d: %w", cpu, maxCPUs-1, syscall.EINVAL)
		}
	}
	for name, l := range r.Limits {
		if _, ok := rlimits[name]; !ok {
			return fmt.Errorf("unknown limit %q: %w", name, syscall.EINVAL)
		}
		if l.Soft > l.Hard {
			return fmt.Errorf("limit %s: soft %d is above hard %d: %w", name, l.Soft, l.Hard, syscall.EINVAL)
		}
	}
	return nil
}

// maxCPUs is what a unix.CPUSet has room for.
const maxCPUs = 1024

// check validates the shape of the limits.
func (l *CgroupLimits) check() error {
	if l == nil {
		return nil
	}
	for name, w := range map[string]*uint64{"CPUWeight": l.CPUWeight, "IOWeight": l.IOWeight} {
		if w != nil && (*w < 1 || *w > 10000) {
			return fmt.Errorf("%s %d is not within 1..10000: %w", name, *w, syscall.EINVAL)
		}
	}
	if q := l.CPUQuota; q != nil && !(*q > 0 && *q <= maxCPUs) {
		return fmt.Errorf("CPUQuota %v is not a number of cores: %w", *q, syscall.EINVAL)
	}
	return nil
}
