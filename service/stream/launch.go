package stream

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// awaitDeps waits on a goroutine of its own; the answer is an event.
func (o *owner) awaitDeps() {
	if o.cfg.AwaitDeps == nil {
		o.post(func() { o.step(evDeps{}) })
		return
	}
	ctx, cancel := context.WithCancel(o.ctx)
	o.cancelWork()
	o.cancel = cancel
	def := o.m.def
	go func() {
		failed, detail := o.cfg.AwaitDeps(ctx, def)
		if ctx.Err() != nil {
			return
		}
		o.post(func() {
			if ctx.Err() == nil {
				cancel()
				o.step(evDeps{failed: failed, detail: detail})
			}
		})
	}()
}

func (o *owner) cancelWork() {
	if o.cancel != nil {
		o.cancel()
		o.cancel = nil
	}
}

// spawn asks the shim for the process.
func (o *owner) spawn() {
	o.attempt++
	attempt := o.attempt
	launch, err := o.m.def.Resolve(time.Now(), o.built)
	if err != nil {
		o.step(evSpawnFailed{reason: resolveReason(err), detail: o.cfg.Redact.String(err.Error())})
		return
	}
	files, err := secretPipes(launch.Files)
	if err != nil {
		o.step(evSpawnFailed{reason: ReasonSpawnFailed, detail: err.Error()})
		return
	}
	defer closeFiles(files)
	def := o.m.def
	// Its own words may hold a key with nothing around it that says so.
	o.cfg.Redact.Learn(o.cfg.Name, launch.Argv, launch.Env)
	o.keepRun(def, launch)
	req := request(def, launch)
	backs := o.backs
	o.cfg.Shim.Spawn(req, files, func(c *shim.Child, err error) {
		o.postOr(func() {
			o.spawned(attempt, def, launch, c, err)
			o.missedBack(backs, err)
		}, func() { discard(c) })
	})
}

// missedBack: where the news of a new shim came before that of the loss of
// the old one, nobody would tell again that there is one.
func (o *owner) missedBack(backs uint64, err error) {
	if errors.Is(err, shim.ErrLost) && backs != o.backs {
		o.step(evShimBack{})
	}
}

// spawnReason is why a spawn failed.
func spawnReason(err error) Reason {
	var se *shim.SpawnError
	switch {
	case errors.As(err, &se) && se.NoProgram:
		return ReasonNoProgram
	case errors.Is(err, shim.ErrLost):
		return ReasonShimLost
	}
	return ReasonSpawnFailed
}

// spawned is the shim's answer.
func (o *owner) spawned(attempt uint64, def *streamfile.Definition, launch *streamfile.Launch, c *shim.Child, err error) {
	switch {
	case attempt != o.attempt || o.m.phase != phaseSpawn:
		// The shim was lost meanwhile, and this process with it.
		if c != nil {
			discard(c)
			o.cfg.Shim.Kill(c.ID)
			o.cfg.Shim.Forget(c.ID)
		}
	case err != nil:
		o.step(evSpawnFailed{reason: spawnReason(err), detail: o.cfg.Redact.String(err.Error())})
	default:
		o.proc = o.newProcess(def, launch, c)
		o.step(evSpawned{pid: c.PID, child: localNumber(c.ID), canAsk: o.proc.canAsk(), waits: o.proc.stdin == streamfile.StdinPipe})
	}
}

// resolveReason: a program that has gone since the file was loaded is not the
// file's fault.
func resolveReason(err error) Reason {
	var np *streamfile.NoProgramError
	if errors.As(err, &np) {
		return ReasonNoProgram
	}
	return ReasonBadSetting
}

// discard closes the files of a child that is not wanted; nil is none.
func discard(c *shim.Child) {
	if c == nil {
		return
	}
	for _, f := range []*os.File{c.PIDFD, c.Stdin, c.Stdout, c.Stderr, c.Progress} {
		if f != nil {
			f.Close()
		}
	}
}
