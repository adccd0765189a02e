// Package fakekeeper is a service.API without processes, for tests of the bus
// face and of its client: streams are what the test says, and every method can
// be replaced.
package fakekeeper

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// Keeper is the fake. Set its hooks before it is used; nil ones do what a
// keeper of obedient streams would.
type Keeper struct {
	OnSnapshot func(name string)
	OnStart    func(ctx context.Context, name string, o service.CallOptions) (int, error)
	OnStop     func(ctx context.Context, name string, o service.CallOptions) error
	OnRestart  func(ctx context.Context, name string, o service.CallOptions) (int, error)
	OnKill     func(name string, signal int) error
	OnReload   func() ([]service.Change, error)
	OnWrite    func(name string, data []byte) (int, error)
	OnOpen     func(name string, out bool) (*os.File, error)

	// feeds makes subscriptions; only a real keeper can.
	feeds service.Keeper

	mu      sync.Mutex
	streams map[string]*stream.Snapshot
	subs    []*service.Subscription
	nextPID int
}

var _ service.API = (*Keeper)(nil)

// New makes a keeper of stopped streams.
func New(names ...string) *Keeper {
	k := &Keeper{streams: map[string]*stream.Snapshot{}, nextPID: 1000}
	for _, name := range names {
		k.streams[name] = Stopped(name)
	}
	return k
}

// Stopped is a stream that nobody wants.
func Stopped(name string) *stream.Snapshot {
	return &stream.Snapshot{
		Name: name, Description: "test stream " + name,
		SourceFile: "/etc/ffkeeper/streams.d/" + name + ".stream",
		Command:    []string{"ffmpeg", "-i", "rtmp://host/app/[redacted]"},
		State:      stream.StateStopped, Health: stream.HealthNone,
		StateSince: time.UnixMicro(1_700_000_000_000_001),
	}
}

// Full is a running stream of which everything is known.
func Full(name string, pid int) *stream.Snapshot {
	now := time.Now()
	s := Stopped(name)
	s.State, s.Health, s.Wanted, s.PID = stream.StateRunning, stream.HealthOK, true, pid
	s.Started, s.StateSince, s.LastActivity = now.Add(-90*time.Second), now.Add(-89*time.Second), now.Add(-time.Second)
	s.LastRestart, s.NextRestart = now.Add(-90*time.Second), now.Add(time.Minute)
	s.RestartCount, s.ConsecutiveFailures = 3, 1
	s.ExitCodes = []int{0, 1, -9}
	s.Progress = &stream.Progress{
		Frame: 1234, FPS: 25, Speed: 1.01, BitrateBPS: 2_500_000, OutTime: 49 * time.Second,
		TotalBytes: 1 << 40, Dropped: 7, Duplicated: 8,
		HasFrame: true, HasFPS: true, HasSpeed: true, HasBitrate: true, HasOutTime: true, HasTotalBytes: true,
		Received: now,
	}
	s.Usage = &stream.Usage{
		CPUPercent: 12.5, HasCPU: true, RSS: 50 << 20, Threads: 7, ReadBytes: 11, WriteBytes: 12, HasIO: true,
		CgroupMemory: 60 << 20, HasCgroupMemory: true, CgroupCPUPercent: 13.5, HasCgroupCPU: true,
		PressureCPU: 1.5, PressureMemory: 2.5, PressureIO: 3.5, HasPressureCPU: true, HasPressureMemory: true, HasPressureIO: true,
	}
	for i := range 50 {
		s.Lines = append(s.Lines, stream.Line{Time: now, Priority: 6, Text: fmt.Sprintf("line %d of %s", i, name)})
	}
	s.RecentErrors = []string{"one", "two", "three", "four", "five"}
	return s
}

// Put adds or replaces a stream and tells it.
func (k *Keeper) Put(s *stream.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, ok := k.streams[s.Name]
	k.streams[s.Name] = s
	typ := service.EventTransition
	if !ok {
		typ = service.EventNew
	}
	k.send(service.Event{Type: typ, Name: s.Name, Snapshot: s, Old: old})
}

// Remove takes a stream away and tells it.
func (k *Keeper) Remove(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.streams[name]
	delete(k.streams, name)
	k.send(service.Event{Type: service.EventRemoved, Name: name, Snapshot: s, Old: s})
}

// Change makes one transition of a stream and tells it, with further events
// of the same stream after it.
func (k *Keeper) Change(name string, f func(*stream.Snapshot), more ...service.EventType) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.change(name, f, more...)
}

func (k *Keeper) change(name string, f func(*stream.Snapshot), more ...service.EventType) {
	old := k.streams[name]
	s := *old
	f(&s)
	k.streams[name] = &s
	for _, typ := range append([]service.EventType{service.EventTransition}, more...) {
		k.send(service.Event{Type: typ, Name: name, Snapshot: &s, Old: old})
	}
}

// Lag breaks every subscription off, as if its reader were too slow.
func (k *Keeper) Lag() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.subs {
		s.Close()
	}
	k.subs = nil
}

// send never blocks, as the real keeper's does not.
func (k *Keeper) send(e service.Event) {
	k.subs = slices.DeleteFunc(k.subs, func(s *service.Subscription) (ended bool) {
		defer func() { ended = recover() != nil }() // its reader has closed it
		select {
		case s.C <- e:
		default:
			s.Close()
			return true
		}
		return false
	})
}

