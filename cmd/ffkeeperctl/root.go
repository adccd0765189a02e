package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const (
	groupLook  = "look"
	groupAct   = "act"
	groupData  = "data"
	groupFiles = "files"
	groupOther = "other"
)

// root is the tree of commands; without a command it is list.
func (a *app) root() *cobra.Command {
	list := a.listCommand()
	root := &cobra.Command{
		Use:                   "ffkeeperctl [FLAG…] [COMMAND [NAME…]]",
		DisableFlagsInUseLine: true,
		Short:                 "Show and control the streams that ffkeeperd keeps on air",
		Long: `Show and control the streams that ffkeeperd keeps on air.

Without a command the streams are listed. Names may be patterns (cam*, cam[12]);
quote them from the shell.

` + exitCodesHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE:              list.RunE,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.checkGlobals(cmd) },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupAct, Title: "Act:"},
		&cobra.Group{ID: groupData, Title: "Data:"},
		&cobra.Group{ID: groupFiles, Title: "Files:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.SetUsageTemplate(strings.NewReplacer(
		"\n  {{.CommandPath}} [command]{{end}}", "{{end}}",
	).Replace(root.UsageTemplate()))
	a.globalFlags(root)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			c.DisableFlagsInUseLine = true
			root.AddCommand(c)
		}
	}
	add(groupLook, list, a.statusCommand(), a.healthCommand(), a.topCommand(), a.monitorCommand(),
		a.logsCommand(), a.isActiveCommand(), a.isHealthyCommand())
	add(groupAct, a.startCommand(), a.stopCommand(), a.restartCommand(), a.killCommand(),
		a.resetFailedCommand(), a.reloadCommand())
	add(groupData, a.writeStdinCommand(), a.readStdoutCommand())
	add(groupFiles, a.verifyCommand(), a.catCommand(), a.importCommand())
	add(groupOther, a.versionCommand(), a.completionCommand(), a.proxyUnitCommand())
	return root
}

func unknownCommand(root *cobra.Command, word string) error {
	var words []string
	for _, c := range root.Commands() {
		words = append(words, c.Name())
	}
	if n := nearest(word, words); n != "" {
		return usagef("%s: no such command; did you mean %s?", word, n)
	}
	return usagef("%s: no such command", word)
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.bus, "bus", envOr("FFKEEPER_BUS", "system"),
		"system, session, private or a D-Bus address (default $FFKEEPER_BUS, else system)")
	f.StringVar(&a.stateDir, "state-dir", os.Getenv("FFKEEPER_STATE_DIR"),
		"the keeper's state directory, for a private bus (default $FFKEEPER_STATE_DIR)")
	f.StringVarP(&a.host, "host", "H", "", "[USER@]HOST[:PORT] to reach by ssh; several, with commas, for list, status,\nhealth and top")
	f.BoolVar(&a.json, "json", false, "print data as JSON")
	f.StringVar(&a.color, "color", "auto", "auto, always or never; auto heeds NO_COLOR")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print nothing but what was asked for and errors")
	f.BoolVar(&a.noAsk, "no-ask-password", false, "never ask for a password to be allowed something")
	// pflag would append the values of this run's environment to the help
	f.Lookup("bus").DefValue = ""
	f.Lookup("state-dir").DefValue = ""
	_ = root.RegisterFlagCompletionFunc("bus", fixed("system", "session", "private"))
	_ = root.RegisterFlagCompletionFunc("color", fixed("auto", "always", "never"))
}

func (a *app) checkGlobals(cmd *cobra.Command) error {
	if !slices.Contains([]string{"auto", "always", "never"}, a.color) {
		color := a.color
		a.color = "never"
		return usagef("--color=%s: not one of auto, always, never", color)
	}
	if a.bus == "" {
		return usagef("--bus: empty; one of system, session, private or a D-Bus address")
	}
	return a.checkHosts(cmd)
}

func envOr(name, other string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return other
}

// withKeeper makes a command's function of one that needs the keeper.
func (a *app) withKeeper(f func(ctx context.Context, k *keeper, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		k, err := a.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer k.close()
		return fail(f(cmd.Context(), k, args))
	}
}

// asking is withKeeper for what polkit may want a password for.
func (a *app) asking(f func(ctx context.Context, k *keeper, args []string) error) func(*cobra.Command, []string) error {
	return a.withKeeper(func(ctx context.Context, k *keeper, args []string) error {
		defer a.startAgent(ctx)()
		return f(ctx, k, args)
	})
}

// pick resolves the names given on a command line, none meaning every stream.
// What is unknown is complained of; then missing is true.
func (a *app) pick(args []string, all []*view) (picked []*view, missing bool) {
	if len(args) == 0 {
		return all, false
	}
	if len(a.hosts) > 1 {
		return a.pickOfFleet(args, all)
	}
	byName := make(map[string]*view, len(all))
	names := make([]string, 0, len(all))
	for _, v := range all {
		byName[v.Name] = v
		names = append(names, v.Name)
	}
	found, unknown := expand(args, names)
	for _, u := range unknown {
		a.warn("ffkeeperctl: " + u.text())
	}
	for _, n := range found {
		picked = append(picked, byName[n])
	}
	return picked, len(unknown) > 0
}
