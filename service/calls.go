package service

import (
	"context"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

// The keeper is what its faces are given.
var _ API = (*Keeper)(nil)

// snapshotWait bounds how long a stream may take to describe itself before
// what it last announced is shown instead.
const snapshotWait = time.Second

func (k *Keeper) Names() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	names := make([]string, 0, len(k.set))
	for name := range k.set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (k *Keeper) Snapshot(name string) (*stream.Snapshot, error) {
	m, err := k.member(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(k.ctx, snapshotWait)
	defer cancel()
	return m.Snapshot(ctx), nil
}

func (k *Keeper) Snapshots() []*stream.Snapshot {
	ctx, cancel := context.WithTimeout(k.ctx, snapshotWait)
	defer cancel()
	members := k.members()
	out := make([]*stream.Snapshot, len(members))
	var wg sync.WaitGroup
	// A goroutine each would cost more than it saves where all answer at
	// once; one that hangs must not hold up the rest for its second.
	const parts = 8
	for p := range parts {
		wg.Go(func() {
			for i := p; i < len(members); i += parts {
				out[i] = members[i].Snapshot(ctx)
			}
		})
	}
	wg.Wait()
	sortSnapshots(out)
	return out
}

func (k *Keeper) Core(name string) (*stream.Snapshot, error) {
	m, err := k.member(name)
	if err != nil {
		return nil, err
	}
	return m.Core(), nil
}

// Cores is Snapshots without figures and lines, at once.
func (k *Keeper) Cores() []*stream.Snapshot {
	members := k.members()
	out := make([]*stream.Snapshot, len(members))
	for i, m := range members {
		out[i] = m.Core()
	}
	sortSnapshots(out)
	return out
}

func sortSnapshots(s []*stream.Snapshot) {
	slices.SortFunc(s, func(a, b *stream.Snapshot) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func (k *Keeper) ByPID(pid int) (*stream.Snapshot, error) {
	k.mu.RLock()
	name, ok := k.byPID[pid]
	k.mu.RUnlock()
	if !ok || pid == 0 {
		return nil, &Error{Kind: NoSuchStream, Text: "no stream's main process has that pid"}
	}
	return k.Core(name)
}

func (k *Keeper) AllHealthy() bool {
	for _, m := range k.members() {
		s := m.Core()
		if s.Wanted && s.Health != stream.HealthOK && s.Health != stream.HealthUnknown {
			return false
		}
	}
	return true
}

func (k *Keeper) Subscribe(buffer int) *Subscription { return k.hub.subscribe(buffer) }

func (k *Keeper) ResetFailed(ctx context.Context, name string) error {
	m, err := k.member(name)
	if err != nil {
		return err
	}
	return m.ResetFailed(ctx)
}

func (k *Keeper) Kill(ctx context.Context, name string, signal int) error {
	m, err := k.member(name)
	if err != nil {
		return err
	}
	if signal < 1 || signal > 64 {
		return &Error{Kind: InvalidArgs, Text: "a signal is a number from 1 to 64"}
	}
	return m.Kill(ctx, syscall.Signal(signal))
}

func (k *Keeper) WriteStdin(ctx context.Context, name string, data []byte) (int, error) {
	m, err := k.member(name)
	if err != nil {
		return 0, err
	}
	return m.WriteStdin(ctx, data)
}

func (k *Keeper) OpenStdin(ctx context.Context, name string) (*os.File, error) {
	m, err := k.member(name)
	if err != nil {
		return nil, err
	}
	return m.OpenStdin(ctx)
}

func (k *Keeper) OpenStdout(ctx context.Context, name string) (*os.File, error) {
	m, err := k.member(name)
	if err != nil {
		return nil, err
	}
	return m.OpenStdout(ctx)
}
