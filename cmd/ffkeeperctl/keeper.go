package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// keeper is the keeper as the commands see it: the client's answers turned
// into views.
type keeper struct {
	c   *client.Client
	bus string
}

// connect connects to the bus. That there is a keeper on it, the first call
// tells.
func (a *app) connect(ctx context.Context) (*keeper, error) {
	type outcome struct {
		c   *client.Client
		err error
	}
	if len(a.hosts) > 0 {
		return a.connectHost(ctx, a.hosts[0])
	}
	stateDir := a.stateDir
	if stateDir == "" {
		stateDir = usualStateDir()
	}
	dialled := make(chan outcome, 1)
	go func() {
		c, err := client.Dial(a.bus, stateDir)
		if err == nil && ctx.Err() != nil { // nobody waits any more
			c.Close()
		}
		dialled <- outcome{c, err}
	}()
	select {
	case o := <-dialled:
		if o.err != nil {
			return nil, explain("", o.err)
		}
		o.c.Interactive = !a.noAsk
		return &keeper{o.c, a.bus}, nil
	case <-ctx.Done():
		return nil, fail(ctx.Err())
	}
}

// usualStateDir is where a keeper that this user has started by hand has its
// state, see FFKEEPER_STATE_DIR in the manual of the settings.
func usualStateDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "ffkeeper")
	}
	return filepath.Join("/tmp", "ffkeeper-"+strconv.Itoa(os.Getuid()))
}

func (k *keeper) close() { k.c.Close() }

func (k *keeper) names(ctx context.Context) ([]string, error) {
	all, err := k.c.Streams(ctx)
	if err != nil {
		return nil, explain("", err)
	}
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
	}
	return names, nil
}

// views are all streams, by name.
func (k *keeper) views(ctx context.Context) ([]*view, error) {
	all, err := k.c.Streams(ctx)
	if err != nil {
		return nil, explain("", err)
	}
	report, err := k.c.Report(ctx)
	if err != nil {
		return nil, explain("", err)
	}
	out := make([]*view, 0, len(all))
	for _, s := range all {
		if h, ok := report[s.Name]; ok { // else it has gone in between
			out = append(out, viewOf(s.Name, s.Description, h))
		}
	}
	return out, nil
}

// health is one stream, without what GetHealth does not know.
func (k *keeper) health(ctx context.Context, name string) (*view, error) {
	h, err := k.c.Health(ctx, name)
	if err != nil {
		return nil, explain(name, err)
	}
	return viewOf(name, "", h), nil
}

// complete adds the properties, and the last n lines.
func (k *keeper) complete(ctx context.Context, v *view, n uint32) error {
	p, err := k.c.Properties(ctx, v.Name)
	if err != nil {
		return explain(v.Name, err)
	}
	v.properties = &properties{
		Wanted: p.Wanted, NeedsRestart: p.NeedsRestart,
		StateChangeTimestamp: toUsec(p.StateChange), StartTimestamp: toUsec(p.Started),
		SourceFile: p.SourceFile, Command: orEmpty(p.Command),
	}
	if n > 0 {
		v.Lines, err = k.lines(ctx, v.Name, min(n, keptMax))
	}
	return err
}

func (k *keeper) lines(ctx context.Context, name string, n uint32) ([]logLine, error) {
	lines, err := k.c.Lines(ctx, name, int(n))
	if err != nil {
		return nil, explain("lines of "+name, err)
	}
	out := make([]logLine, len(lines))
	for i, l := range lines {
		out[i] = logLine{toUsec(l.Time), int32(l.Priority), l.Text}
	}
	return out, nil
}

func (k *keeper) overview(ctx context.Context) (overview, error) {
	m, err := k.c.Manager(ctx)
	if err != nil {
		return overview{}, explain("", err)
	}
	return overview{m.Version, k.bus, m.AllHealthy, m.NStreams, m.NRunning, m.NFailed}, nil
}

// sourceFile is the main file of a stream.
func (k *keeper) sourceFile(ctx context.Context, name string) (string, error) {
	p, err := k.c.Properties(ctx, name)
	return p.SourceFile, err
}

func (k *keeper) completions(ctx context.Context) ([]completion, error) {
	all, err := k.c.Streams(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]completion, len(all))
	for i, s := range all {
		out[i] = completion{s.Name, s.Description}
	}
	return out, nil
}

// oneOf resolves an argument that must mean one stream.
func (k *keeper) oneOf(ctx context.Context, what, arg string) (string, error) {
	names, err := k.names(ctx)
	if err != nil {
		return "", err
	}
	found, unknown := expand([]string{arg}, names)
	switch {
	case len(unknown) > 0:
		return "", &exitError{exitNoSuch, textError(what + " " + unknown[0].text())}
	case len(found) > 1:
		return "", usagef("%s %s: matches several streams; give one", what, arg)
	}
	return found[0], nil
}

func viewOf(name, description string, h client.Health) *view {
	v := &view{
		Name: name, Description: description,
		State: h.State, Health: h.Health, Reason: h.Reason, PID: h.PID,
		UptimeSeconds: h.UptimeSeconds, RestartCount: h.RestartCount, ConsecutiveFailures: h.ConsecutiveFailures,
		RecentErrors: orEmpty(h.RecentErrors), ExitCodes: orEmpty(h.ExitCodes),
		LastActivityAgo: h.LastActivityAgo, LastRestartUsec: h.LastRestartUsec, NextRestartUsec: h.NextRestartUsec,
		CPUPercent: h.CPUPercent, RSSBytes: h.RSSBytes, Threads: h.Threads,
		ReadBytes: h.ReadBytes, WriteBytes: h.WriteBytes,
		CgroupMemoryBytes: h.CgroupMemoryBytes, CgroupCPUPercent: h.CgroupCPUPercent,
		PressureCPUPercent: h.PressureCPUPercent, PressureMemoryPercent: h.PressureMemoryPercent, PressureIOPercent: h.PressureIOPercent,
		Frame: h.Frame, FPS: h.FPS, Speed: h.Speed, BitrateBPS: h.BitrateBPS,
		OutTimeUsec: h.OutTimeUsec, TotalBytes: h.TotalBytes,
		DroppedFrames: h.DroppedFrames, DuplicatedFrames: h.DuplicatedFrames,
	}
	v.Detail, _ = h.Raw["detail"].(string)
	return v
}

// toUsec is the inverse of fromUsec.
func toUsec(t time.Time) uint64 {
	if t.IsZero() || t.UnixMicro() < 0 {
		return 0
	}
	return uint64(t.UnixMicro())
}
