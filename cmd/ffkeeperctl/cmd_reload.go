package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Read the stream files again",
		Long: `Read the stream files again and print what changed. New streams are started,
those whose file is gone are stopped; a changed one that runs goes on with its
old definition until it is restarted. Exit code 1 if a file is broken: its
errors are printed, and its stream goes on with the last good definition.`,
		Args: cobra.NoArgs,
		RunE: a.asking(func(ctx context.Context, k *keeper, _ []string) error {
			progress := a.startProgress(ctx, "reading", []string{"the stream files"}, nobody)
			changes, err := k.reload(ctx)
			progress.close()
			if err != nil {
				return explain("reload", err)
			}
			broken := false
			for _, c := range changes {
				if c.Change == "error" {
					broken = true
				}
			}
			if a.json {
				err = a.printJSON(orEmpty(changes))
			} else {
				err = a.printChanges(changes)
			}
			if err == nil && broken {
				return code(exitFailure)
			}
			return err
		}),
	}
}

// printChanges writes what changed to stdout and what is broken to stderr.
func (a *app) printChanges(changes []change) error {
	for _, c := range changes {
		if c.Change == "error" {
			for _, l := range renderChange(c) {
				p := a.printerFor(a.err)
				p.width = 0
				if err := p.print(l); err != nil {
					return fail(err)
				}
			}
		} else if !a.quiet {
			if err := a.print(renderChange(c)...); err != nil {
				return err
			}
		}
	}
	if len(changes) == 0 {
		a.note("Nothing has changed.")
	}
	return nil
}

// nobody is the look of a progress that is of no stream.
func nobody(context.Context, string) (*view, error) { return nil, context.Canceled }
