package main

import (
	"cmp"
	"slices"

	"github.com/spf13/cobra"
)

func (a *app) healthCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "health [NAME…]",
		Short: "Report the health; succeed if all are healthy",
		Long: `Report the health of the streams, the worst first, with the reason and the last
error line. Exit code 0 only if every one of them that is wanted is healthy
(ok, or unknown for a simple command), else 1. With -q only the exit code
tells.`,
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := a.reports(cmd.Context())
			if err != nil {
				return fail(err)
			}
			picked, missing := a.pick(args, all)
			slices.SortStableFunc(picked, func(x, y *view) int { return cmp.Compare(healthRank(x), healthRank(y)) })
			switch {
			case a.quiet:
			case a.json:
				err = a.printJSON(orEmpty(picked))
			default:
				err = a.print(renderHealth(picked, localeGlyphs())...)
			}
			switch {
			case err != nil:
				return fail(err)
			case missing:
				return code(exitNoSuch)
			case countUnhealthy(picked) > 0:
				return code(exitFailure)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&a.full, "full", "l", false, "do not cut lines at the width of the terminal")
	return c
}
