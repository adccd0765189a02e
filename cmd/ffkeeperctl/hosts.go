package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// oneHostOnly says of commands why they cannot reach another host.
func oneHostOnly(command string) string {
	switch command {
	case "write-stdin", "read-stdout":
		return "data does not pass; use: ssh HOST ffkeeperctl " + command + " NAME"
	case "verify", "cat":
		return "it reads files of this host; use: ssh HOST ffkeeperctl " + command
	case "proxy-unit", "completion":
		return "it is of this host"
	}
	return ""
}

// checkHosts reads --host.
func (a *app) checkHosts(cmd *cobra.Command) error {
	if !cmd.Flags().Changed("host") {
		return nil
	}
	hosts := strings.Split(a.host, ",")
	for _, h := range hosts {
		if h == "" {
			return usagef("--host=%s: an empty name", a.host)
		}
	}
	if why := oneHostOnly(cmd.Name()); why != "" {
		return usagef("%s --host: %s", cmd.Name(), why)
	}
	command := cmd.Name()
	if !cmd.HasParent() {
		command = "list"
	}
	if len(hosts) > 1 && !slices.Contains([]string{"list", "status", "health", "top"}, command) {
		return usagef("%s --host=%s: one host at a time; only list, status, health and top ask several", command, a.host)
	}
	if !cmd.Flags().Changed("bus") {
		a.bus = "system" // FFKEEPER_BUS is of this host
	}
	if a.bus == "private" {
		return usagef("--host and --bus=private: the private bus of another host cannot be found; give its address")
	}
	a.hosts = hosts
	return nil
}

// connectHost connects to another host's bus. Of several hosts none may ask
// for a password: they would ask at the same time.
func (a *app) connectHost(ctx context.Context, host string) (*keeper, error) {
	c, err := client.DialRemote(ctx, client.Remote{Host: host, Batch: len(a.hosts) > 1}, a.bus)
	if err != nil {
		if ctx.Err() != nil {
			return nil, explain("", ctx.Err())
		}
		return nil, explain("", err)
	}
	c.Interactive = !a.noAsk
	return &keeper{c, a.bus + " on " + host}, nil
}
