// Package service is the keeper: the set of streams, their order, reload,
// report and heartbeat.
//
// Place in the flow: definitions come from the streamfile room (or from an
// embedding program), each becomes a stream.Stream with a goroutine of its
// own; the shim's events are routed to them by name; their transitions go to
// everyone who subscribed, the bus face first of all.
//
// A Go program may keep a stream on air with nothing but this package: see
// the example.
//
// Invariants:
//   - the mutex guards which streams there are, never what one of them is;
//   - a stream leaves the set only when nothing of it runs;
//   - nothing here waits for a stream while it holds the mutex.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/ffkeeper/ffkeeper/procmon"
	"github.com/ffkeeper/ffkeeper/service/credential"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/pump"
	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// Options are what a Keeper is made of.
type Options struct {
	// Path is the directories of stream files, the first wins. Empty: there
	// are no files, streams come by Add.
	Path []string
	// FFmpeg is what a bare ffmpeg in ExecStart= runs; "" is "ffmpeg".
	FFmpeg string
	// Credentials is where the credentials of streams are; the zero Store has
	// none.
	Credentials credential.Store
	// Shim connects to the shim; nil runs it in this process.
	Shim ShimConnector
	// Version is this program's: a shim of another one is replaced by
	// UpgradeShim.
	Version string
	// Log receives everything; nil is slog's default.
	Log slog.Handler
}

// Keeper keeps streams on air.
type Keeper struct {
	opts    Options
	log     *slog.Logger
	streams *slog.Logger // unredacted handler for lines redacted already
	redact  *redact.Redactor
	pump    *pump.Pump
	link    *link
	hub     hub
	host    *procmon.Host
	disks   *procmon.Disks
	sampler sampler

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	closed atomic.Bool
	ending sync.Once

	reloading chan struct{} // capacity 1: one reload at a time
	stopping  chan int      // capacity 1: the shim that is being stopped

	// What an earlier keeper left, until it is claimed; New's and Add's.
	inherited map[string]*stream.Inheritance

	mu    sync.RWMutex
	set   map[string]*member
	graph graph
	byPID map[int]string
}

// member is one stream of the set.
type member struct {
	*stream.Stream
	added  bool // by Add, not from a file
	def    *streamfile.Definition
	broken string
	cancel context.CancelFunc
	starts atomic.Uint64 // how often a start has been asked for
	going  bool          // its file is gone and it has been told
	orphan bool          // its file was gone when it was taken over: it goes on for now
	gone   chan struct{} // closed when it has left the set
}

// New makes a keeper, connects to the shim and reads the stream files. Streams
// that an earlier keeper left with that shim go on as they are: what runs runs
// on, what waits for its restart waits on. Nothing else is started: see
// Autostart. Close ends the keeper.
func New(opts Options) (*Keeper, error) {
	if opts.FFmpeg == "" {
		opts.FFmpeg = "ffmpeg"
	}
	if opts.Log == nil {
		opts.Log = slog.Default().Handler()
	}
	if opts.Shim == nil {
		opts.Shim = func(_ context.Context, h shim.Handler) (*shim.Client, error) { return shim.InProcess(h) }
	}
	r := redact.New()
	p, err := pump.New()
	if err != nil {
		return nil, fmt.Errorf("cannot start the keeper: %w", err)
	}
	k := &Keeper{
		opts: opts, redact: r, pump: p, host: procmon.NewHost(), disks: procmon.NewDisks(),
		log: slog.New(r.Handler(opts.Log)), streams: slog.New(opts.Log),
		set: make(map[string]*member), byPID: make(map[int]string),
		reloading: make(chan struct{}, 1), stopping: make(chan int, 1),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.link = &link{connect: opts.Shim, log: k.log, event: k.route, lost: k.shimLost, back: k.shimBack, failed: make(chan error, 1)}
	if err := k.link.open(k.ctx); err != nil {
		k.cancel()
		p.Close()
		return nil, fmt.Errorf("cannot start the keeper: %w", err)
	}
	k.inherited = k.link.inherited()
	k.load()
	k.link.deliver()
	k.link.client.Load().Release()
	k.wg.Go(func() { k.link.run(k.ctx) })
	k.sampler.init(k)
	k.wg.Go(func() { k.sampler.run(k.ctx) })
	return k, nil
}

// Close lets go of everything at once. Streams that still run end with an
// in-process shim or one that is our child; who wants them finished properly
// calls StopAll first. An error may mean that the shim does not know of the
// last that was done.
func (k *Keeper) Close() error {
	var err error
	k.ending.Do(func() {
		k.shut()
		err = k.link.close()
		k.cancel()
		k.wg.Wait()
		err = errors.Join(err, k.link.close()) // of one that took the place of a lost shim meanwhile
		err = errors.Join(err, k.pump.Close())
	})
	return err
}

// shut: nothing is added from now on, and no event is acted upon.
func (k *Keeper) shut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed.Store(true)
}

// Leave tells the shim to end once nothing of any stream is left, as a shim
// with a socket otherwise goes on alone. It is the last thing before Close.
func (k *Keeper) Leave() error { return k.link.leave() }

