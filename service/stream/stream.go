// Package stream is one stream: the pure state machine that decides (machine)
// and the one goroutine that owns it.
//
// Place in the flow: the service room makes a Stream from a definition, runs
// it, and routes to it what the shim reports. Pipes come in through the pump.
// Everything goes through the owner's inbox, is turned into an event of the
// machine, and the actions that the machine answers are carried out: spawn,
// ask, signal, kill, log, publish. Readers get immutable snapshots.
//
// Invariants:
//   - only the owner's goroutine touches the machine and the process; no
//     mutex guards stream state, and nothing the owner does waits for long;
//   - a process is asked for only when nothing of the one before is left;
//   - what the shim answers carries the number of the attempt it belongs to,
//     and an answer to an earlier attempt is put away, never acted upon;
//   - every line is redacted before it is cut, kept or shown.
package stream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/procmon"
	"github.com/ffkeeper/ffkeeper/service/pump"
	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// Shim is what a stream needs of the shim's client.
type Shim interface {
	Spawn(req shim.SpawnRequest, extra []*os.File, done func(*shim.Child, error))
	Signal(id shim.ID, sig syscall.Signal, scope shim.Scope) error
	Kill(id shim.ID) error
	CloseEnd(id shim.ID, end shim.End) error
	Forget(id shim.ID) error
	// Note leaves something for the next keeper; nothing: it is removed.
	Note(key string, blob []byte) error
	IO(ctx context.Context, ids []shim.ID) (map[shim.ID]shim.IO, error)
}

// Transition is one change of what a stream shows, but for figures.
type Transition struct {
	Old, New  *Snapshot
	Restarted bool // a new process after an earlier one
	Failed    bool // the state became failed
	Removed   bool // the stream is to be forgotten: its file is gone and it has stopped
}

// Config is what a Stream is made of. Name, Shim, Pump, Log, Redact and
// Publish are required.
type Config struct {
	Name       string
	Definition *streamfile.Definition // nil: the files are broken
	Broken     string                 // why the files cannot be used
	Source     string                 // the main file, for where there is no Definition

	Shim   Shim
	Pump   *pump.Pump
	Log    *slog.Logger
	Redact *redact.Redactor

	// Lasting: the shim goes on without this keeper, so that notes are worth
	// leaving there.
	Lasting bool
	// Inherited is what an earlier keeper left of this stream and the shim
	// holds of it; nil: nothing. FileGone: there is no file of it any more.
	// Loader is what definitions are bound to.
	Inherited *Inheritance
	FileGone  bool
	Loader    *streamfile.Loader
	// Clock answers CLOCK_BOOTTIME; nil reads it. It is for tests.
	Clock func() time.Duration

	// Publish is called by the owner, in order, for every transition. It
	// must not block nor call the stream back.
	Publish func(Transition)
	// AwaitDeps blocks until the streams of After= and Requires= deliver, and
	// answers the one of Requires= that failed. nil: there are none.
	AwaitDeps func(ctx context.Context, def *streamfile.Definition) (failed, detail string)
	// StartOther starts another stream, for OnFailure=stream:NAME.
	StartOther func(name string)
	// HostSlow says for people what the host is short of, CPU, memory or I/O;
	// "": of nothing. It is asked where the kernel does not tell of the
	// stream's own control group.
	HostSlow func() string
	// Room says whether there is room for a file, see procmon.Disks. It must not
	// block. nil: nobody knows.
	Room func(file string) procmon.Room

	// Command builds the command before every start, in place of ExecStart=
	// and CommandBuilder=. It has ten seconds.
	Command func(ctx context.Context) ([]string, error)
	// OnRestart and OnFailure are called beside the hooks of the definition,
	// on goroutines of their own.
	OnRestart, OnFailure func(*Snapshot)
}

// Stream is one stream. Its methods may be called from any goroutine.
type Stream struct {
	cfg  Config
	in   inbox
	core atomic.Pointer[Snapshot]
	done chan struct{}

	known bool // an earlier keeper left word of its state
	anew  bool // of one with the same name, whose file was gone meanwhile
}

// New makes a stream; Run runs it.
func New(cfg Config) *Stream {
	s := &Stream{cfg: cfg, done: make(chan struct{})}
	s.in.poke = make(chan struct{}, 1)
	o := &owner{Stream: s}
	o.m = newMachine(cfg.Name, cfg.Definition, cfg.Broken, time.Now(), rand.Float64)
	o.m.builder = cfg.Command != nil
	if cfg.Inherited != nil {
		o.inherit(cfg.Inherited)
	}
	s.core.Store(o.snapshot())
	o.shown = o.m.shown()
	s.in.owner = o
	return s
}

// Name is the stream's name.
func (s *Stream) Name() string { return s.cfg.Name }

// Run owns the stream until ctx ends. It does not stop the process: who wants
// that calls Stop first.
func (s *Stream) Run(ctx context.Context) {
	defer close(s.done)
	s.in.owner.run(ctx)
}

// Core is the snapshot of the last transition: without figures and lines, but
// at once.
func (s *Stream) Core() *Snapshot { return s.core.Load() }
