// Package shim holds the children: it is the parent and subreaper of every
// process of every stream, and the only code of the project that spawns,
// signals and reaps. It decides nothing.
//
// There are two sides. The server (type [Server]) owns the children. It runs
// in the program ffkeeper-shim or, by [InProcess], on one thread of the
// program that embeds it. The [Client] is what the keeper holds. They speak
// over one SOCK_SEQPACKET unix socket, a versioned JSON message a packet with
// file descriptors beside it (wire.go has the table of messages), in all three
// forms alike: [InProcess], [Launch], [Dial].
//
// What always holds:
//
//   - One goroutine, locked to one thread that lives as long as the server,
//     owns all state of the server. Every fork is made by that thread, because
//     a child's parent-death signal fires when the forking thread ends: no
//     child outlives the server.
//   - Only that goroutine waits for managed children, each by its own pid, and
//     a child's pid is not used after that. Nothing ever waits for "any child",
//     so a program that embeds the server keeps the status of its own children.
//   - Every child leads a session, and so a process group, of its own: the
//     session id stays readable in the zombies of all its descendants and tells
//     whose they are.
//   - Where the shim was given a cgroup v2 of its own (Config.Cgroup), every
//     child is born in a cgroup below it, with its limits in force, and no
//     process of it can leave that: it is killed as a whole and empty when the
//     kernel says so. Elsewhere the group, the session and the environment tell
//     what belongs to a child (members.go).
//   - No stream runs twice: a hello is answered when no spawn is in flight, and
//     a cgroup is used again when nothing is left in it.
//   - An exit is kept until the keeper acknowledges it with Forget; while no
//     keeper is connected stderr and progress are drained into bounded rings,
//     so that a keeper's death blocks no child and loses no exit.
//
// The package imports the standard library and golang.org/x/sys only: it is
// the long-lived process that must be small.
package shim

import (
	"os"
	"time"
)

// Version is the version of the protocol spoken here.
const Version = 1

// ID names one child. It is never used twice while the shim lives, across an
// upgrade in place too.
type ID uint64

// StdioKind says what a child's stdin, stdout or stderr is.
type StdioKind string

const (
	Null   StdioKind = "null"   // /dev/null; "" means the same
	Pipe   StdioKind = "pipe"   // a plain pipe
	Socket StdioKind = "socket" // stdin only: a socketpair, whose end can be shut down whoever else holds it
)

// Limit is one resource limit; ^uint64(0) is infinity.
type Limit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// CgroupLimits are the limits on a stream's control group; nil fields are not
// set. They are validated by shape only: one that cannot be put in force, for
// want of a control group or of a controller, is a Warning and no reason not to
// start.
type CgroupLimits struct {
	MemoryMax  *uint64  `json:"memory_max,omitempty"`  // bytes; ^0 is infinity
	MemoryHigh *uint64  `json:"memory_high,omitempty"` // bytes; ^0 is infinity
	CPUQuota   *float64 `json:"cpu_quota,omitempty"`   // 1.0 is one core
	CPUWeight  *uint64  `json:"cpu_weight,omitempty"`  // 1..10000
	IOWeight   *uint64  `json:"io_weight,omitempty"`   // 1..10000
	TasksMax   *uint64  `json:"tasks_max,omitempty"`   // ^0 is infinity
}

// SpawnRequest is one process to start. Strings may hold any bytes but NUL.
//
// The child gets exactly Env, and FFKEEPER_STREAM=Stream where Env has no such
// variable; default signal dispositions, an empty signal mask, the file
// descriptors named here and no others; a session and process group of its own.
type SpawnRequest struct {
	// Stream is the name of a directory: no slash, no dot at the beginning. The
	// child's control group is Stream.stream; Stream.stream.2 and so on where a
	// living child of the same name has that.
	Stream string
	Path   string   // the program; without a slash it is looked up in Env's PATH. "" is Argv[0]
	Argv   []string // at least one
	Env    []string // NAME=value
	Dir    string   // "" is /

	Stdin, Stdout, Stderr StdioKind
	Progress              bool // the child gets the writing end of a pipe as fd 3
	// StdoutLog: stdout is log, to be drained like stderr while no keeper is
	// connected. Never set it where a client reads stdout as data.
	StdoutLog bool

	// These go through the exec helper, which costs a few milliseconds, and
	// only where one of them is set.
	Nice        *int             // -20..19
	UMask       *uint32          // 0..0777
	CPUAffinity []int            // CPU numbers
	Limits      map[string]Limit // by systemd's names without "Limit": "NOFILE", "CORE", ...
	OOMScoreAdj *int             // -1000..1000

	Cgroup *CgroupLimits
}

