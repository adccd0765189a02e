package dbusapi

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/service"
)

// abandoned is how long a mutating call may go on after its caller has left:
// half a StopAll would be worse than all or nothing of it, and a wait for a
// stream that never delivers has to end some day.
const abandoned = 10 * time.Minute

// operations is the code behind every method of the XML, by interface. A
// method of a stream is the manager's with the name taken from the object.
func operations() map[string]map[string]operation {
	stream := map[string]operation{
		"Start":       {run: (*call).start, action: actionManage, options: startOptions},
		"Stop":        {run: (*call).stop, action: actionManage, options: stopOptions},
		"Restart":     {run: (*call).restart, action: actionManage, options: restartOptions},
		"ResetFailed": {run: (*call).resetFailed, action: actionManage},
		"Kill":        {run: (*call).kill, action: actionManage},
		"GetHealth":   {run: (*call).getHealth},
		"GetLines":    {run: (*call).getLines},
		"WriteStdin":  {run: (*call).writeStdin, action: actionWriteStdin, bytes: true},
		"OpenStdin":   {run: (*call).openStdin, action: actionWriteStdin},
		"OpenStdout":  {run: (*call).openStdout, action: actionManage},
	}
	manager := map[string]operation{
		"ListStreams":     {run: (*call).listStreams},
		"GetStream":       {run: (*call).getStream, named: true},
		"GetStreamByPID":  {run: (*call).getStreamByPID},
		"StartAll":        {run: (*call).startAll, action: actionManage, options: startOptions},
		"StopAll":         {run: (*call).stopAll, action: actionManage, options: stopOptions},
		"GetHealthReport": {run: (*call).getHealthReport},
		"Reload":          {run: (*call).reload, action: actionReload},
	}
	for name, op := range stream {
		op.named = true
		manager[name] = op
	}
	return map[string]map[string]operation{
		managerInterface: manager,
		streamInterface:  stream,
		peerInterface: {
			"Ping":         {run: (*call).ping},
			"GetMachineId": {run: (*call).getMachineID},
		},
		introspectInterface: {
			"Introspect": {run: (*call).introspect},
		},
		propertiesInterface: {
			"Get":    {run: (*call).getProperty},
			"GetAll": {run: (*call).getAllProperties},
			"Set":    {run: (*call).setProperty},
		},
		objectManagerInterface: {
			"GetManagedObjects": {run: (*call).getManagedObjects},
		},
	}
}

// patient is the context of a call that changes something: it outlives the
// caller, for a while.
func (c *call) patient() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.running)
	stop := context.AfterFunc(c.ctx, func() {
		timer := time.AfterFunc(abandoned, cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// listed is a row of ListStreams.
type listed struct {
	Name, State, Health, Description string
	PID                              uint32
	Object                           dbus.ObjectPath
}

func (c *call) listStreams() (any, error) {
	all := c.api.Cores()
	rows := make([]listed, len(all))
	for i, s := range all {
		rows[i] = listed{s.Name, string(s.State), string(s.Health), clean(s.Description), uint32(max(s.PID, 0)), StreamPath(s.Name)}
	}
	return rows, nil
}

func (c *call) getStream() (any, error) {
	s, err := c.api.Core(c.stream)
	if err != nil {
		return nil, err
	}
	return StreamPath(s.Name), nil
}

func (c *call) getStreamByPID() (any, error) {
	s, err := c.api.ByPID(int(c.args[0].(uint32)))
	if err != nil {
		return nil, err
	}
	return StreamPath(s.Name), nil
}

func (c *call) start() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	pid, err := c.api.Start(ctx, c.stream, c.options)
	return uint32(max(pid, 0)), err
}

func (c *call) stop() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	return nil, c.api.Stop(ctx, c.stream, c.options)
}

func (c *call) restart() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	pid, err := c.api.Restart(ctx, c.stream, c.options)
	return uint32(max(pid, 0)), err
}

// failure is a row of what StartAll and StopAll could not do.
type failure struct{ Name, Text string }

func failures(failed []service.Failure) []failure {
	rows := make([]failure, len(failed))
	for i, f := range failed {
		rows[i] = failure{f.Name, errorText(f.Err)}
	}
	return rows
}

func (c *call) startAll() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	return failures(c.api.StartAll(ctx, c.options)), nil
}

func (c *call) stopAll() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	return failures(c.api.StopAll(ctx, c.options)), nil
}

func (c *call) resetFailed() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	return nil, c.api.ResetFailed(ctx, c.stream)
}

func (c *call) kill() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	return nil, c.api.Kill(ctx, c.stream, int(c.args[0].(int32)))
}

func (c *call) getHealth() (any, error) {
	s, err := c.api.Snapshot(c.stream)
	if err != nil {
		return nil, err
	}
	return health(s, time.Now()), nil
}

func (c *call) getHealthReport() (any, error) {
	all := c.api.Snapshots()
	report := make(map[string]map[string]dbus.Variant, len(all))
	now := time.Now()
	for _, s := range all {
		report[s.Name] = health(s, now)
	}
	return report, nil
}

// line is a row of GetLines.
type line struct {
	Usec     uint64
	Priority int32
	Text     string
}

func (c *call) getLines() (any, error) {
	s, err := c.api.Snapshot(c.stream)
	if err != nil {
		return nil, err
	}
	newest := s.Lines
	if n := c.args[0].(uint32); uint64(n) < uint64(len(newest)) {
		newest = newest[len(newest)-int(n):]
	}
	rows := make([]line, len(newest))
	for i, l := range newest {
		rows[i] = line{usec(l.Time), int32(l.Priority), clean(l.Text)}
	}
	return rows, nil
}

// change is a row of what Reload did.
type change struct{ Kind, Name, Detail string }

func (c *call) reload() (any, error) {
	ctx, cancel := c.patient()
	defer cancel()
	changes, err := c.api.Reload(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]change, len(changes))
	for i, ch := range changes {
		rows[i] = change{ch.Kind, clean(ch.Name), clean(ch.Detail)}
	}
	return rows, nil
}

func (c *call) writeStdin() (any, error) {
	n, err := c.api.WriteStdin(c.ctx, c.stream, c.data)
	if err != nil {
		return nil, err
	}
	return uint32(max(n, 0)), nil
}

func (c *call) openStdin() (any, error) {
	f, err := c.api.OpenStdin(c.ctx, c.stream)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (c *call) openStdout() (any, error) {
	f, err := c.api.OpenStdout(c.ctx, c.stream)
	if err != nil {
		return nil, err
	}
	return f, nil
}
