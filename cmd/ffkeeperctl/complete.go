package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script of a shell",
		Long: `Print the script that completes commands, flags and names of streams:

  bash:  source <(ffkeeperctl completion bash)
         or to /usr/share/bash-completion/completions/ffkeeperctl
  zsh:   ffkeeperctl completion zsh > "${fpath[1]}/_ffkeeperctl"
  fish:  ffkeeperctl completion fish > \
           ~/.config/fish/completions/ffkeeperctl.fish

Names come from the keeper, or from the stream files while it does not run.`,
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usagef("completion: which shell? One of bash, zsh, fish")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return fail(cmd.Root().GenBashCompletionV2(a.out, true))
			case "zsh":
				return fail(cmd.Root().GenZshCompletion(a.out))
			}
			return fail(cmd.Root().GenFishCompletion(a.out, true))
		},
	}
}

// fixed completes from a list.
func fixed(words ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completionTimeout: a person who presses Tab does not wait for a bus.
const completionTimeout = time.Second

// completeStreams completes names of streams not yet given.
func (a *app) completeStreams(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	if a.host != "" { // nobody wants ssh to be run by the Tab key
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(parent, completionTimeout)
	defer cancel()
	var out []string
	for _, c := range a.completions(ctx) {
		if plausible(c.name) && strings.HasPrefix(c.name, begun) && !slices.Contains(args, c.name) {
			out = append(out, cobra.CompletionWithDesc(c.name, clean(c.description)))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

type completion struct{ name, description string }

func (a *app) completions(ctx context.Context) []completion {
	if k, err := a.connect(ctx); err == nil {
		defer k.close()
		if found, err := k.completions(ctx); err == nil {
			return found
		}
	}
	return fileCompletions()
}
