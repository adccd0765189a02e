package streamfile

import "time"

// Type says how the health of a stream is judged.
type Type string

const (
	TypeFFmpeg Type = "ffmpeg" // from ffmpeg's -progress blocks
	TypeSimple Type = "simple" // any command; any output is activity
)

// Definition is one stream as its files define it: complete, validated and
// immutable. Only what can differ from start to start (variables such as
// ${START}, environment files) is left open; Resolve fills it in.
type Definition struct {
	Name     string // "cam1", "cam@front"
	Prefix   string // before the first @, else Name
	Instance string // after the first @, else ""

	Source string   // the main file, absolute
	Files  []string // the main file and its drop-ins, in the order read
	Digest string   // of all that was read; equal digests mean equal definitions

	Description   string
	Documentation []string
	Type          Type

	ExecStart      Command // empty where only CommandBuilder= is given
	CommandBuilder Command // empty: none
	AddProgress    bool    // Progress=auto

	StandardInput  Stdin
	StandardOutput Stdout
	StandardError  Stderr

	Environment      []string // NAME=value in order, later wins
	EnvironmentFiles []EnvironmentFile
	WorkingDirectory string // "" is /

	Nice        *int // -20..19
	UMask       *uint32
	CPUAffinity []int
	Limits      map[string]Limit // "NOFILE" for LimitNOFILE=

	Autostart bool
	After     []string
	Requires  []string

	Restart            RestartPolicy
	RestartSec         time.Duration
	RestartFactor      float64 // 1..
	RestartMaxDelay    time.Duration
	RestartJitter      float64 // 0.1 is 10 %
	RestartMaxAttempts int     // Infinite: no limit
	RestartReset       time.Duration
	RuntimeMax         time.Duration // Infinity: none

	HealthCheck     time.Duration
	TimeoutStart    time.Duration // Infinity: none
	ActivityTimeout time.Duration // 0: off
	OnStall         OnStall
	MinSpeed        float64 // 0: off
	TimeoutStop     time.Duration

	OnFailure []Hook
	OnRestart []Hook

	Resources Resources
}

// Infinity is the time span "infinity"; Infinite the count.
const (
	Infinity time.Duration = 1<<63 - 1
	Infinite int           = -1
)

// Command is a command line as written: split into words, variables not yet
// expanded. Line is where it stands, for errors.
type Command struct {
	Words []string
	File  string
	Line  int
}

// Stdin, Stdout, Stderr are the resolved kinds; "auto" has been decided by
// the time a Definition exists, except where only the command builder knows
// the command, and then by Launch.
type (
	Stdin  string
	Stdout string
	Stderr string
)

const (
	StdinAuto    Stdin = "auto"
	StdinControl Stdin = "control" // only q is ever written
	StdinPipe    Stdin = "pipe"    // data from clients
	StdinNull    Stdin = "null"

	StdoutAuto    Stdout = "auto"
	StdoutJournal Stdout = "journal"
	StdoutNull    Stdout = "null"
	StdoutPipe    Stdout = "pipe"

	StderrJournal Stderr = "journal"
	StderrNull    Stderr = "null"
)

// RestartPolicy is Restart=.
type RestartPolicy string

const (
	RestartAlways    RestartPolicy = "always"
	RestartOnFailure RestartPolicy = "on-failure"
	RestartNo        RestartPolicy = "no"
)

// OnStall is what a stall verdict leads to.
type OnStall string

const (
	OnStallRestart OnStall = "restart"
	OnStallLog     OnStall = "log"
)

// EnvironmentFile is one EnvironmentFile=; with Optional ("-/path") a missing
// file is no error.
type EnvironmentFile struct {
	Path     string
	Optional bool
	File     string
	Line     int
}

// Limit is a resource limit; LimitInfinity is "infinity".
type Limit struct{ Soft, Hard uint64 }

const LimitInfinity uint64 = 1<<64 - 1

// Hook is one OnFailure= or OnRestart=: a stream to start or a command.
type Hook struct {
	Stream  string
	Command Command
}

// Resources are the limits on the stream's control group. nil: not set.
type Resources struct {
	MemoryMax, MemoryHigh *uint64  // bytes; LimitInfinity
	CPUQuota              *float64 // 1.0 is one core
	CPUWeight, IOWeight   *uint64  // 1..10000
	TasksMax              *uint64  // LimitInfinity
}

// Launch is what one start of a stream runs.
type Launch struct {
	Path   string   // the program, absolute
	Argv   []string // Argv[0] as written
	Env    []string // complete
	Dir    string
	Stdin  Stdin // control, pipe or null
	Stdout Stdout
	// StdinPlain: the command opens /dev/stdin by name, which fails on a
	// socket, so stdin must be a plain pipe.
	StdinPlain bool
	// ControlQ: the command reads q from stdin (ffmpeg without -nostdin).
	ControlQ bool
}
