package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of the keeper",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{Client: ownVersion()}
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
			defer cancel()
			if k, err := a.connect(ctx); err == nil {
				if o, err := k.overview(ctx); err == nil {
					v.Keeper = o.version
				}
				k.close()
			}
			if a.json {
				return a.printJSON([]versions{v})
			}
			running := "ffkeeperd " + v.Keeper
			if v.Keeper == "" {
				running = "ffkeeperd is not running"
			}
			return a.print(text("ffkeeperctl "+v.Client), text(running))
		},
	}
}

type versions struct {
	Client string `json:"client"`
	Keeper string `json:"keeper,omitempty"`
}

// ownVersion is what the build was told, or what Go recorded of it.
func ownVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// version is set by the build: -ldflags "-X main.version=…".
var version string
