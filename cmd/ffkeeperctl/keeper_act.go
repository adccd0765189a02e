package main

import (
	"context"
	"os"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// callOptions are the options of start, stop and restart.
type callOptions struct {
	wait    string        // none, done, ok
	timeout time.Duration // 0: the stream's own; stop and restart only
}

func (o callOptions) options() client.Options {
	return client.Options{Wait: o.wait, Timeout: o.timeout}
}

func (k *keeper) start(ctx context.Context, name string, o callOptions) (uint32, error) {
	return k.c.Start(ctx, name, o.options())
}

func (k *keeper) stop(ctx context.Context, name string, o callOptions) (uint32, error) {
	return 0, k.c.Stop(ctx, name, o.options())
}

func (k *keeper) restart(ctx context.Context, name string, o callOptions) (uint32, error) {
	return k.c.Restart(ctx, name, o.options())
}

func (k *keeper) startAll(ctx context.Context, o callOptions) ([]result, error) {
	failures, err := k.c.StartAll(ctx, o.options())
	return resultsOf(failures), err
}

func (k *keeper) stopAll(ctx context.Context, o callOptions) ([]result, error) {
	failures, err := k.c.StopAll(ctx, o.options())
	return resultsOf(failures), err
}

func resultsOf(failures []client.Failure) []result {
	out := make([]result, len(failures))
	for i, f := range failures {
		out[i] = result{Name: f.Name, Error: f.Text}
	}
	return out
}

func (k *keeper) resetFailed(ctx context.Context, name string) error {
	return k.c.ResetFailed(ctx, name)
}

func (k *keeper) kill(ctx context.Context, name string, signal int) error {
	return k.c.Kill(ctx, name, signal)
}

func (k *keeper) reload(ctx context.Context) ([]change, error) {
	changes, err := k.c.Reload(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]change, len(changes))
	for i, c := range changes {
		out[i] = change{c.Kind, c.Name, c.Detail}
	}
	return out, nil
}

func (k *keeper) openStdin(ctx context.Context, name string) (*os.File, error) {
	return k.c.OpenStdin(ctx, name)
}

func (k *keeper) openStdout(ctx context.Context, name string) (*os.File, error) {
	return k.c.OpenStdout(ctx, name)
}
