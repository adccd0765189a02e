package main

import (
	"fmt"
	"time"
)

// event is one thing that happened, as --json of monitor prints it. Event is
// the D-Bus signal's name, or connected and disconnected for what happens to
// the connection itself.
type event struct {
	RealtimeUsec uint64  `json:"realtime_usec"`
	Event        string  `json:"event"`
	Name         string  `json:"name,omitempty"`
	Old          string  `json:"old,omitempty"`
	New          string  `json:"new,omitempty"`
	Reason       string  `json:"reason,omitempty"`
	RestartCount *uint32 `json:"restart_count,omitempty"`
	Detail       string  `json:"detail,omitempty"`
}

const (
	eventNew          = "StreamNew"
	eventRemoved      = "StreamRemoved"
	eventState        = "StateChanged"
	eventHealth       = "HealthChanged"
	eventRestarted    = "StreamRestarted"
	eventFailed       = "StreamFailed"
	eventConnected    = "connected"
	eventDisconnected = "disconnected"
)

// renderEvent is one event in one line.
func renderEvent(e event, zone *time.Location, g glyphs) line {
	l := line{{faint, fromUsec(e.RealtimeUsec).In(zone).Format("2006-01-02 15:04:05.000")}, {plain, " "}}
	if e.Name != "" {
		l = append(l, piece{bold, e.Name}, piece{plain, " "})
	}
	change := func(what string, st style) line {
		return append(l, piece{plain, what + ": " + e.Old + " " + g.arrow + " "}, piece{st, e.New}, piece{plain, because(e.Reason)})
	}
	switch e.Event {
	case eventState:
		l = change("state", (&view{State: e.New, Health: "ok"}).stateStyle())
	case eventHealth:
		l = change("health", (&view{Health: e.New}).healthStyle())
	case eventNew:
		l = append(l, piece{plain, "added"})
	case eventRemoved:
		l = append(l, piece{plain, "removed"})
	case eventRestarted:
		l = append(l, piece{yellow, "restarted"})
		if e.RestartCount != nil {
			l = append(l, piece{plain, fmt.Sprintf(" (%d since it was loaded)", *e.RestartCount)})
		}
	case eventFailed:
		l = append(l, piece{red, "failed"}, piece{plain, because(e.Reason)})
	case eventConnected, eventDisconnected:
		st := yellow
		if e.Event == eventConnected {
			st = green
		}
		l = append(l, piece{st, "-- " + e.Event})
		if e.Detail != "" {
			l = append(l, piece{plain, ": " + e.Detail})
		}
	default:
		l = append(l, piece{plain, e.Event})
	}
	return l
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
