package stream

import (
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
)

// Snapshot is everything known about a stream at one moment. It is immutable:
// the stream's goroutine publishes a new one, readers never lock.
type Snapshot struct {
	Name        string
	Description string // redacted
	SourceFile  string
	Type        string   // ffmpeg or simple; "" where the files were never usable
	Command     []string // redacted

	State  State
	Health Health
	Reason Reason
	Detail string // one line for people: what exactly went wrong; redacted
	Wanted bool
	// NeedsRestart: the definition has changed since this run started.
	NeedsRestart bool

	PID         int       // 0: none
	Child       shim.ID   // the shim's number of the process; 0: none
	Cgroup      string    // directory of the process's cgroup; "": none
	Started     time.Time // of this run; zero: none
	StateSince  time.Time
	NextRestart time.Time // zero: none pending
	LastRestart time.Time
	// RestartCount counts restarts since the stream was loaded, asked for or
	// not; ConsecutiveFailures those without a healthy run between.
	RestartCount        int
	ConsecutiveFailures int
	ExitCodes           []int // last 10, oldest first; minus the signal
	LastActivity        time.Time

	Progress *Progress // nil until the first block of this run
	Usage    *Usage    // nil until the first sample of this run

	RecentErrors []string // last 5; redacted
	Lines        []Line   // last 50, oldest first; redacted
	LinesDropped uint64   // lines of a flood kept out of the journal
}

// Progress is the newest of what ffmpeg said about itself.
type Progress struct {
	Frame            uint64
	FPS              float64 // of now: over the last blocks, not ffmpeg's lifetime average
	Speed            float64 // of now; 1 is real time
	BitrateBPS       uint64  // 0: not known
	OutTime          time.Duration
	TotalBytes       uint64
	Dropped          uint64
	Duplicated       uint64
	HasFrame         bool // false: no video
	HasBitrate       bool // false: N/A
	HasTotalBytes    bool // false: N/A
	HasOutTime       bool
	HasSpeed         bool // two blocks are needed
	HasFPS           bool
	Ended            bool // progress=end
	Received         time.Time
	SpeedMeasuredFor time.Duration
}

// Usage is what the kernel says of a stream's processes.
type Usage struct {
	CPUPercent float64 // 100 is one core; over the last sampling interval
	RSS        uint64  // bytes
	Threads    int
	ReadBytes  uint64
	WriteBytes uint64
	HasIO      bool
	HasCPU     bool // two samples are needed

	// Of its whole control group, with what has ended. No controllers, or a
	// kernel without pressure stall information: not known.
	CgroupMemory     uint64  // bytes, page cache too
	CgroupCPUPercent float64 // 100 is one core; over the last sampling interval
	// Percent of the last 10 s in which at least one of its processes waited
	// (the kernel's "some avg10").
	PressureCPU       float64
	PressureMemory    float64
	PressureIO        float64
	HasCgroupMemory   bool
	HasCgroupCPU      bool // two samples are needed
	HasPressureCPU    bool
	HasPressureMemory bool
	HasPressureIO     bool
	// ThrottledPercent is the share of CPUQuota='s periods, over the last
	// sampling interval, in which the quota was used up; 0 without one.
	ThrottledPercent float64
	MemoryLimited    bool // MemoryHigh= or MemoryMax= took memory back
}

// Line is one line of a stream's stderr (or of stdout, where that goes to the
// journal).
type Line struct {
	Time     time.Time
	Priority int // syslog: 0 emerg .. 7 debug
	Text     string
}
