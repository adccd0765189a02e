package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/credential"
	"github.com/ffkeeper/ffkeeper/service/journal"
	"github.com/ffkeeper/ffkeeper/service/notify"
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
		d.flush() // it may have said more of it
		return nil, err
	}
	d.reloader = &reloader{Keeper: d.keeper, notifier: d.notifier}
	return d, nil
}

// serve runs until a signal, the bus or ctx ends it, stops all streams
// properly or hands them over, and lets go of everything.
func (d *daemon) serve(ctx context.Context, sig *signals) error {
	defer d.close()
	err := d.run(ctx, sig)
	if err != nil && err != errHandedOver {
		d.log.Error("ending", "error", err)
	}
	return err
}

func (d *daemon) run(ctx context.Context, sig *signals) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.log.Info("ffkeeperd "+version+" begins", "streams", len(d.keeper.Names()), "taken_over", alive(d.keeper.Cores()))
	select {
	case s := <-sig.stop: // it came while what an earlier keeper left was taken over
		why := d.handOver(ctx)
		if why != "" { // the next keeper starts nothing that is left as stopped
			d.keeper.Autostart(ctx)
		}
		return d.ended(cancel, s, why)
	default:
	}
	d.keeper.Autostart(ctx)
	if version != unknownVersion {
		go d.keeper.UpgradeShim(ctx)
	}

	address := string(d.settings.Bus)
	if address == "private" {
		var err error
		if d.private, err = dbusapi.StartPrivateBus(context.Background(), string(d.settings.StateDir)); err != nil {
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
		case <-sig.reload:
			go d.reload(ctx)
		case s := <-sig.stop:
			return d.ended(cancel, s, d.handOver(ctx))
		case <-ctx.Done():
			return d.stop(nil)
		}
	}
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