// Failed tells, once, that the keeper cannot go on: it has lost the connection
// to a shim that still holds its streams. They run on; a new keeper takes them
// over.
func (k *Keeper) Failed() <-chan error { return k.link.failed }

// ShimStopping tells the process id of a shim that somebody else has told to
// stop. Who takes it for the end of all streams calls Leave, then StopAll;
// else StopShim is called, and they wait for another shim.
func (k *Keeper) ShimStopping() <-chan int { return k.stopping }

// StopShim lets a shim that is being stopped stop everything by itself.
func (k *Keeper) StopShim() { k.link.stop() }

// Redactor is the keeper's: who logs or shows anything uses it.
func (k *Keeper) Redactor() *redact.Redactor { return k.redact }

// Hooks are what an embedding program may give with a stream.
type Hooks struct {
	// Command builds the command before every start, in place of the
	// definition's. It has ten seconds.
	Command func(ctx context.Context) ([]string, error)
	// OnRestart is called when a new process follows an earlier one,
	// OnFailure when the stream has failed for good; each on a goroutine of
	// its own.
	OnRestart, OnFailure func(*stream.Snapshot)
}

// Add adds a stream that has no file. It is not started. A reload leaves it
// alone.
func (k *Keeper) Add(def *streamfile.Definition, h Hooks) error {
	if errs := def.Validate(); len(errs) > 0 {
		all := make([]error, len(errs))
		for i, e := range errs {
			all[i] = e
		}
		return &Error{Kind: BadSetting, Text: errors.Join(all...).Error()}
	}
	def = def.With(k.loader())
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed.Load() {
		return errClosed()
	}
	if _, ok := k.set[def.Name]; ok {
		return &Error{Kind: InvalidArgs, Text: def.Name + ": there is such a stream already"}
	}
	if circle := k.circleLocked(def); circle != "" {
		return &Error{Kind: BadSetting, Text: def.Name + ": After= and Requires= go round in a circle: " + circle}
	}
	k.addLocked(&member{added: true, def: def}, stream.Config{Name: def.Name, Definition: def}, h)
	k.graph = k.graphLocked()
	return nil
}

func errClosed() error { return &Error{Kind: Busy, Text: "the keeper is ending"} }

// addLocked makes the stream that cfg says and runs it. What an earlier keeper
// left of it becomes its own.
func (k *Keeper) addLocked(m *member, cfg stream.Config, h Hooks) {
	name := cfg.Name // not cfg, which what lives as long as the stream must not hold
	m.gone = make(chan struct{})
	cfg.Shim, cfg.Pump, cfg.Log, cfg.Redact = k.link, k.pump, k.streams, k.redact
	cfg.Publish = func(t stream.Transition) { k.publish(m, t) }
	cfg.AwaitDeps, cfg.HostSlow, cfg.Room = k.awaitDeps, k.sampler.hostSlow, k.disks.Room
	cfg.StartOther = func(other string) { k.startOther(name, other) }
	cfg.Command, cfg.OnRestart, cfg.OnFailure = h.Command, h.OnRestart, h.OnFailure
	cfg.Lasting = k.link.lasting()
	if cfg.Inherited = k.inherited[name]; cfg.Inherited != nil {
		cfg.Loader = k.loader()
		delete(k.inherited, name)
	}
	m.Stream = stream.New(cfg)
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(k.ctx)
	k.set[name] = m
	core := m.Core()
	if core.PID != 0 {
		k.byPID[core.PID] = name
	}
	k.wg.Go(func() { m.Run(ctx) })
	k.hub.send(Event{Type: EventNew, Name: name, Snapshot: core})
}

// members is everyone in the set, in no order.
func (k *Keeper) members() []*member {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]*member, 0, len(k.set))
	for _, m := range k.set {
		out = append(out, m)
	}
	return out
}

func (k *Keeper) member(name string) (*member, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if m := k.set[name]; m != nil {
		return m, nil
	}
	return nil, &Error{Kind: NoSuchStream, Text: fmt.Sprintf("there is no stream %q", name)}
}

// describe is what the ffmpeg room knows of a command, for the streamfile
// room.
func (k *Keeper) describe(argv []string, addProgress bool) streamfile.CommandTraits {
	return Describe(k.opts.FFmpeg)(argv, addProgress)
}

// Describe answers the function that tells the streamfile room what a command
// is, given what a bare ffmpeg runs.
func Describe(configured string) func(argv []string, addProgress bool) streamfile.CommandTraits {
	return func(argv []string, addProgress bool) streamfile.CommandTraits {
		if len(argv) == 0 || !ffmpeg.IsFFmpeg(argv[0], configured) {
			// A wrapper: whether it passes q on only it knows; it does no harm.
			return streamfile.CommandTraits{Argv: argv, ControlQ: true}
		}
		a := ffmpeg.Prepare(argv, addProgress)
		return streamfile.CommandTraits{
			Argv: a.Argv, StdinIsData: a.StdinIsData, StdinPlain: a.StdinPlain,
			StdoutIsData: a.StdoutIsData, ControlQ: a.ControlQ,
		}
	}
}
