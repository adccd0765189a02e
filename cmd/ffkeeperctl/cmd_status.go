package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
)

func (a *app) statusCommand() *cobra.Command {
	var lines uint32
	c := &cobra.Command{
		Use:   "status [NAME…]",
		Short: "Show all that is known of streams, or of the keeper",
		Long: `Show all that is known of the named streams, and their last lines. Without a
name: the keeper and one line for each stream.

Exit code, as with systemctl: 0 running (or starting, stopping), 3 not running,
4 no such stream; of several streams the first code that is not 0 counts.
Without a name: 0.`,
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(a.hosts) > 1 {
				return fail(a.statusOfFleet(cmd.Context(), args, lines))
			}
			k, err := a.connect(cmd.Context())
			if err != nil {
				return withCode(err, exitUnknown)
			}
			defer k.close()
			return fail(a.status(cmd.Context(), k, args, lines))
		},
	}
	c.Flags().Uint32VarP(&lines, "lines", "n", 10, "how many of the last lines to show, at most 50")
	c.Flags().BoolVarP(&a.full, "full", "l", false, "do not cut lines at the width of the terminal")
	return c
}

func (a *app) status(ctx context.Context, k *keeper, args []string, n uint32) error {
	all, err := k.views(ctx)
	if err != nil {
		return err
	}
	if len(args) == 0 && !a.json {
		o, err := k.overview(ctx)
		if err != nil {
			return err
		}
		return a.print(renderOverview(o, all, a.now(), localeGlyphs())...)
	}
	picked, missing := a.pick(args, all)
	for _, v := range picked {
		if err := k.complete(ctx, v, n); err != nil {
			return err
		}
	}
	return a.printStatus(picked, missing, len(args) > 0)
}

// statusOfFleet is status of several hosts, one below the other.
func (a *app) statusOfFleet(ctx context.Context, args []string, n uint32) error {
	f := a.newFleet()
	defer f.close()
	overviews := make([]overview, len(f.links))
	all := f.views(ctx, true, func(ctx context.Context, i int, k *keeper, streams []*view) (err error) {
		if len(args) == 0 && !a.json {
			overviews[i], err = k.overview(ctx)
			return err
		}
		wanted := streams
		if len(args) > 0 {
			wanted = filterByPatterns(streams, args)
		}
		for _, v := range wanted {
			if err := k.complete(ctx, v, n); err != nil {
				return err
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(args) > 0 || a.json {
		picked, missing := a.pick(args, all)
		return a.printStatus(picked, missing, len(args) > 0)
	}
	var out []line
	for i, l := range f.links {
		if i > 0 {
			out = append(out, nil)
		}
		if l.keeper == nil {
			out = append(out, renderUnreachable(l.unreachable(), localeGlyphs())...)
			continue
		}
		streams := slices.DeleteFunc(slices.Clone(all), func(v *view) bool { return v.Host != l.host })
		out = append(out, renderOverview(overviews[i], streams, a.now(), localeGlyphs())...)
	}
	err := a.print(out...)
	if err == nil && anyUnreachable(all) {
		return code(exitUnknown)
	}
	return err
}

// printStatus prints streams that are completed, and answers the exit code.
func (a *app) printStatus(picked []*view, missing, named bool) error {
	exit := exitOK
	var out []line
	for i, v := range picked {
		if !v.active() && exit == exitOK {
			exit = exitNotRunning
		}
		if i > 0 {
			out = append(out, nil)
		}
		out = append(out, renderStatus(v, a.now(), localeGlyphs())...)
	}
	var err error
	if a.json {
		err = a.printJSON(orEmpty(picked))
	} else {
		err = a.print(out...)
	}
	switch {
	case err != nil:
		return err
	case missing, anyUnreachable(picked):
		return code(exitUnknown)
	case !named:
		return nil
	}
	return code(exit)
}

// isActiveCommand is for scripts: the state, and nothing else, on stdout.
func (a *app) isActiveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "is-active NAME…",
		Short: "Print the state; succeed if a stream is running",
		Long: `Print the state of each stream, one a line (nothing with -q). Exit code, as
with systemctl: 0 if at least one of them is running, else 3; 4 if there is no
such stream, or no keeper to ask.`,
		Args:              needNames,
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd.Context(), args, func(v *view) (string, bool) { return v.State, v.State == "running" },
				func(yes, no int) bool { return yes > 0 })
		},
	}
}

func (a *app) isHealthyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "is-healthy NAME…",
		Short: "Print the health; succeed if all the streams are healthy",
		Long: `Print the health of each stream, one a line (nothing with -q). Exit code: 0 if
every one of them delivers (ok, or unknown for a simple command, of which its
running is all that can be known), else 1; 4 if there is no such stream, or no
keeper to ask. Unlike with health, a stream that was stopped on purpose is not
healthy: it was asked for by name.`,
		Args:              needNames,
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.ask(cmd.Context(), args, func(v *view) (string, bool) { return v.Health, v.healthy() },
				func(yes, no int) bool { return no == 0 })
			if exitCodeOf(err) == exitNotRunning {
				return code(exitFailure)
			}
			return err
		},
	}
}

// ask prints a word about each stream and turns the answers into an exit code:
// 0, 3 or 4.
func (a *app) ask(ctx context.Context, args []string, about func(*view) (string, bool), enough func(yes, no int) bool) error {
	k, err := a.connect(ctx)
	if err != nil {
		return withCode(err, exitUnknown)
	}
	defer k.close()
	all, err := k.views(ctx)
	if err != nil {
		return withCode(err, exitUnknown)
	}
	picked, missing := a.pick(args, all)
	yes, no := 0, 0
	answers := []answer{}
	for _, v := range picked {
		word, ok := about(v)
		if ok {
			yes++
		} else {
			no++
		}
		answers = append(answers, answer{v.Name, v.State, v.Health})
		if !a.quiet && !a.json {
			if err := a.print(text(word)); err != nil {
				return err
			}
		}
	}
	if a.json && !a.quiet {
		if err := a.printJSON(answers); err != nil {
			return err
		}
	}
	switch {
	case missing:
		return code(exitUnknown)
	case enough(yes, no):
		return nil
	}
	return code(exitNotRunning)
}
