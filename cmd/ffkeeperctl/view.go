package main

import "time"

// view is what we show of one stream. Its JSON form is what --json prints:
// the keys of GetHealth as they are, and the properties of
// org.ffkeeper1.Stream with their names written alike (SourceFile:
// source_file). Keys of a pointer are left out where the value is not known.
type view struct {
	Host        string `json:"host,omitempty"` // of several that were asked
	Name        string `json:"name"`
	Description string `json:"description"`

	State  string `json:"state"`
	Health string `json:"health"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"` // what exactly went wrong, for people
	PID    uint32 `json:"pid"`              // 0: none

	UptimeSeconds       float64  `json:"uptime_seconds"`
	RestartCount        uint32   `json:"restart_count"`
	ConsecutiveFailures uint32   `json:"consecutive_failures"`
	RecentErrors        []string `json:"recent_errors"`
	ExitCodes           []int32  `json:"exit_codes"` // oldest first, minus the signal

	LastActivityAgo *float64 `json:"last_activity_ago,omitempty"` // seconds
	LastRestartUsec *uint64  `json:"last_restart_usec,omitempty"`
	NextRestartUsec *uint64  `json:"next_restart_usec,omitempty"`

	CPUPercent *float64 `json:"cpu_percent,omitempty"` // 100 is one core
	RSSBytes   *uint64  `json:"rss_bytes,omitempty"`
	Threads    *uint32  `json:"threads,omitempty"`
	ReadBytes  *uint64  `json:"read_bytes,omitempty"`
	WriteBytes *uint64  `json:"write_bytes,omitempty"`

	CgroupMemoryBytes     *uint64  `json:"cgroup_memory_bytes,omitempty"` // with page cache
	CgroupCPUPercent      *float64 `json:"cgroup_cpu_percent,omitempty"`  // 100 is one core
	PressureCPUPercent    *float64 `json:"pressure_cpu_percent,omitempty"`
	PressureMemoryPercent *float64 `json:"pressure_memory_percent,omitempty"`
	PressureIOPercent     *float64 `json:"pressure_io_percent,omitempty"`

	Frame            *uint64  `json:"frame,omitempty"`
	FPS              *float64 `json:"fps,omitempty"`
	Speed            *float64 `json:"speed,omitempty"` // 1 is real time
	BitrateBPS       *uint64  `json:"bitrate_bps,omitempty"`
	OutTimeUsec      *int64   `json:"out_time_usec,omitempty"`
	TotalBytes       *uint64  `json:"total_bytes,omitempty"`
	DroppedFrames    *uint64  `json:"dropped_frames,omitempty"`
	DuplicatedFrames *uint64  `json:"duplicated_frames,omitempty"`

	*properties
	Lines []logLine `json:"lines,omitempty"`
}

// properties are those of org.ffkeeper1.Stream that GetHealth lacks; only
// status asks for them.
type properties struct {
	Wanted               bool     `json:"wanted"`
	NeedsRestart         bool     `json:"needs_restart"`
	StateChangeTimestamp uint64   `json:"state_change_timestamp"` // usec, 0: never
	StartTimestamp       uint64   `json:"start_timestamp"`        // usec, 0: not running
	SourceFile           string   `json:"source_file"`
	Command              []string `json:"command"` // redacted by the keeper
}

// logLine is one of the lines that the keeper keeps of a stream.
type logLine struct {
	RealtimeUsec uint64 `json:"realtime_usec"`
	Priority     int32  `json:"priority"` // syslog: 0 emerg .. 7 debug
	Text         string `json:"text"`
}

func (l logLine) time() time.Time { return fromUsec(l.RealtimeUsec) }

// active: the stream has a process that does or will do its work.
func (v *view) active() bool {
	return v.State == "running" || v.State == "starting" || v.State == "stopping"
}

// healthy is what AllHealthy asks of a wanted stream.
func (v *view) healthy() bool { return v.Health == "ok" || v.Health == "unknown" }

func (v *view) uptime() time.Duration { return seconds(v.UptimeSeconds) }

// stateStyle colours a stream by how much it asks for attention.
func (v *view) stateStyle() style {
	switch v.State {
	case "failed", "zombie", unreachableState:
		return red
	case "restarting", "starting", "stopping":
		return yellow
	case "running":
		if v.Health == "ok" || v.Health == "unknown" {
			return green
		}
		return yellow
	}
	return plain
}

func (v *view) healthStyle() style {
	switch v.Health {
	case "ok":
		return green
	case "stalled", "down", unreachableState:
		return red
	case "degraded", "starting":
		return yellow
	}
	return plain
}

// dot is the mark before a stream's name: its shape tells the state to those
// who see no colours.
func (v *view) dot(g glyphs) piece {
	switch v.State {
	case "failed", "zombie", unreachableState:
		return piece{v.stateStyle(), g.failed}
	case "stopped":
		return piece{v.stateStyle(), g.stopped}
	case "restarting":
		return piece{v.stateStyle(), g.waiting}
	}
	return piece{v.stateStyle(), g.running}
}
