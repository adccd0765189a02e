package dbusapi

import (
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// health is the dictionary of GetHealth. Keys of what is not known are left
// out; the contract says which are always there.
func health(s *stream.Snapshot, now time.Time) map[string]dbus.Variant {
	h := make(map[string]dbus.Variant, 33)
	h["state"] = variantString(string(s.State))
	h["health"] = variantString(string(s.Health))
	h["reason"] = variantString(string(s.Reason))
	h["pid"] = variantUint32(s.PID)
	uptime := 0.0
	if s.PID != 0 && !s.Started.IsZero() {
		uptime = max(now.Sub(s.Started).Seconds(), 0)
	}
	h["uptime_seconds"] = variantDouble(uptime)
	h["restart_count"] = variantUint32(s.RestartCount)
	h["consecutive_failures"] = variantUint32(s.ConsecutiveFailures)
	h["recent_errors"] = variantStrings(s.RecentErrors)
	h["exit_codes"] = variantInts(s.ExitCodes)

	if s.Detail != "" {
		h["detail"] = variantString(s.Detail)
	}
	if !s.LastActivity.IsZero() {
		h["last_activity_ago"] = variantDouble(max(now.Sub(s.LastActivity).Seconds(), 0))
	}
	if !s.LastRestart.IsZero() {
		h["last_restart_usec"] = variantUsec(s.LastRestart)
	}
	if !s.NextRestart.IsZero() {
		h["next_restart_usec"] = variantUsec(s.NextRestart)
	}
	if s.Usage != nil {
		usage(h, s.Usage)
	}
	if s.Progress != nil {
		progress(h, s.Progress)
	}
	return h
}

func usage(h map[string]dbus.Variant, u *stream.Usage) {
	if u.HasCPU {
		h["cpu_percent"] = variantDouble(u.CPUPercent)
	}
	h["rss_bytes"] = variantUint64(u.RSS)
	h["threads"] = variantUint32(u.Threads)
	if u.HasIO {
		h["read_bytes"] = variantUint64(u.ReadBytes)
		h["write_bytes"] = variantUint64(u.WriteBytes)
	}
	if u.HasCgroupMemory {
		h["cgroup_memory_bytes"] = variantUint64(u.CgroupMemory)
	}
	if u.HasCgroupCPU {
		h["cgroup_cpu_percent"] = variantDouble(u.CgroupCPUPercent)
	}
	if u.HasPressureCPU {
		h["pressure_cpu_percent"] = variantDouble(u.PressureCPU)
	}
	if u.HasPressureMemory {
		h["pressure_memory_percent"] = variantDouble(u.PressureMemory)
	}
	if u.HasPressureIO {
		h["pressure_io_percent"] = variantDouble(u.PressureIO)
	}
}

func progress(h map[string]dbus.Variant, p *stream.Progress) {
	if p.HasFrame {
		h["frame"] = variantUint64(p.Frame)
	}
	if p.HasFPS {
		h["fps"] = variantDouble(p.FPS)
	}
	if p.HasSpeed {
		h["speed"] = variantDouble(p.Speed)
	}
	if p.HasBitrate {
		h["bitrate_bps"] = variantUint64(p.BitrateBPS)
	}
	if p.HasOutTime {
		h["out_time_usec"] = variantInt64(p.OutTime.Microseconds())
	}
	if p.HasTotalBytes {
		h["total_bytes"] = variantUint64(p.TotalBytes)
	}
	h["dropped_frames"] = variantUint64(p.Dropped)
	h["duplicated_frames"] = variantUint64(p.Duplicated)
}
