package service

import (
	"context"
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/stream"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// What Reload did to a stream.
const (
	ChangeAdded   = "added"
	ChangeChanged = "changed"
	ChangeRemoved = "removed"
	ChangeError   = "error"
)

func (k *Keeper) loader() *streamfile.Loader {
	return &streamfile.Loader{
		Path: k.opts.Path, FFmpeg: k.opts.FFmpeg, Describe: k.describe, Redact: k.redact.String,
		User: k.link.user(), Credential: k.credential,
	}
}

// read reads all files; directories that cannot be read are logged.
func (k *Keeper) read() *streamfile.Set {
	set := k.loader().Load()
	for _, err := range set.Errors {
		k.log.Error("cannot read stream files", "error", err)
	}
	if n := len(set.Owned); n > 0 {
		k.log.Info("some of the stream files and their directories are not root's but the keeper's own user's: whoever takes the keeper over decides what runs",
			"number", n, "first", set.Owned[0])
	}
	for name, e := range set.Streams {
		for _, w := range e.Warnings {
			k.log.Warn(w.Error(), "FFKEEPER_STREAM", name)
		}
	}
	return set
}

// load fills the set for the first time.
func (k *Keeper) load() {
	var set *streamfile.Set
	if len(k.opts.Path) > 0 {
		set = k.read()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if set != nil {
		for _, e := range set.Streams {
			if !e.Masked {
				k.addFileLocked(e)
			}
		}
		k.keepOrphansLocked(set)
	}
	k.graph = k.graphLocked()
}

// addFileLocked makes the stream that files say.
func (k *Keeper) addFileLocked(e *streamfile.Entry) {
	broken := problems(e)
	k.addLocked(&member{def: e.Definition, broken: broken},
		stream.Config{Name: e.Name, Definition: e.Definition, Broken: broken, Source: mainFile(e)}, Hooks{})
}

// keepOrphansLocked makes streams of those that run and have no file any more:
// it went while there was no keeper, and nobody has asked for a reload. Those
// that come by Add are for Add; of the rest nothing needs to be known.
func (k *Keeper) keepOrphansLocked(set *streamfile.Set) {
	l := k.loader()
	for name, in := range k.inherited {
		def := in.Definition(l)
		switch {
		case def != nil && def.Source == "":
			// Of Add.
		case in.Held != nil:
			source := ""
			if def != nil {
				source = def.Source
			}
			k.addLocked(&member{def: def, orphan: true}, stream.Config{Name: name, FileGone: true, Source: source}, Hooks{})
		case len(set.Errors) > 0:
			// Its file may only be out of reach for now.
		default:
			for _, job := range in.Jobs {
				k.link.Kill(job.ID)
				k.link.Forget(job.ID)
			}
			stream.DropNotes(k.link, name)
			delete(k.inherited, name)
		}
	}
}

// problems is all that is wrong with a stream's files, a line each; "" where
// they can be used.
func problems(e *streamfile.Entry) string {
	if e.Definition != nil {
		return ""
	}
	lines := make([]string, len(e.Errors))
	for i, err := range e.Errors {
		lines[i] = err.Error()
	}
	if len(lines) == 0 {
		return e.Name + ": its files cannot be used"
	}
	return strings.Join(lines, "\n")
}

// mainFile is the file that a stream's broken files begin with.
func mainFile(e *streamfile.Entry) string {
	if len(e.Files) == 0 {
		return ""
	}
	return e.Files[0]
}

// Reload reads the stream files anew. New streams are started where they say
// Autostart=, those whose file is gone are stopped and forgotten, changed ones
// run on with NeedsRestart; broken files leave what is in force in force and
// are answered with Kind ChangeError. Streams whose files did not change are
// not touched. If ctx ends first the reload goes on: only the end of the
// removed streams is not awaited.
func (k *Keeper) Reload(ctx context.Context) ([]Change, error) {
	select {
	case k.reloading <- struct{}{}:
		defer func() { <-k.reloading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if len(k.opts.Path) == 0 {
		return nil, nil
	}
	set := k.read()
	var changes []Change
	change := func(kind, name, detail string) { changes = append(changes, Change{kind, name, detail}) }
	for _, err := range set.Errors {
		change(ChangeError, "", err.Error())
	}

	var fresh []string
	var changed []*member
	k.mu.Lock()
	if k.closed.Load() {
		k.mu.Unlock()
		return nil, errClosed()
	}
	old := k.graph
	for name, e := range set.Streams {
		if e.Masked {
			continue
		}
		m := k.set[name]
		switch {
		case m != nil && m.going:
			change(ChangeError, name, name+": the stream of its earlier file has not ended yet")
		case m == nil:
			k.addFileLocked(e)
			if e.Definition == nil {
				change(ChangeError, name, problems(e))
				continue
			}
			change(ChangeAdded, name, e.Definition.Source)
			if e.Definition.Autostart && !k.set[name].Known() {
				fresh = append(fresh, name)
			}
		case m.added:
			change(ChangeError, name, "there is a stream of that name that came from no file")
		case e.Definition == nil:
			change(ChangeError, name, problems(e))
			if m.broken != problems(e) {
				m.broken = problems(e)
				changed = append(changed, m)
			}
		case m.def != nil && set.Unreadable(m.def):
			// What another directory has for it now is not what is meant.
		case m.broken != "" || m.def == nil || m.orphan || m.def.Digest != e.Definition.Digest:
			change(ChangeChanged, name, e.Definition.Source)
			m.def, m.broken, m.orphan = e.Definition, "", false
			changed = append(changed, m)
		}
	}
	var removed []*member
	for name, m := range k.set {
		if e := set.Streams[name]; !m.added && !m.going && (e == nil || e.Masked) && !unreadable(set, m) {
			change(ChangeRemoved, name, "")
			m.going = true
			removed = append(removed, m)
		}
	}
	k.graph = k.graphLocked()
	k.mu.Unlock()

	for _, m := range changed {
		def := m.def
		if m.broken != "" {
			def = nil
		}
		m.Reload(def, m.broken)
	}
	k.remove(removed, old)
	k.startSome(ctx, fresh, CallOptions{Wait: WaitNone})
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range removed {
		if err := k.awaitGone(ctx, m); err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// remove stops streams in the order of the graph they ran by, and has them
// forgotten. It does not wait.
func (k *Keeper) remove(members []*member, g graph) {
	for _, m := range members {
		go func() {
			for _, other := range members {
				if other != m && slices.Contains(g.followers[m.Name()], other.Name()) {
					k.awaitGone(k.ctx, other)
				}
			}
			m.Remove()
		}()
	}
}

// awaitGone waits until a removed stream has left the set, or hangs in the
// kernel, which may be for ever.
func (k *Keeper) awaitGone(ctx context.Context, m *member) error {
	for {
		changed := k.hub.change()
		if m.Core().State == stream.StateZombie {
			return nil
		}
		select {
		case <-m.gone:
			return nil
		case <-changed:
		case <-k.ctx.Done():
			return errClosed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unreadable: a directory that cannot be read now says nothing about the
// streams that came from it; they are not gone.
func unreadable(set *streamfile.Set, m *member) bool {
	if m.def == nil {
		return len(set.Errors) > 0
	}
	return set.Unreadable(m.def)
}
