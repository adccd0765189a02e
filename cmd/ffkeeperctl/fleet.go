package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// hostTimeout bounds what is asked of one of several hosts, ssh included.
const hostTimeout = 15 * time.Second

// fleet is the keepers of several hosts. All are asked at the same time, and
// one that does not answer delays the others by hostTimeout at most, once.
type fleet struct {
	app   *app
	links []*hostLink
}

// hostLink is one host of a fleet.
type hostLink struct {
	host    string
	keeper  *keeper // nil: not connected
	err     error   // why not
	dialled chan dialled
}

// dialled is how connecting went.
type dialled struct {
	keeper *keeper
	err    error
}

func (a *app) newFleet() *fleet {
	f := &fleet{app: a}
	for _, h := range a.hosts {
		f.links = append(f.links, &hostLink{host: h})
	}
	return f
}

func (f *fleet) close() {
	for _, l := range f.links {
		l.drop(nil)
		if l.dialled != nil {
			go func() {
				if d := <-l.dialled; d.keeper != nil {
					d.keeper.close()
				}
			}()
		}
	}
}

func (l *hostLink) drop(why error) {
	if l.keeper != nil {
		l.keeper.close()
	}
	l.keeper, l.err = nil, why
}

// connect has the link connected. Without patience it is not waited for: a
// host that was not there before may be there at the next look.
func (l *hostLink) connect(ctx context.Context, a *app, patient bool) {
	if l.keeper != nil {
		return
	}
	if l.dialled == nil {
		l.dialled = make(chan dialled, 1)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, hostTimeout)
			defer cancel()
			k, err := a.connectHost(ctx, l.host)
			l.dialled <- dialled{k, err}
		}()
	}
	var d dialled
	if patient {
		d = <-l.dialled
	} else {
		select {
		case d = <-l.dialled:
		default:
			return
		}
	}
	l.keeper, l.err, l.dialled = d.keeper, d.err, nil
}

// each has one thing done with every keeper that there is. What fails, or is
// not connected, has its error in the link.
func (f *fleet) each(ctx context.Context, patient bool, do func(ctx context.Context, i int, k *keeper) error) {
	limit := lookTimeout
	if patient {
		limit = hostTimeout
	}
	var all sync.WaitGroup
	for i, l := range f.links {
		all.Go(func() {
			l.connect(ctx, f.app, patient)
			if l.keeper == nil {
				return
			}
			asking, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			if err := do(asking, i, l.keeper); err != nil {
				l.drop(err)
			}
		})
	}
	all.Wait()
}

// views are the streams of all hosts, in the order that the hosts were given,
// and for a host that does not answer one that says so.
func (f *fleet) views(ctx context.Context, patient bool, also func(ctx context.Context, i int, k *keeper, streams []*view) error) []*view {
	byHost := make([][]*view, len(f.links))
	f.each(ctx, patient, func(ctx context.Context, i int, k *keeper) error {
		streams, err := k.views(ctx)
		if err == nil && also != nil {
			err = also(ctx, i, k, streams)
		}
		if err == nil {
			byHost[i] = streams
		}
		return err
	})
	var out []*view
	for i, l := range f.links {
		if l.keeper == nil {
			out = append(out, l.unreachable())
		}
		for _, v := range byHost[i] {
			v.Host = l.host
			out = append(out, v)
		}
	}
	return out
}

// unreachableState is the state, and the health, of a host's streams when
// nobody knows them.
const unreachableState = "unreachable"

func (l *hostLink) unreachable() *view {
	why := "no answer yet"
	if l.err != nil {
		why = strings.TrimPrefix(l.err.Error(), "cannot connect to "+l.host+": ")
	}
	return &view{
		Host: l.host, State: unreachableState, Health: unreachableState, Detail: why,
		RecentErrors: []string{}, ExitCodes: []int32{},
	}
}

func (v *view) unreachable() bool { return v.State == unreachableState }

// anyUnreachable: not all that was asked for is known.
func anyUnreachable(all []*view) bool { return slices.ContainsFunc(all, (*view).unreachable) }

// pickOfFleet is pick over several hosts: a name means the streams of that
// name on all of them. Hosts that do not answer stay.
func (a *app) pickOfFleet(args []string, all []*view) (picked []*view, missing bool) {
	if len(args) == 0 {
		return all, false
	}
	var names []string
	for _, v := range all {
		if !v.unreachable() && !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
	}
	found, unknown := expand(args, names)
	for _, u := range unknown {
		a.warn("ffkeeperctl: " + u.text())
	}
	for _, v := range all {
		if v.unreachable() || slices.Contains(found, v.Name) {
			picked = append(picked, v)
		}
	}
	return picked, len(unknown) > 0
}

// reports are the streams for list, health and top: of the one keeper, or of
// all hosts.
func (a *app) reports(ctx context.Context) ([]*view, error) {
	if len(a.hosts) > 1 {
		f := a.newFleet()
		defer f.close()
		all := f.views(ctx, true, nil)
		return all, ctx.Err()
	}
	k, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer k.close()
	return k.views(ctx)
}
