package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/credential"
	"github.com/ffkeeper/ffkeeper/service/journal"
	"github.com/ffkeeper/ffkeeper/service/notify"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// daemon is everything ffkeeperd consists of.
type daemon struct {
	settings Settings
	handler  *journal.Switch
	level    *slog.LevelVar
	log      *slog.Logger
	notifier *notify.Notifier
	keeper   *service.Keeper
	reloader *reloader
	private  *dbusapi.PrivateBus // nil unless FFKEEPER_BUS=private
	bus      *dbusapi.Server
	busDone  chan struct{} // closed when the bus is no longer served; nil: it never was
}

// flushWait bounds how long the end waits for the journal to take the last
// records.
const flushWait = 2 * time.Second

// newDaemon puts the parts together. Nothing is started yet.
func newDaemon(s Settings) (*daemon, error) {
	d := &daemon{settings: s, notifier: notify.New()}
	var err error
	d.level = new(slog.LevelVar)
	d.level.Set(journal.Level(int(s.LogLevel)))
	if d.handler, err = journal.NewSwitch(string(s.Log), identifier(), d.level, os.Stderr); err != nil {
		return nil, err
	}
	d.log = slog.New(d.handler)
	if err := s.StateDir.Prepare(); err != nil {
		return nil, err
	}
	d.keeper, err = service.New(service.Options{
		Path: s.StreamPath, FFmpeg: string(s.FFmpeg), Shim: connector(s), Log: d.handler, Version: version,
		Credentials: credential.Store{Systemd: os.Getenv("CREDENTIALS_DIRECTORY"), Path: s.CredentialPath},
	})
	if err != nil {
		return nil, err
	}
	d.reloader = &reloader{Keeper: d.keeper, notifier: d.notifier}
	return d, nil
}

// serve runs until a signal, the bus or ctx ends it, stops all streams
// properly or hands them over, and lets go of everything.
func (d *daemon) serve(ctx context.Context, signals <-chan os.Signal) error {
	defer d.close()
	err := d.run(ctx, signals)
	if err != nil && err != errHandedOver {
		d.log.Error("ending", "error", err)
	}
	return err
}

func (d *daemon) run(ctx context.Context, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.log.Info("ffkeeperd "+version+" begins", "streams", len(d.keeper.Names()), "taken_over", alive(d.keeper.Cores()))
	select {
	case s := <-signals: // while what an earlier keeper left was taken over
		if s != syscall.SIGHUP { // all has just been read
			return d.signalled(ctx, cancel, s)
		}
	default:
	}
	d.keeper.Autostart(ctx)
	if version != unknownVersion {
		go d.keeper.UpgradeShim(ctx)
	}

	address := string(d.settings.Bus)
	if address == "private" {
		var err error
		if d.private, err = dbusapi.StartPrivateBus(ctx, string(d.settings.StateDir)); err != nil {
			return d.leave(cancel, err)
		}
		address = d.private.Address()
	}
	var err error
	d.bus, err = dbusapi.New(d.reloader, dbusapi.Options{
		Bus: address, Version: version, Log: d.log, LogControl: d.logControl(),
	})
	if err != nil {
		return d.leave(cancel, err)
	}
	busEnd := make(chan error, 1)
	d.busDone = make(chan struct{})
	go func() {
		defer close(d.busDone)
		busEnd <- d.bus.Run(ctx)
	}()
	go d.watchdog(ctx)
	d.deadlockOnSignal()
	ready := d.bus.Ready()
	for {
		select {
		case <-ready:
			ready = nil
			d.reloader.started.Store(true)
			d.notifier.Ready()
			go d.status(ctx)
		case err := <-busEnd:
			return d.leave(cancel, err)
		case err := <-d.keeper.Failed():
			return err
		case pid := <-d.keeper.ShimStopping():
			job, err := notify.JobOf(ctx, pid)
			if job == notify.JobStop {
				d.log.Info("stopping, as the service of the streams is being stopped")
				d.leaveShim()
				return d.stop(nil)
			}
			d.log.Warn("the shim is being stopped; the streams wait for the next one", "job", job, "error", err)
			d.keeper.StopShim()
		case s := <-signals:
			if s == syscall.SIGHUP {
				go d.reload(ctx)
				continue
			}
			return d.signalled(ctx, cancel, s)
		case <-ctx.Done():
			return d.stop(nil)
		}
	}
}

