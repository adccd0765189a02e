package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// statusPause bounds how often systemd is told: a hundred streams that start
// at once are one line.
const statusPause = 250 * time.Millisecond

// status keeps STATUS= true.
func (d *daemon) status(ctx context.Context) {
	for {
		changed := d.keeper.Changed()
		d.notifier.Status(statusLine(d.keeper.Cores()))
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(statusPause):
		}
	}
}

// statusLine is what systemctl status shows: 12 streams: 11 ok, 1 restarting.
func statusLine(streams []*stream.Snapshot) string {
	order := []string{"ok", "degraded", "stalled", "starting", "restarting", "stopping", "zombie", "failed", "stopped"}
	counts := make(map[string]int)
	for _, s := range streams {
		counts[statusWord(s)]++
	}
	var parts []string
	for _, word := range order {
		if n := counts[word]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	line := fmt.Sprintf("%d streams", len(streams))
	if len(streams) == 1 {
		line = "1 stream"
	}
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	return line
}

// statusWord is a running stream's health, any other's state.
func statusWord(s *stream.Snapshot) string {
	if s.State != stream.StateRunning {
		return string(s.State)
	}
	switch s.Health {
	case stream.HealthDegraded, stream.HealthStalled:
		return string(s.Health)
	}
	return "ok"
}

// stoppingStatus is the line while the daemon ends.
func stoppingStatus(streams []*stream.Snapshot) string {
	n := 0
	for _, s := range streams {
		if s.PID != 0 || s.State == stream.StateStopping {
			n++
		}
	}
	if n == 0 {
		return "stopped"
	}
	return fmt.Sprintf("stopping: %d of %d streams still finishing", n, len(streams))
}
