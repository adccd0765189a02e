package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/journal"
	"github.com/ffkeeper/ffkeeper/service/notify"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// ended ends this keeper for a signal, and the streams unless job says that they
// are for the next one.
func (d *daemon) ended(cancel context.CancelFunc, s os.Signal, job notify.JobKind) error {
	if job != "" {
		d.log.Info("leaving the streams to the next keeper", "signal", s.String(), "job", job)
		return d.leave(cancel, errHandedOver)
	}
	d.log.Info("stopping", "signal", s.String())
	return d.stop(nil)
}

// handOver says whether a signal to end means this keeper and not the streams,
// and by which job of ours: they run on where the shim does, and where systemd
// does not want the service stopped.
func (d *daemon) handOver(ctx context.Context) notify.JobKind {
	if !d.keeper.Lasting() {
		return ""
	}
	if os.Getenv("INVOCATION_ID") == "" {
		return "" // no service, as each has one (systemd.exec(5)); and there may be no systemd to ask
	}
	job, err := d.askJob(ctx)
	switch {
	case err != nil:
		// With no word from systemd the streams are the safer for being left
		// alone: at a shutdown the shim stops them, too.
		d.log.Warn("cannot tell a stop from a restart, so the streams run on", "error", err)
		return job
	case job == notify.JobStop, job == notify.JobNoService:
		return ""
	}
	return job
}

// How long systemd is asked: where it cannot be reached, for as long as a bus
// takes to restart; where it does not answer, for as long as a very busy host
// may take. A stop that was taken for a restart is worse than a late one.
const (
	askUnreachable = 3 * time.Second
	askSilent      = 25 * time.Second
	askAgain       = 200 * time.Millisecond
)

func (d *daemon) askJob(ctx context.Context) (notify.JobKind, error) {
	for begun := time.Now(); ; {
		d.notifier.ExtendTimeout(2 * askSilent)
		job, err := notify.Job(ctx)
		limit := askUnreachable
		if errors.Is(err, context.DeadlineExceeded) {
			limit = askSilent
		}
		if err == nil || time.Since(begun) > limit || ctx.Err() != nil {
			return job, err
		}
		time.Sleep(askAgain)
	}
}

// errHandedOver: this keeper has ended and its streams go on.
var errHandedOver = errors.New("the streams have been left to the next keeper")

// leave ends this keeper and leaves the streams to the next one, or stops them
// where there can be none. why is the error to end with.
func (d *daemon) leave(cancel context.CancelFunc, why error) error {
	if !d.keeper.Lasting() {
		return d.stop(why)
	}
	d.notifier.Stopping()
	cancel() // what is asked from now on is for the next keeper
	if d.busDone != nil {
		<-d.busDone
	}
	if err := d.keeper.HandOver(context.Background()); err != nil {
		d.log.Error("cannot hand over in good order; the next keeper will know less", "error", err)
	}
	return why
}

// alive counts the streams that have a process.
func alive(streams []*stream.Snapshot) (n int) {
	for _, s := range streams {
		if s.PID != 0 {
			n++
		}
	}
	return n
}

// While streams are being stopped systemd is asked every second for stopExtension
// more, provided that every part of the keeper answers within stopCheck.
const (
	stopExtension = 10 * time.Second
	stopCheck     = 5 * time.Second
)

// stop stops all streams, however long their files take, and tells systemd so
// as long as it goes on.
func (d *daemon) stop(why error) error {
	d.notifier.Stopping()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.askForTime(ctx) })
	for _, f := range d.keeper.StopAll(context.Background(), service.CallOptions{}) {
		d.log.Error("cannot stop a stream", "FFKEEPER_STREAM", f.Name, "error", f.Err)
	}
	cancel()
	wg.Wait()
	d.leaveShim()
	return why
}

// askForTime tells systemd until ctx ends that the stop goes on, and pings the
// watchdog, which is expected until the very end. A stop that hangs is for
// systemd to end; files that are being finished are not.
func (d *daemon) askForTime(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, stopCheck)
		err := d.keeper.CheckAlive(check)
		cancel()
		switch {
		case err == nil:
			d.notifier.ExtendTimeout(stopExtension)
			d.notifier.Status(stoppingStatus(d.keeper.Cores()))
			d.notifier.Ping()
		case ctx.Err() == nil:
			d.log.LogAttrs(ctx, journal.LevelCrit, "the stop hangs, systemd is not asked for more time: "+err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// leaveShim tells the shim that it may end once nothing of any stream is left.
func (d *daemon) leaveShim() {
	if err := d.keeper.Leave(); err != nil {
		d.log.Error("the shim does not hear that it may leave", "error", err)
	}
}

// flushWait bounds how long the end waits for the journal to take the last
// records.
const flushWait = 2 * time.Second

// close lets go of everything.
func (d *daemon) close() {
	if d.busDone != nil {
		<-d.busDone // the last signals: what was stopped, and by that its units
	}
	if err := d.keeper.Close(); err != nil {
		d.log.Error("this keeper does not end in good order", "error", err)
	}
	if d.private != nil {
		d.private.Close()
	}
	d.flush()
}

func (d *daemon) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushWait)
	defer cancel()
	d.handler.Flush(ctx)
}
