package service

import (
	"context"
	"os"
	"time"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// Wait says when a mutating call answers.
type Wait = stream.Wait

// The waits; "" is WaitDone.
const (
	WaitNone = stream.WaitNone
	WaitDone = stream.WaitDone
	WaitOK   = stream.WaitOK
)

// CallOptions are the options of Start, Stop and Restart.
type CallOptions struct {
	Wait    Wait          // "" is WaitDone
	Timeout time.Duration // instead of TimeoutStopSec=; 0: the stream's own
}

// Failure is a stream for which a call on all streams failed.
type Failure struct {
	Name string
	Err  error
}

// Change is what Reload did to one stream.
type Change struct {
	Kind   string // added, changed, removed, error
	Name   string
	Detail string
}

// API is what the keeper offers to its faces. All methods may be called from
// any goroutine. Errors can be told apart with errors.As/Is: see Error.
type API interface {
	Names() []string // sorted
	// Snapshot asks the stream for everything known at this moment; Core is
	// what it last announced, without figures and lines, at once.
	Snapshot(name string) (*stream.Snapshot, error)
	Snapshots() []*stream.Snapshot // sorted by name
	Core(name string) (*stream.Snapshot, error)
	Cores() []*stream.Snapshot // sorted by name
	ByPID(pid int) (*stream.Snapshot, error)

	Start(ctx context.Context, name string, o CallOptions) (pid int, err error)
	Stop(ctx context.Context, name string, o CallOptions) error
	Restart(ctx context.Context, name string, o CallOptions) (pid int, err error)
	StartAll(ctx context.Context, o CallOptions) []Failure
	StopAll(ctx context.Context, o CallOptions) []Failure
	ResetFailed(ctx context.Context, name string) error
	Kill(ctx context.Context, name string, signal int) error
	Reload(ctx context.Context) ([]Change, error)

	WriteStdin(ctx context.Context, name string, data []byte) (int, error) // never blocks; at most 1 MiB is taken
	OpenStdin(ctx context.Context, name string) (*os.File, error)          // the caller closes it
	OpenStdout(ctx context.Context, name string) (*os.File, error)

	AllHealthy() bool
	Subscribe(buffer int) *Subscription
}

// Kind tells what an error means to a caller; D-Bus error names are
// org.ffkeeper1.Error.<Kind>.
type Kind = stream.ErrorKind

// The kinds.
const (
	NoSuchStream = stream.NoSuchStream
	BadSetting   = stream.BadSetting
	SpawnFailed  = stream.SpawnFailed
	StdinClosed  = stream.StdinClosed
	NotRunning   = stream.NotRunning
	Busy         = stream.Busy
	InvalidArgs  = stream.InvalidArgs
)

// Error is an error with a Kind; its text needs no secret removed.
type Error = stream.Error

// Event is one thing that happened: what D-Bus signals and monitors are made
// of. Snapshot is the state right after it; Old that right before (nil for
// EventNew).
type Event struct {
	Type     EventType
	Name     string
	Snapshot *stream.Snapshot
	Old      *stream.Snapshot
}

type EventType string

const (
	EventNew        EventType = "new"
	EventRemoved    EventType = "removed"
	EventTransition EventType = "transition" // state, health, reason, pid or any other property but figures
	EventRestarted  EventType = "restarted"  // a new process after an earlier one
	EventFailed     EventType = "failed"     // state became failed
)
