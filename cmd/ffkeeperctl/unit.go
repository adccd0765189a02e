package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// unitVerdict is what a stream's condition means for its unit.
type unitVerdict int

const (
	unitWaits    unitVerdict = iota // on its way, or down and wanted: the keeper is at it
	unitDelivers                    // active
	unitStopped                     // inactive
	unitFailed                      // failed
)

// unitView is what a unit needs to know of its stream.
type unitView struct {
	state, health, reason, detail string
	wanted                        bool
}

func unitViewOf(p client.Properties) unitView {
	return unitView{p.State, p.Health, p.Reason, p.Detail, p.Wanted}
}

// change takes the properties that have changed, with their values now.
func (v *unitView) change(changed map[string]any) {
	for name, field := range map[string]*string{"State": &v.state, "Health": &v.health, "Reason": &v.reason, "Detail": &v.detail} {
		if s, ok := changed[name].(string); ok {
			*field = s
		}
	}
	if wanted, ok := changed["Wanted"].(bool); ok {
		v.wanted = wanted
	}
}

func (v unitView) verdict() unitVerdict {
	switch v.state {
	case "failed":
		return unitFailed
	case "stopped":
		// A wanted one waits for what it is After=.
		if !v.wanted {
			return unitStopped
		}
	case "running":
		switch v.health {
		case "ok", "unknown", "degraded":
			return unitDelivers
		}
	}
	return unitWaits
}

// status is the line that systemctl status shows.
func (v unitView) status() string {
	text := v.state
	if v.state == "running" {
		text += ", " + v.health
	}
	why := v.reason
	if v.detail != "" {
		why, _, _ = strings.Cut(v.detail, "\n")
	}
	if why != "" {
		text += ": " + why
	}
	return clean(text)
}

// streamOfInstance is the stream that a unit's instance name stands for. It is
// escaped as by systemd-escape, in which - stands for /. No stream has a / in
// its name, so - may as well stand for itself: ffkeeper-stream@cam-1 and
// ffkeeper-stream@cam\x2d1 are the same stream's.
func streamOfInstance(instance string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(instance); i++ {
		c := instance[i]
		if c == '\\' {
			if len(instance) < i+4 || instance[i+1] != 'x' {
				return "", fmt.Errorf("not as systemd-escape writes it: %s", instance[i:])
			}
			raw, err := hex.DecodeString(instance[i+2 : i+4])
			if err != nil {
				return "", fmt.Errorf("not as systemd-escape writes it: %s", instance[i:i+4])
			}
			c, i = raw[0], i+3
		}
		b.WriteByte(c)
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("no stream named")
	}
	return b.String(), nil
}
