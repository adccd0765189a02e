package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

type logsFlags struct {
	follow bool
	lines  int
	since  string
}

func (a *app) logsCommand() *cobra.Command {
	f := logsFlags{}
	c := &cobra.Command{
		Use:   "logs NAME…",
		Short: "Show what streams and the keeper said of them",
		Long: `Show the journal of streams: their own lines and what the keeper did with them,
as journalctl FFKEEPER_STREAM=NAME does (whose own options do all the rest).
Where there is no journal, or the keeper does not write to it, the last lines
that the keeper kept, at most 50, are shown; so they are of another host (-H).`,
		Args:              needNames,
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("lines") && f.lines < 0 {
				return usagef("--lines=%d: less than nothing", f.lines)
			}
			if f.since != "" {
				if _, err := parseSince(f.since, a.now()); err != nil {
					return usagef("--since: %v", err)
				}
			}
			if f.follow {
				cmd.Annotations = endless()
			}
			return fail(a.logs(cmd.Context(), args, f))
		},
	}
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on with new lines as they come")
	c.Flags().IntVarP(&f.lines, "lines", "n", -1, "only the last so many lines (with -f 10, unless given)")
	c.Flags().Lookup("lines").DefValue = ""
	c.Flags().StringVar(&f.since, "since", "", `only lines since then: "2026-11-23 14:05", "14:05", yesterday, -1h, "10min ago"`)
	return c
}

// logs decides between the journal and the kept lines.
func (a *app) logs(ctx context.Context, args []string, f logsFlags) error {
	if f.follow && f.lines < 0 {
		f.lines = 10
	}
	k, known, err := a.connectNames(ctx)
	if err != nil {
		// without a keeper the journal still knows what was
		if names := plainNames(args); names != nil && len(a.hosts) == 0 && journalHas(ctx, names, time.Time{}) {
			return a.journalctl(ctx, names, f)
		}
		return err
	}
	defer k.close()
	names, unknown := expand(args, known)
	for _, u := range unknown {
		a.warn("ffkeeperctl: logs " + u.text())
	}
	if len(unknown) > 0 {
		return code(exitNoSuch)
	}
	if len(a.hosts) > 0 { // the journal is there
		return a.keptLines(ctx, k, names, f)
	}
	inJournal, err := a.logsToJournal(ctx, k, names)
	if err != nil {
		return err
	}
	if inJournal {
		return a.journalctl(ctx, names, f)
	}
	if _, terminal := terminalOf(a.err); terminal {
		a.note("-- not in a journal that you may read; the last lines that the keeper kept --")
	}
	return a.keptLines(ctx, k, names, f)
}

// connectNames connects and asks for the names of all streams.
func (a *app) connectNames(ctx context.Context) (*keeper, []string, error) {
	k, err := a.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	names, err := k.names(ctx)
	if err != nil {
		k.close()
		return nil, nil, err
	}
	return k, names, nil
}

// plainNames answers nil where a pattern would need the keeper.
func plainNames(args []string) []string {
	for _, arg := range args {
		if isGlob(arg) {
			return nil
		}
	}
	return args
}

// logsToJournal reports whether the journal has what the keeper keeps: a
// journal may hold only what an earlier keeper said, or nothing that we may
// read.
func (a *app) logsToJournal(ctx context.Context, k *keeper, names []string) (bool, error) {
	for _, name := range names {
		kept, err := k.lines(ctx, name, 1)
		if err != nil {
			return false, explain("logs "+name, err)
		}
		var since time.Time
		if len(kept) > 0 {
			// the journal stamps a line when it is logged, a moment later
			since = kept[0].time().Add(-time.Second)
		}
		if journalHas(ctx, []string{name}, since) {
			return true, nil
		}
	}
	return false, nil
}
