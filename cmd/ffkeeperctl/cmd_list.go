package main

import (
	"slices"

	"github.com/spf13/cobra"
)

func (a *app) listCommand() *cobra.Command {
	var states []string
	var failed bool
	c := &cobra.Command{
		Use:   "list [PATTERN…]",
		Short: "List the streams (what is done without a command)",
		Long: `List the streams: name, state, health, the reason for them, process, how long
it runs, restarts since the stream was loaded, description.`,
		Aliases:           []string{"ls", "list-streams"},
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := a.reports(cmd.Context())
			if err != nil {
				return fail(err)
			}
			picked := all
			if len(args) > 0 {
				picked = filterByPatterns(all, args)
			}
			if failed {
				states = append(states, "failed")
			}
			if len(states) > 0 {
				picked = slices.DeleteFunc(slices.Clone(picked), func(v *view) bool {
					return !v.unreachable() && !slices.Contains(states, v.State) && !slices.Contains(states, v.Health)
				})
			}
			if a.json {
				err = a.printJSON(orEmpty(picked))
			} else {
				lines := renderList(picked, localeGlyphs())
				if a.quiet {
					lines = lines[:len(lines)-2] // without the footer
				}
				err = a.print(lines...)
			}
			if err == nil && anyUnreachable(picked) {
				return code(exitFailure)
			}
			return fail(err)
		},
	}
	c.Flags().StringSliceVar(&states, "state", nil, "only streams of this state or health (several: running,degraded)")
	c.Flags().BoolVar(&failed, "failed", false, "the same as --state=failed")
	c.Flags().BoolVarP(&a.full, "full", "l", false, "do not cut lines at the width of the terminal")
	_ = c.RegisterFlagCompletionFunc("state", fixed(append(slices.Clone(summaryWords), "ok", "unknown", "down", "none")...))
	return c
}

// filterByPatterns keeps the order of the list, as list-units does; a pattern
// that matches nothing just lists nothing.
func filterByPatterns(all []*view, args []string) []*view {
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.Name
	}
	found, _ := expand(args, names)
	return slices.DeleteFunc(slices.Clone(all), func(v *view) bool { return !slices.Contains(found, v.Name) && !v.unreachable() })
}