// signalled ends this keeper, and the streams unless they are for the next one.
func (d *daemon) signalled(ctx context.Context, cancel context.CancelFunc, s os.Signal) error {
	if why := d.handOver(ctx); why != "" {
		d.log.Info("leaving the streams to the next keeper", "signal", s.String(), "job", why)
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
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			// A stop that hangs is for systemd to end; files that are being
			// finished are not. The watchdog is to be pinged until the very end.
			check, cancel := context.WithTimeout(context.Background(), stopCheck)
			err := d.keeper.CheckAlive(check)
			cancel()
			if err == nil {
				d.notifier.ExtendTimeout(stopExtension)
				d.notifier.Status(stoppingStatus(d.keeper.Cores()))
				d.notifier.Ping()
			} else {
				d.log.LogAttrs(context.Background(), journal.LevelCrit, "the stop hangs, systemd is not asked for more time: "+err.Error())
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	for _, f := range d.keeper.StopAll(context.Background(), service.CallOptions{}) {
		d.log.Error("cannot stop a stream", "FFKEEPER_STREAM", f.Name, "error", f.Err)
	}
	close(done)
	d.leaveShim()
	return why
}

// leaveShim tells the shim that it may end once nothing of any stream is left.
func (d *daemon) leaveShim() {
	if err := d.keeper.Leave(); err != nil {
		d.log.Error("the shim does not hear that it may leave", "error", err)
	}
}

func (d *daemon) close() {
	if d.busDone != nil {
		<-d.busDone // the last signals: what was stopped, and by that its units
	}
	d.keeper.Close()
	if d.private != nil {
		d.private.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWait)
	defer cancel()
	d.handler.Flush(ctx)
}

// reload is SIGHUP: who wants to know how it went calls Reload over D-Bus.
func (d *daemon) reload(ctx context.Context) {
	changes, err := d.reloader.Reload(ctx)
	if err != nil {
		d.log.Error("cannot reload", "error", err)
	}
	for _, c := range changes {
		if c.Kind == service.ChangeError {
			d.log.Error("reload: "+c.Detail, "FFKEEPER_STREAM", c.Name)
			continue
		}
		d.log.Info("reload: "+c.Kind, "FFKEEPER_STREAM", c.Name)
	}
}

// reloader tells systemd of each reload, whoever asks for it.
type reloader struct {
	*service.Keeper
	notifier *notify.Notifier
	started  atomic.Bool // but for telling systemd so
}

func (r *reloader) Reload(ctx context.Context) ([]service.Change, error) {
	if r.started.Load() { // or READY=1 would end the start, bus or no bus
		r.notifier.Reloading()
		defer r.notifier.Ready()
	}
	return r.Keeper.Reload(ctx)
}

// watchdog pings systemd only after every part has answered. What hangs is
// named in the journal before systemd ends us.
func (d *daemon) watchdog(ctx context.Context) {
	interval, ok := d.notifier.Watchdog()
	if !ok {
		return
	}
	// sd_watchdog_enabled(3) recommends half of the interval; a third leaves
	// room for a check that takes long.
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, interval/3)
		err := d.keeper.CheckAlive(check)
		if err == nil {
			err = d.busAlive(check)
		}
		cancel()
		if err == nil {
			d.notifier.Ping()
		} else if ctx.Err() == nil {
			d.log.LogAttrs(ctx, journal.LevelCrit, "not alive, the watchdog is not pinged: "+err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *daemon) busAlive(ctx context.Context) error {
	if err := d.bus.Ping(ctx); err != nil {
		return fmt.Errorf("the bus loop does not answer: %w", err)
	}
	return nil
}
