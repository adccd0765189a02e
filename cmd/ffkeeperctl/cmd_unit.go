package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/service/notify"
)

func (a *app) proxyUnitCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "proxy-unit INSTANCE",
		Short:  "Be the unit ffkeeper-stream@INSTANCE.service",
		Hidden: true,
		Long: `Be a unit of systemd for one stream; ffkeeper-stream@.service runs this. Starts
the stream, is ready when it delivers, goes on as long as it is wanted, and ends
with an error when it fails. On SIGTERM the stream is stopped.`,
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := streamOfInstance(args[0])
			if err != nil {
				return usagef("%s: %v", args[0], err)
			}
			k, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer k.close()
			p := &proxyUnit{c: k.c, name: name, notifier: notify.New()}
			return fail(p.run(cmd.Context()))
		},
	}
}

// proxyUnit stands for a stream among systemd's units. It watches only after
// the keeper has taken the start, so all that it hears is newer than that: a
// stop before our start cannot be mistaken for the end.
type proxyUnit struct {
	c        *client.Client
	name     string
	notifier *notify.Notifier

	now   unitView
	ready bool // it has delivered
}

// run returns nil when the stream has been stopped, by us at the end of ctx or
// by anybody else, and an error when it has failed or could not be started.
func (p *proxyUnit) run(ctx context.Context) error {
	_ = p.notifier.Status("asking the keeper")
	for {
		_, err := p.c.Start(ctx, p.name, client.Options{Wait: "none"})
		if err == nil {
			break
		}
		if !isPassing(err) && ctx.Err() == nil {
			return explain("start "+p.name, err)
		}
		if !p.keeperComes(ctx) {
			return p.stop()
		}
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	events := p.c.Watch(watching)
	for {
		select {
		case e := <-events:
			if done, err := p.event(e); done || err != nil {
				return err
			}
		case <-ctx.Done():
			return p.stop()
		}
	}
}

// event reports whether it is the last one.
func (p *proxyUnit) event(e client.Event) (done bool, err error) {
	switch {
	case e.Kind == client.EventGone:
		_ = p.notifier.Status("the keeper is away; the stream goes on as it was")
		return false, nil
	case e.Kind == client.EventResync:
		all, ok := e.Streams[p.name]
		if !ok {
			return p.ended("there is no such stream any more")
		}
		p.now = unitViewOf(all)
	case e.Kind == client.EventPropertiesChanged && e.Name == p.name:
		p.now.change(e.Changed)
	case e.Kind == client.EventStreamRemoved && e.Name == p.name:
		return p.ended("its stream file is gone")
	default:
		return false, nil
	}
	_ = p.notifier.Status(p.now.status())
	switch p.now.verdict() {
	case unitDelivers:
		if !p.ready {
			p.ready = true
			_ = p.notifier.Ready()
		}
	case unitStopped:
		return p.ended(p.now.status())
	case unitFailed:
		return true, failf("%s: %s", p.name, p.now.status())
	}
	return false, nil
}

// ended: to stop is no failure, unless systemd still waits for the start.
func (p *proxyUnit) ended(why string) (bool, error) {
	if !p.ready {
		return true, failf("%s: it has not been started: %s", p.name, why)
	}
	return true, nil
}

// isPassing is of an error that the next keeper, or the next bus, will not
// give.
func isPassing(err error) bool {
	var e *client.Error
	if !errors.As(err, &e) {
		return true // no keeper, or no bus
	}
	// Busy: the keeper is ending. NoReply: it has ended, in the middle of the call.
	return client.IsBusy(err) || e.Name == "org.freedesktop.DBus.Error.NoReply"
}

// unitStopPatience is how long a stop waits for a keeper that is away: longer
// than any restart of it takes.
const unitStopPatience = 30 * time.Second

// stop stops the stream, however long its files take, and tells systemd so.
func (p *proxyUnit) stop() error {
	_ = p.notifier.Stopping()
	_ = p.notifier.Status("stopping the stream")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			_ = p.notifier.ExtendTimeout(10 * time.Second)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	for {
		err := p.c.Stop(ctx, p.name, client.Options{Wait: "done"})
		switch {
		case err == nil, client.IsNoSuchStream(err):
			return nil
		case !isPassing(err):
			return explain("stop "+p.name, err)
		}
		waiting, enough := context.WithTimeout(ctx, unitStopPatience)
		comes := p.keeperComes(waiting)
		enough()
		if !comes {
			return explain("stop "+p.name, fmt.Errorf("the keeper is away: %w", err))
		}
	}
}

// keeperComes waits until there is a keeper; false: until ctx ended.
func (p *proxyUnit) keeperComes(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for e := range p.c.Watch(ctx) {
		if e.Kind == client.EventResync {
			return true
		}
	}
	return false
}
