package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) monitorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "monitor [PATTERN…]",
		Short: "Print what happens, as it happens",
		Long: `Print the events of the streams as they happen, one a line: changes of state
and health with their reason, restarts, failures, streams that come and go. It
goes on over restarts of the keeper and of the bus. With --json: one object a
line.`,
		Annotations:       endless(),
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			// at the beginning there must be a keeper; later ones are waited for
			k, _, err := a.connectNames(cmd.Context())
			if err != nil {
				return err
			}
			defer k.close()
			return fail(a.monitor(cmd.Context(), k, args))
		},
	}
}

func (a *app) monitor(ctx context.Context, k *keeper, patterns []string) error {
	zone, g := a.now().Location(), localeGlyphs()
	return k.watch(ctx, func(e event) error {
		if e.Name != "" && !matches(e.Name, patterns) {
			return nil
		}
		if e.RealtimeUsec == 0 {
			e.RealtimeUsec = uint64(a.now().UnixMicro())
		}
		if a.json {
			return a.printJSON(e)
		}
		return a.print(renderEvent(e, zone, g))
	})
}

// matches reports whether a name is meant by the arguments; none mean all.
// Unlike elsewhere a name need not exist: it may come.
func matches(name string, args []string) bool {
	if len(args) == 0 {
		return true
	}
	found, _ := expand(args, []string{name})
	return len(found) > 0
}
