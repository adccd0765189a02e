package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) resetFailedCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reset-failed [NAME…]",
		Short: "Forget failures, so that a stream may be restarted again",
		Long: `Forget that streams have failed, and their count of failures in a row. Without
a name: of all that have failed. They are not started.`,
		ValidArgsFunction: a.completeStreams,
		RunE: a.asking(func(ctx context.Context, k *keeper, args []string) error {
			if len(args) == 0 {
				all, err := k.views(ctx)
				if err != nil {
					return err
				}
				for _, v := range all {
					if v.State == "failed" {
						args = append(args, v.Name)
					}
				}
				if len(args) == 0 {
					if a.json {
						return a.printJSON([]result{})
					}
					return nil
				}
			}
			reset := func(k *keeper, ctx context.Context, name string, _ callOptions) (uint32, error) {
				return 0, k.resetFailed(ctx, name)
			}
			return a.act(ctx, k, verb{word: "reset-failed", gerund: "resetting", one: reset}, args, false, callOptions{})
		}),
	}
}

func (a *app) killCommand() *cobra.Command {
	var signal string
	c := &cobra.Command{
		Use:   "kill NAME…",
		Short: "Send a signal to streams",
		Long: `Send a signal to the process group of streams. This is no stop: when a stream
ends of it, Restart= decides. To end a stream that hangs, use stop: it ends
what ignores every signal.`,
		Args:              needNames,
		ValidArgsFunction: a.completeStreams,
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := signalNumber(signal)
			if err != nil {
				return usagef("--signal: %v", err)
			}
			kill := func(k *keeper, ctx context.Context, name string, _ callOptions) (uint32, error) {
				return 0, k.kill(ctx, name, number)
			}
			return a.asking(func(ctx context.Context, k *keeper, args []string) error {
				return a.act(ctx, k, verb{word: "kill", gerund: "killing", one: kill}, args, false, callOptions{})
			})(cmd, args)
		},
	}
	c.Flags().StringVarP(&signal, "signal", "s", "TERM", "name or number of the signal")
	_ = c.RegisterFlagCompletionFunc("signal", fixed("TERM", "INT", "QUIT", "HUP", "KILL", "STOP", "CONT", "USR1", "USR2"))
	return c
}
