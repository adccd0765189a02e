package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

type topFlags struct {
	iterations int
	delay      spanFlag
	sort       string
	reverse    bool
}

func (a *app) topCommand() *cobra.Command {
	f := topFlags{delay: spanFlag{time.Second}}
	c := &cobra.Command{
		Use:   "top [PATTERN…]",
		Short: "Show a live table of the streams",
		Long: `Show a live table of the streams, with what they use and what ffmpeg says of
itself. On a terminal the keys are: q quit, s and S sort by the next or
previous column (marked *), r reverse, up, down, page up, page down, home, end
(or k, j, b, space, g, G) scroll. It goes on while the keeper is restarted.

Not on a terminal the table is printed again and again.`,
		Annotations:       endless(),
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(topSorts, topSort(f.sort)) {
				return usagef("--sort=%s: not one of %s", f.sort, topSortNames())
			}
			if f.iterations < 0 {
				return usagef("--iterations=%d: less than nothing", f.iterations)
			}
			return a.top(cmd.Context(), args, f)
		},
	}
	c.Flags().IntVarP(&f.iterations, "iterations", "n", 0, "end after so many tables; 0: never")
	c.Flags().VarP(&f.delay, "delay", "d", "time between two tables")
	c.Flags().StringVar(&f.sort, "sort", string(sortName), "column to sort by: "+topSortNames())
	c.Flags().BoolVar(&f.reverse, "reverse", false, "sort the other way round")
	names := make([]string, len(topSorts))
	for i, s := range topSorts {
		names[i] = string(s)
	}
	_ = c.RegisterFlagCompletionFunc("sort", fixed(names...))
	return c
}

func (a *app) top(ctx context.Context, patterns []string, f topFlags) error {
	feed := &topFeed{app: a, patterns: patterns}
	if len(a.hosts) > 1 {
		feed.fleet = a.newFleet()
	}
	defer feed.close()
	// the first look fails as any command does; later ones are waited out
	if err := feed.look(ctx); err != nil {
		return err
	}
	model := &topModel{sort: topSort(f.sort), reverse: f.reverse}
	if out, ok := terminalOf(a.out); ok && !a.json {
		return a.topLive(ctx, out, feed, model, f)
	}
	return a.topPlain(ctx, feed, model, f)
}

// topPlain prints tables one after another.
func (a *app) topPlain(ctx context.Context, feed *topFeed, model *topModel, f topFlags) error {
	tick := time.NewTicker(f.delay.d)
	defer tick.Stop()
	for i := 1; ; i++ {
		model.update(feed.streams)
		var err error
		switch {
		case a.json:
			err = a.printJSON(orEmpty(model.sorted()))
		default:
			lines := model.lines(a.now(), feed.note, localeGlyphs())
			if i > 1 {
				lines = append([]line{nil}, lines...)
			}
			err = a.print(lines...)
		}
		if err != nil || i == f.iterations {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		_ = feed.look(ctx)
	}
}

// topFeed fetches reports, and connects again when the keeper has been away.
type topFeed struct {
	app      *app
	patterns []string
	keeper   *keeper
	fleet    *fleet  // instead, of several hosts
	streams  []*view // the last report
	note     string  // why it is not of now, "" if it is
}

// lookTimeout bounds one look, so that a table of a keeper that hangs says so.
const lookTimeout = 5 * time.Second

func (f *topFeed) look(ctx context.Context) error {
	if f.fleet != nil {
		// Only at first are hosts waited for; each says for itself that it is away.
		f.take(f.fleet.views(ctx, f.streams == nil, nil))
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := f.fetch(ctx)
	if err != nil {
		f.close()
		f.note = "no answer from the keeper since " + f.app.now().Format(time.TimeOnly)
		return err
	}
	f.note = ""
	return nil
}

func (f *topFeed) fetch(ctx context.Context) error {
	if f.keeper == nil {
		k, err := f.app.connect(ctx)
		if err != nil {
			return err
		}
		f.keeper = k
	}
	streams, err := f.keeper.views(ctx)
	if err != nil {
		return err
	}
	f.take(streams)
	return nil
}

func (f *topFeed) take(streams []*view) {
	if len(f.patterns) > 0 {
		streams = filterByPatterns(streams, f.patterns)
	}
	f.streams = streams
}

func (f *topFeed) close() {
	if f.keeper != nil {
		f.keeper.close()
		f.keeper = nil
	}
	if f.fleet != nil {
		f.fleet.close()
	}
}
