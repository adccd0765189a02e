package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// verb is what start, stop and restart have apart.
type verb struct {
	word, gerund string
	one          func(k *keeper, ctx context.Context, name string, o callOptions) (pid uint32, err error)
	// all does it to all streams in the keeper's order; nil: one by one.
	all func(k *keeper, ctx context.Context, o callOptions) ([]result, error)
}

// acting holds the flags of start, stop and restart.
type acting struct {
	all, noBlock, waitOK bool
	timeout              spanFlag
}

func (o *acting) flags(a *app, c *cobra.Command, canWaitOK bool, timeout string) *cobra.Command {
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "all streams")
	f.BoolVar(&o.noBlock, "no-block", false, "do not wait until it is done")
	if canWaitOK {
		f.BoolVar(&o.waitOK, "wait-ok", false, "wait until the stream delivers, not only until it has a process")
		c.MarkFlagsMutuallyExclusive("no-block", "wait-ok")
	}
	f.Var(&o.timeout, "timeout", timeout)
	c.ValidArgsFunction = a.completeStreams
	c.Args = func(_ *cobra.Command, args []string) error {
		switch {
		case o.all && len(args) > 0:
			return usagef("--all and names: give one of both")
		case !o.all && len(args) == 0:
			return usagef("no stream named (or give --all)")
		}
		return nil
	}
	return c
}

func (o *acting) wait() string {
	switch {
	case o.noBlock:
		return "none"
	case o.waitOK:
		return "ok"
	}
	return "done"
}

func (a *app) startCommand() *cobra.Command {
	o := &acting{}
	c := &cobra.Command{
		Use:   "start NAME… | --all",
		Short: "Start streams",
		Long: `Start streams, and wait until each has a process. Starting a running stream is
no error. Exit code 1 if one could not be started; the others are started all
the same.`,
	}
	c.RunE = a.asking(func(ctx context.Context, k *keeper, args []string) error {
		if o.timeout.d > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, o.timeout.d)
			defer cancel()
		}
		err := a.act(ctx, k, verb{word: "start", gerund: "starting", one: (*keeper).start, all: (*keeper).startAll},
			args, o.all, callOptions{wait: o.wait()})
		return err
	})
	return o.flags(a, c, true, "stop waiting after this time; the start goes on")
}

func (a *app) stopCommand() *cobra.Command {
	o := &acting{}
	c := &cobra.Command{
		Use:   "stop NAME… | --all",
		Short: "Stop streams, so that their files are finished",
		Long: `Stop streams, and wait until nothing of them is left. ffmpeg is asked to finish
its files; it is given more time while they still grow. Stopping a stopped
stream is no error. What is stopped stays stopped until it is started, or the
next boot.`,
	}
	c.RunE = a.asking(func(ctx context.Context, k *keeper, args []string) error {
		return a.act(ctx, k, verb{word: "stop", gerund: "stopping", one: (*keeper).stop, all: (*keeper).stopAll},
			args, o.all, callOptions{wait: o.wait(), timeout: o.timeout.d})
	})
	return o.flags(a, c, false, "instead of the stream's TimeoutStopSec=")
}

func (a *app) restartCommand() *cobra.Command {
	o := &acting{}
	c := &cobra.Command{
		Use:   "restart NAME… | --all",
		Short: "Stop streams and start them anew",
		Long: `Stop streams as stop does, then start them. A stopped stream is started. This
is how a changed stream file takes effect. Counts as a restart; the back-off of
automatic restarts is left as it is.`,
	}
	c.RunE = a.asking(func(ctx context.Context, k *keeper, args []string) error {
		return a.act(ctx, k, verb{word: "restart", gerund: "restarting", one: (*keeper).restart},
			args, o.all, callOptions{wait: o.wait(), timeout: o.timeout.d})
	})
	return o.flags(a, c, true, "instead of the stream's TimeoutStopSec=, for the stop")
}

// atOnce bounds the calls under way at one time. The keeper works at no more
// than 32 of one client; some are left for asking how it goes.
const atOnce = 24

// act does one thing to several streams at once: what they depend on each
// other is for the keeper to put in order.
func (a *app) act(ctx context.Context, k *keeper, v verb, args []string, all bool, o callOptions) error {
	names, err := k.names(ctx)
	if err != nil {
		return err
	}
	exit := exitOK
	worst := func(n int) {
		if exit == exitOK {
			exit = n
		}
	}
	if !all {
		var unknown []unknownName
		names, unknown = expand(args, names)
		for _, u := range unknown {
			a.warn("ffkeeperctl: " + v.word + " " + u.text())
			worst(exitNoSuch)
		}
	}
	var results []result
	var failures []error
	if all && v.all != nil {
		results, failures, err = a.actOnAll(ctx, k, v, len(names), o)
		if err != nil {
			return err
		}
	} else {
		results, failures = a.actOnEach(ctx, k, v, names, o)
	}
	if ctx.Err() == context.Canceled {
		return &exitError{exitInterrupted, textError("interrupted; the keeper goes on with what it has begun")}
	}
	for _, err := range failures {
		a.complain(err)
		worst(exitCodeOf(err))
	}
	if a.json {
		if err := a.printJSON(orEmpty(results)); err != nil {
			return err
		}
	}
	return code(exit)
}

// actOnAll leaves it to the keeper; the results are the failures.
func (a *app) actOnAll(ctx context.Context, k *keeper, v verb, n int, o callOptions) ([]result, []error, error) {
	progress := a.startProgress(ctx, v.gerund, []string{fmt.Sprintf("all %d streams", n)}, nobody)
	results, err := v.all(k, ctx, o)
	progress.close()
	if err != nil {
		return nil, nil, explain(v.word+" --all", a.timedOut(v, err))
	}
	var failures []error
	for i, r := range results {
		results[i].Error = v.word + " " + r.Name + ": " + strings.TrimPrefix(r.Error, r.Name+": ")
		failures = append(failures, &exitError{exitFailure, textError(results[i].Error)})
	}
	return results, failures, nil
}

func (a *app) actOnEach(ctx context.Context, k *keeper, v verb, names []string, o callOptions) ([]result, []error) {
	progress := a.startProgress(ctx, v.gerund, names, k.health)
	defer progress.close()
	type outcome struct {
		pid uint32
		err error
	}
	outcomes := make([]outcome, len(names))
	slots := make(chan struct{}, atOnce)
	finished := make(chan struct{})
	for i, name := range names {
		go func() {
			slots <- struct{}{}
			outcomes[i].pid, outcomes[i].err = v.one(k, ctx, name, o)
			<-slots
			progress.finished(name)
			finished <- struct{}{}
		}()
	}
	for range names {
		<-finished
	}
	results := make([]result, len(names))
	var failures []error
	for i, name := range names {
		results[i] = result{Name: name, PID: outcomes[i].pid}
		if err := outcomes[i].err; err != nil {
			err = explain(v.word+" "+name, a.timedOut(v, err))
			results[i].Error = err.Error()
			failures = append(failures, err)
		}
	}
	return results, failures
}

// timedOut says of --timeout what it means: we stop waiting, nothing else.
func (a *app) timedOut(v verb, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return failf("not done in time; it goes on (ffkeeperctl status tells how)")
	}
	return err
}

// needNames is for commands without an all.
func needNames(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("no stream named")
	}
	return nil
}
