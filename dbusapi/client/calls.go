package client

import (
	"context"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// Options are those of Start, Stop and Restart, and of the calls for all.
type Options struct {
	// Wait says when the call answers: "none", at once; "done" or "", when
	// there is a pid, or nothing left; "ok" (Start, Restart), when the stream
	// delivers.
	Wait string
	// Timeout (Stop, Restart) is instead of TimeoutStopSec=; 0: the stream's.
	Timeout time.Duration
}

func (o Options) dictionary() map[string]dbus.Variant {
	d := map[string]dbus.Variant{}
	if o.Wait != "" {
		d["wait"] = dbus.MakeVariant(o.Wait)
	}
	if o.Timeout != 0 {
		d["timeout_usec"] = dbus.MakeVariant(o.Timeout.Microseconds())
	}
	return d
}

// Stream is a row of the list of streams.
type Stream struct {
	Name, State, Health, Description string
	PID                              uint32 // 0: none
	Object                           dbus.ObjectPath
}

// Streams lists all streams, by name.
func (c *Client) Streams(ctx context.Context) (all []Stream, err error) {
	err = c.call(ctx, "ListStreams", nil, &all)
	return all, err
}

// StreamByPID is the name of the stream whose main process has that pid.
func (c *Client) StreamByPID(ctx context.Context, pid uint32) (string, error) {
	var path dbus.ObjectPath
	if err := c.call(ctx, "GetStreamByPID", []any{pid}, &path); err != nil {
		return "", err
	}
	var name string
	err := c.callOn(ctx, path, propertiesInterface, "Get", []any{streamInterface, "Name"}, &name)
	return name, err
}

// Start starts a stream and answers its pid; starting a running one is no
// error.
func (c *Client) Start(ctx context.Context, name string, o Options) (pid uint32, err error) {
	err = c.call(ctx, "Start", []any{name, o.dictionary()}, &pid)
	return pid, err
}

// Stop stops a stream so that its files are finished.
func (c *Client) Stop(ctx context.Context, name string, o Options) error {
	return c.call(ctx, "Stop", []any{name, o.dictionary()})
}

// Restart stops a stream, starts it again, and answers the new pid.
func (c *Client) Restart(ctx context.Context, name string, o Options) (pid uint32, err error) {
	err = c.call(ctx, "Restart", []any{name, o.dictionary()}, &pid)
	return pid, err
}

// Failure is a stream for which a call on all streams failed.
type Failure struct{ Name, Text string }

// StartAll starts all streams and answers those that could not be started.
func (c *Client) StartAll(ctx context.Context, o Options) (failed []Failure, err error) {
	err = c.call(ctx, "StartAll", []any{o.dictionary()}, &failed)
	return failed, err
}

// StopAll stops all streams and answers those that could not be stopped.
func (c *Client) StopAll(ctx context.Context, o Options) (failed []Failure, err error) {
	err = c.call(ctx, "StopAll", []any{o.dictionary()}, &failed)
	return failed, err
}

// ResetFailed makes a failed stream a stopped one and forgets its failures.
func (c *Client) ResetFailed(ctx context.Context, name string) error {
	return c.call(ctx, "ResetFailed", []any{name})
}

// Kill sends a signal to a stream's processes.
func (c *Client) Kill(ctx context.Context, name string, signal int) error {
	return c.call(ctx, "Kill", []any{name, int32(signal)})
}

// Line is one of the lines that the keeper keeps of a stream.
type Line struct {
	Time     time.Time
	Priority int // syslog: 0 emerg .. 7 debug
	Text     string
}

// Lines are the newest n of the 50 kept lines, oldest first.
func (c *Client) Lines(ctx context.Context, name string, n int) ([]Line, error) {
	var rows []struct {
		Usec     uint64
		Priority int32
		Text     string
	}
	if err := c.call(ctx, "GetLines", []any{name, uint32(max(n, 0))}, &rows); err != nil {
		return nil, err
	}
	lines := make([]Line, len(rows))
	for i, r := range rows {
		lines[i] = Line{moment(r.Usec), int(r.Priority), r.Text}
	}
	return lines, nil
}

// Change is what Reload did to one stream.
type Change struct {
	Kind   string // added, changed, removed, error
	Name   string
	Detail string
}

// Reload reads the stream files again.
func (c *Client) Reload(ctx context.Context) (changes []Change, err error) {
	err = c.call(ctx, "Reload", nil, &changes)
	return changes, err
}

// maxWrite is what the keeper takes at most of one WriteStdin.
const maxWrite = 1 << 20

// WriteStdin hands data to a stream and answers how much of it was taken, at
// most 1 MiB; 0 means that its pipe is full. It is for a little data now and
// then: who has more uses OpenStdin.
func (c *Client) WriteStdin(ctx context.Context, name string, data []byte) (int, error) {
	var n uint32
	err := c.call(ctx, "WriteStdin", []any{name, data[:min(len(data), maxWrite)]}, &n)
	return int(n), err
}

// OpenStdin is the writing end of a stream's standard input. The caller closes
// it.
func (c *Client) OpenStdin(ctx context.Context, name string) (*os.File, error) {
	return c.callFile(ctx, "OpenStdin", name)
}

// OpenStdout is the reading end of a stream's standard output. The caller
// closes it.
func (c *Client) OpenStdout(ctx context.Context, name string) (*os.File, error) {
	return c.callFile(ctx, "OpenStdout", name)
}

// moment is the inverse of the contract's usec: 0 is none.
func moment(usec uint64) time.Time {
	if usec == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(usec))
}