func (k *Keeper) Subscribe(buffer int) *service.Subscription {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.feeds.Subscribe(buffer)
	k.subs = append(k.subs, s)
	return s
}

func (k *Keeper) Names() []string {
	var names []string
	for _, s := range k.Snapshots() {
		names = append(names, s.Name)
	}
	return names
}

func (k *Keeper) Snapshots() []*stream.Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*stream.Snapshot, 0, len(k.streams))
	for _, s := range k.streams {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stream.Snapshot) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (k *Keeper) Cores() []*stream.Snapshot { return k.Snapshots() }

func (k *Keeper) Core(name string) (*stream.Snapshot, error) { return k.Snapshot(name) }

func (k *Keeper) Snapshot(name string) (*stream.Snapshot, error) {
	if k.OnSnapshot != nil {
		k.OnSnapshot(name)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.streams[name]; s != nil {
		return s, nil
	}
	return nil, &service.Error{Kind: service.NoSuchStream, Text: fmt.Sprintf("there is no stream %q", name)}
}

func (k *Keeper) ByPID(pid int) (*stream.Snapshot, error) {
	for _, s := range k.Snapshots() {
		if pid != 0 && s.PID == pid {
			return s, nil
		}
	}
	return nil, &service.Error{Kind: service.NoSuchStream, Text: "no stream's main process has that pid"}
}

func (k *Keeper) AllHealthy() bool {
	for _, s := range k.Snapshots() {
		if s.Wanted && s.Health != stream.HealthOK && s.Health != stream.HealthUnknown {
			return false
		}
	}
	return true
}

func (k *Keeper) Start(ctx context.Context, name string, o service.CallOptions) (int, error) {
	if _, err := k.Snapshot(name); err != nil {
		return 0, err
	}
	if k.OnStart != nil {
		return k.OnStart(ctx, name, o)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.streams[name]; s.PID != 0 {
		return s.PID, nil
	}
	k.nextPID++
	pid := k.nextPID
	k.change(name, func(s *stream.Snapshot) {
		s.State, s.Health, s.Wanted, s.PID, s.Started = stream.StateRunning, stream.HealthOK, true, pid, time.Now()
	})
	return pid, nil
}

func (k *Keeper) Stop(ctx context.Context, name string, o service.CallOptions) error {
	if _, err := k.Snapshot(name); err != nil {
		return err
	}
	if k.OnStop != nil {
		return k.OnStop(ctx, name, o)
	}
	k.Change(name, func(s *stream.Snapshot) {
		s.State, s.Health, s.Reason = stream.StateStopped, stream.HealthNone, stream.ReasonRequested
		s.Wanted, s.PID, s.Started = false, 0, time.Time{}
	})
	return nil
}

func (k *Keeper) Restart(ctx context.Context, name string, o service.CallOptions) (int, error) {
	if _, err := k.Snapshot(name); err != nil {
		return 0, err
	}
	if k.OnRestart != nil {
		return k.OnRestart(ctx, name, o)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.nextPID++
	pid := k.nextPID
	k.change(name, func(s *stream.Snapshot) {
		s.State, s.Health, s.Wanted, s.PID = stream.StateRunning, stream.HealthOK, true, pid
		s.RestartCount++
	}, service.EventRestarted)
	return pid, nil
}

func (k *Keeper) StartAll(ctx context.Context, o service.CallOptions) []service.Failure {
	var failed []service.Failure
	for _, name := range k.Names() {
		if _, err := k.Start(ctx, name, o); err != nil {
			failed = append(failed, service.Failure{Name: name, Err: err})
		}
	}
	return failed
}

func (k *Keeper) StopAll(ctx context.Context, o service.CallOptions) []service.Failure {
	var failed []service.Failure
	for _, name := range k.Names() {
		if err := k.Stop(ctx, name, o); err != nil {
			failed = append(failed, service.Failure{Name: name, Err: err})
		}
	}
	return failed
}

func (k *Keeper) ResetFailed(_ context.Context, name string) error {
	if _, err := k.Snapshot(name); err != nil {
		return err
	}
	k.Change(name, func(s *stream.Snapshot) { s.State, s.ConsecutiveFailures = stream.StateStopped, 0 })
	return nil
}

func (k *Keeper) Kill(_ context.Context, name string, signal int) error {
	if k.OnKill != nil {
		return k.OnKill(name, signal)
	}
	if signal < 1 || signal > 64 {
		return &service.Error{Kind: service.InvalidArgs, Text: "a signal is a number from 1 to 64"}
	}
	return nil
}

func (k *Keeper) Reload(context.Context) ([]service.Change, error) {
	if k.OnReload != nil {
		return k.OnReload()
	}
	return nil, nil
}

func (k *Keeper) WriteStdin(_ context.Context, name string, data []byte) (int, error) {
	if k.OnWrite != nil {
		return k.OnWrite(name, data)
	}
	return len(data), nil
}

func (k *Keeper) OpenStdin(_ context.Context, name string) (*os.File, error) {
	return k.open(name, false)
}

func (k *Keeper) OpenStdout(_ context.Context, name string) (*os.File, error) {
	return k.open(name, true)
}

func (k *Keeper) open(name string, out bool) (*os.File, error) {
	if k.OnOpen != nil {
		return k.OnOpen(name, out)
	}
	return nil, &service.Error{Kind: service.StdinClosed, Text: name + " has no stdin for data"}
}