// Child is a child as its spawner gets it. The files are non-blocking and
// belong to the caller; nil where not asked for. PIDFD becomes readable when
// the process has ended; nobody but the shim waits for it.
type Child struct {
	ID      ID
	Stream  string
	PID     int // also its process group and session
	Started time.Time
	// Cgroup is the absolute directory of its control group, where memory.current,
	// cpu.stat and *.pressure are; "" where it has none of its own. It is removed
	// before Empty is sent.
	Cgroup string

	PIDFD, Stdin, Stdout, Stderr, Progress *os.File
}

// Exited says that the main process of a child has ended. The shim keeps it
// until Forget.
type Exited struct {
	ID     ID
	Stream string
	PID    int
	Code   int // 0..255; meaningless where Signal is set
	Signal int // that ended it; 0: none
	Core   bool
	// OOM: the kernel killed it, or a part of it without which it failed, for
	// want of memory.
	OOM bool
	// TaskLimit: its control group hit TasksMax during its life, so that a fork
	// or a thread of it failed.
	TaskLimit bool
	// UserTime, SystemTime and MaxRSS (bytes) are of the process and of those
	// descendants it waited for.
	UserTime, SystemTime time.Duration
	MaxRSS               uint64
	At                   time.Time
	Unknown              bool // how it ended could not be learned
}

// Empty says that nothing is left of what a child started: its control group or,
// where it has none, its group, its session and the descendants that carry
// FFKEEPER_STREAM. It follows Exited.
type Empty struct {
	ID     ID
	Stream string
	At     time.Time
}

// Stopping says that the shim was told, by a signal, to stop all children and
// to end. The keeper answers with Leave, and stops them, or with Stop. What
// they end with from now on is no failure of theirs.
type Stopping struct{}

// Warning is something the shim wants logged; the text names the thing.
type Warning struct{ Text string }

// Event is one of [Exited], [Empty], [Stopping], [Warning].
type Event any

// Handler gets the events, on the client's one reader goroutine and in the
// order the shim sent them. It must not block and must not call Close. It may
// be called before the function that connected the client has returned.
type Handler func(Event)

// Scope says whom a signal is for.
type Scope string

const (
	Main  Scope = "main"  // the process that was spawned
	Group Scope = "group" // its process group
	All   Scope = "all"   // its group and every other process known to be of it, in its control group for one
)

// IO are the I/O counters of a child's main process, the descendants it waited
// for and those alive, as in /proc/PID/io: all in bytes, only ever growing
// while the same processes live.
type IO struct {
	ReadChars  uint64 `json:"rchar"` // by read(2) and the like, page cache included
	WriteChars uint64 `json:"wchar"`
	ReadBytes  uint64 `json:"read_bytes"` // from storage
	WriteBytes uint64 `json:"write_bytes"`
}

// End names one of the file descriptors between keeper and child.
type End string

const (
	Stdin    End = "stdin"
	Stdout   End = "stdout"
	Stderr   End = "stderr"
	Progress End = "progress"
)

// Held is a child the shim already held when the client connected.
type Held struct {
	Child          // the files belong to whoever called Hello first
	Exited *Exited // nil while the main process runs
	Empty  bool
	// Termed: it was sent TERM by way of the shim already. A second one makes
	// ffmpeg drop the file it is finishing.
	Termed  bool
	Killing bool // Kill was asked for
	// Drained is what the shim read while no keeper was connected; the pipes
	// go on at the next byte.
	Drained map[End]Drained
}

// Drained is what was read from one pipe meanwhile. Dropped bytes, whole lines
// as far as there were lines, are missing before Data.
type Drained struct {
	Data    []byte
	Dropped uint64
}

// Hello is what the shim had to say when the client connected.
type Hello struct {
	Protocol int
	Version  string // of the program
	PID      int
	Children []Held            // by ID
	Notes    map[string][]byte // by stream
}
