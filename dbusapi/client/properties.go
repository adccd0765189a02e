package client

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"
)

// Manager is the properties of the keeper.
type Manager struct {
	Version                     string
	AllHealthy                  bool // every wanted stream is ok or unknown
	NStreams, NRunning, NFailed uint32
}

// Manager asks for the keeper's properties.
func (c *Client) Manager(ctx context.Context) (Manager, error) {
	var d map[string]dbus.Variant
	if err := c.callOn(ctx, managerPath, propertiesInterface, "GetAll", []any{managerInterface}, &d); err != nil {
		return Manager{}, err
	}
	return Manager{
		Version:    value[string](d, "Version"),
		AllHealthy: value[bool](d, "AllHealthy"),
		NStreams:   value[uint32](d, "NStreams"),
		NRunning:   value[uint32](d, "NRunning"),
		NFailed:    value[uint32](d, "NFailed"),
	}, nil
}

// Properties are those of a stream. Times are zero where there is none.
type Properties struct {
	Name, Description     string
	State, Health, Reason string
	Detail                string // what the reason stands for, for people; redacted
	Wanted                bool
	PID                   uint32 // 0: none
	Started               time.Time
	NextRestart           time.Time
	StateChange           time.Time
	LastRestart           time.Time
	ConsecutiveFailures   uint32
	RestartCount          uint32
	ExitCodes             []int32 // oldest first; minus the signal
	SourceFile            string
	Command               []string // redacted
	NeedsRestart          bool

	// Raw is all of them, also those of a newer keeper.
	Raw map[string]any
}

// Properties asks for the properties of one stream.
func (c *Client) Properties(ctx context.Context, name string) (Properties, error) {
	var path dbus.ObjectPath
	if err := c.call(ctx, "GetStream", []any{name}, &path); err != nil {
		return Properties{}, err
	}
	var d map[string]dbus.Variant
	if err := c.callOn(ctx, path, propertiesInterface, "GetAll", []any{streamInterface}, &d); err != nil {
		return Properties{}, err
	}
	return propertiesOf(d), nil
}

// managed is the answer of GetManagedObjects: object, interface, property.
type managed map[dbus.ObjectPath]map[string]map[string]dbus.Variant

// AllProperties asks for the properties of all streams, by name.
func (c *Client) AllProperties(ctx context.Context) (map[string]Properties, error) {
	var objects managed
	if err := c.callOn(ctx, managerPath, objectManagerInterface, "GetManagedObjects", nil, &objects); err != nil {
		return nil, err
	}
	return objects.streams(), nil
}

func (m managed) streams() map[string]Properties {
	all := make(map[string]Properties, len(m))
	for _, interfaces := range m {
		if d, ok := interfaces[streamInterface]; ok {
			p := propertiesOf(d)
			all[p.Name] = p
		}
	}
	return all
}

func propertiesOf(d map[string]dbus.Variant) Properties {
	return Properties{
		Name:                value[string](d, "Name"),
		Description:         value[string](d, "Description"),
		State:               value[string](d, "State"),
		Health:              value[string](d, "Health"),
		Reason:              value[string](d, "Reason"),
		Detail:              value[string](d, "Detail"),
		Wanted:              value[bool](d, "Wanted"),
		PID:                 value[uint32](d, "PID"),
		Started:             moment(value[uint64](d, "StartTimestamp")),
		NextRestart:         moment(value[uint64](d, "NextRestartTimestamp")),
		StateChange:         moment(value[uint64](d, "StateChangeTimestamp")),
		LastRestart:         moment(value[uint64](d, "LastRestartTimestamp")),
		ConsecutiveFailures: value[uint32](d, "ConsecutiveFailures"),
		RestartCount:        value[uint32](d, "RestartCount"),
		ExitCodes:           value[[]int32](d, "ExitCodes"),
		SourceFile:          value[string](d, "SourceFile"),
		Command:             value[[]string](d, "Command"),
		NeedsRestart:        value[bool](d, "NeedsRestart"),
		Raw:                 plain(d),
	}
}
