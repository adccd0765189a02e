package client

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// Health is everything known about a stream at one moment: the keys of
// GetHealth, in its units. Pointers are nil where the keeper does not know.
type Health struct {
	State, Health, Reason string
	PID                   uint32 // 0: none
	UptimeSeconds         float64
	RestartCount          uint32
	ConsecutiveFailures   uint32
	RecentErrors          []string // the last 5
	ExitCodes             []int32  // the last 10, oldest first; minus the signal

	LastActivityAgo *float64 // seconds
	LastRestartUsec *uint64  // CLOCK_REALTIME
	NextRestartUsec *uint64  // CLOCK_REALTIME

	CPUPercent *float64 // 100 is one core
	RSSBytes   *uint64
	Threads    *uint32
	ReadBytes  *uint64
	WriteBytes *uint64

	// Of the whole control group.
	CgroupMemoryBytes     *uint64  // with page cache
	CgroupCPUPercent      *float64 // 100 is one core
	PressureCPUPercent    *float64 // of the last 10 s, in which some process waited
	PressureMemoryPercent *float64
	PressureIOPercent     *float64

	Frame            *uint64
	FPS              *float64
	Speed            *float64 // of now; 1 is real time
	BitrateBPS       *uint64
	OutTimeUsec      *int64
	TotalBytes       *uint64
	DroppedFrames    *uint64
	DuplicatedFrames *uint64

	// Raw is the answer with all its keys, also those that a newer keeper
	// knows and this package does not.
	Raw map[string]any
}

// Health asks for a stream's health.
func (c *Client) Health(ctx context.Context, name string) (Health, error) {
	var d map[string]dbus.Variant
	if err := c.call(ctx, "GetHealth", []any{name}, &d); err != nil {
		return Health{}, err
	}
	return healthOf(d), nil
}

// Report asks for the health of all streams, by name.
func (c *Client) Report(ctx context.Context) (map[string]Health, error) {
	var all map[string]map[string]dbus.Variant
	if err := c.call(ctx, "GetHealthReport", nil, &all); err != nil {
		return nil, err
	}
	report := make(map[string]Health, len(all))
	for name, d := range all {
		report[name] = healthOf(d)
	}
	return report, nil
}

func healthOf(d map[string]dbus.Variant) Health {
	return Health{
		State:                 value[string](d, "state"),
		Health:                value[string](d, "health"),
		Reason:                value[string](d, "reason"),
		PID:                   value[uint32](d, "pid"),
		UptimeSeconds:         value[float64](d, "uptime_seconds"),
		RestartCount:          value[uint32](d, "restart_count"),
		ConsecutiveFailures:   value[uint32](d, "consecutive_failures"),
		RecentErrors:          value[[]string](d, "recent_errors"),
		ExitCodes:             value[[]int32](d, "exit_codes"),
		LastActivityAgo:       known[float64](d, "last_activity_ago"),
		LastRestartUsec:       known[uint64](d, "last_restart_usec"),
		NextRestartUsec:       known[uint64](d, "next_restart_usec"),
		CPUPercent:            known[float64](d, "cpu_percent"),
		RSSBytes:              known[uint64](d, "rss_bytes"),
		Threads:               known[uint32](d, "threads"),
		ReadBytes:             known[uint64](d, "read_bytes"),
		WriteBytes:            known[uint64](d, "write_bytes"),
		CgroupMemoryBytes:     known[uint64](d, "cgroup_memory_bytes"),
		CgroupCPUPercent:      known[float64](d, "cgroup_cpu_percent"),
		PressureCPUPercent:    known[float64](d, "pressure_cpu_percent"),
		PressureMemoryPercent: known[float64](d, "pressure_memory_percent"),
		PressureIOPercent:     known[float64](d, "pressure_io_percent"),
		Frame:                 known[uint64](d, "frame"),
		FPS:                   known[float64](d, "fps"),
		Speed:                 known[float64](d, "speed"),
		BitrateBPS:            known[uint64](d, "bitrate_bps"),
		OutTimeUsec:           known[int64](d, "out_time_usec"),
		TotalBytes:            known[uint64](d, "total_bytes"),
		DroppedFrames:         known[uint64](d, "dropped_frames"),
		DuplicatedFrames:      known[uint64](d, "duplicated_frames"),
		Raw:                   plain(d),
	}
}

// value is a value of a dictionary, zero where it is not there or of another
// type.
func value[T any](d map[string]dbus.Variant, key string) T {
	v, _ := d[key].Value().(T)
	return v
}

// known is value for what may not be there.
func known[T any](d map[string]dbus.Variant, key string) *T {
	if v, ok := d[key].Value().(T); ok {
		return &v
	}
	return nil
}

// plain takes the variants off.
func plain(d map[string]dbus.Variant) map[string]any {
	out := make(map[string]any, len(d))
	for key, v := range d {
		out[key] = v.Value()
	}
	return out
}
