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
// ${START}, environment files) is left open; Resolve fills it in. Programs
// without files get one from New and may change its fields until they hand it
// on; Validate checks it.
type Definition struct {
	Name     string // "cam1", "cam@front"
	Prefix   string // before the first @, else Name
	Instance string // after the first @, else ""

	Source string   // the main file, absolute; of an instance, that of its template; "": made by New
	Link   string   // of an instance: the link that makes it one, absolute; else ""
	Files  []string // the main file and its drop-ins, in the order read
	Digest string   // of all that was read; equal digests mean equal definitions

	Description   string
	Documentation []string
	Type          Type

	ExecStart      Command // empty where only CommandBuilder= is given
	CommandBuilder Command // empty: none
	AddProgress    bool    // Progress=auto; without effect for TypeSimple, which nobody asks for progress

	StandardInput  Stdin
	StandardOutput Stdout
	StandardError  Stderr

	Environment      []string // NAME=value in order, later wins
	EnvironmentFiles []EnvironmentFile
	// EnvironmentCredentials are variables whose value is a credential, which
	// commands find in their environment and nowhere else.
	EnvironmentCredentials []EnvironmentCredential
	OutputPresets          []PresetOption // options in order, those of one preset add up
	WorkingDirectory       string         // absolute, "~" is the home directory, "" is /
	// WorkingDirectoryOptional ("-/path"): where it is missing, / is used.
	WorkingDirectoryOptional bool

	Nice        *int // -20..19
	UMask       *uint32
	CPUAffinity []int
	Limits      map[string]Limit // "NOFILE" for LimitNOFILE=

	Autostart bool
	After     []string
	Requires  []string

	Restart RestartPolicy
	//lint:ignore ST1011 named after the option
	RestartSec         time.Duration // 0..
	RestartFactor      float64       // 1..1000
	RestartMaxDelay    time.Duration // RestartSec..
	RestartJitter      float64       // 0..1; 0.1 is 10 %
	RestartMaxAttempts int           // 0..; Infinite: no limit
	RestartReset       time.Duration // 0..; Infinity: never
	RuntimeMax         time.Duration // Infinity: none

	HealthCheck     time.Duration // above 0, finite
	TimeoutStart    time.Duration // above 0; Infinity: none
	ActivityTimeout time.Duration // 0: off; never Infinity
	OnStall         OnStall
	MinSpeed        float64       // 0: off
	TimeoutStop     time.Duration // above 0, at most a day: a stop ends

	OnFailure []Hook
	OnRestart []Hook

	Resources Resources

	// host is what Resolve needs of the machine; With sets it.
	host *host
	// auto: which of the standard streams were left to be decided by the
	// command, so that a later start decides anew.
	auto struct{ stdin, stdout bool }
	// where each option was last given, and each name of After= and Requires=
	// ("After cam1"), for errors found after reading.
	where map[string]position
	// abstract: a template checked for itself, without an instance.
	abstract bool
}

// Infinity is the time span "infinity"; Infinite the count.
const (
	Infinity time.Duration = 1<<63 - 1
	Infinite int           = -1
)

// Command is a command line as written: split into words, variables not yet
// expanded. Line is where it begins, for errors.
type Command struct {
	Words []string
	File  string
	Line  int
	// Lines is the line of each word of a command that spans several; nil:
	// all stand on Line.
	Lines []int
	// Literal: no variables are expanded (systemd's prefix ":", and commands
	// that do not come from a file).
	Literal bool
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
	Env    []string // complete but for SecretEnv; each name once
	Dir    string   // absolute
	Stdin  Stdin    // control, pipe or null
	Stdout Stdout
	// StdinPlain: the command opens /dev/stdin by name, which fails on a
	// socket, so stdin must be a plain pipe.
	StdinPlain bool
	// ControlQ: the command reads q from stdin (ffmpeg without -nostdin).
	ControlQ bool
	// Files is what the descriptors from 4 on are to hold, each to be read
	// once; SecretEnv the variables with credentials, NAME=value. Neither is
	// ever written down: a start reads them anew.
	Files     []Secret `json:"-"`
	SecretEnv []Secret `json:"-"`
}

// Environ is the whole environment, for the process alone.
func (l *Launch) Environ() []string {
	env := l.Env[:len(l.Env):len(l.Env)]
	for _, v := range l.SecretEnv {
		env = append(env, v.Reveal())
	}
	return env
}
