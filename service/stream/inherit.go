package stream

import (
	"strings"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// Inheritance is what an earlier keeper left of a stream, and what the shim
// holds of it. Its IDs are those that Config.Shim knows.
type Inheritance struct {
	State, Run, Seen []byte       // the notes; nil: none
	Held             *shim.Held   // the stream's process; nil: none
	Jobs             []*shim.Held // commands that ran beside it
}

// Inheritances sorts what a shim had to say by streams.
func Inheritances(notes map[string][]byte, children []*shim.Held) map[string]*Inheritance {
	all := make(map[string]*Inheritance)
	of := func(key string) *Inheritance {
		name := OwnerOf(key)
		if all[name] == nil {
			all[name] = new(Inheritance)
		}
		return all[name]
	}
	for key, blob := range notes {
		in := of(key)
		switch {
		case strings.HasSuffix(key, noteRun):
			in.Run = blob
		case strings.HasSuffix(key, noteSeen):
			in.Seen = blob
		default:
			in.State = blob
		}
	}
	for _, held := range children { // in the order they were started
		in := of(held.Stream)
		switch {
		case OwnerOf(held.Stream) != held.Stream:
			in.Jobs = append(in.Jobs, held)
		case in.Held == nil:
			in.Held = held
		default:
			// Of two the newest is the stream's; the other is on its way out.
			in.Jobs = append(in.Jobs, in.Held)
			in.Held = held
		}
	}
	return all
}

// Add notes what the shim has reported since; false: of nothing that is in it.
func (in *Inheritance) Add(ev shim.Event) bool {
	all := in.Jobs
	if in.Held != nil {
		all = append([]*shim.Held{in.Held}, all...)
	}
	for _, held := range all {
		switch ev := ev.(type) {
		case shim.Exited:
			if held.ID == ev.ID {
				held.Exited = &ev
				return true
			}
		case shim.Empty:
			if held.ID == ev.ID {
				held.Empty = true
				return true
			}
		}
	}
	return false
}

// Definition is the one the process was started with, bound to l; nil: none,
// or it cannot be read.
func (in *Inheritance) Definition(l *streamfile.Loader) *streamfile.Definition {
	if k := in.kept(l); k != nil {
		return k.Definition
	}
	return nil
}

func (in *Inheritance) kept(l *streamfile.Loader) *streamfile.Kept {
	if in.Run == nil {
		return nil
	}
	data, err := unpack(in.Run)
	if err != nil {
		return nil
	}
	k, err := streamfile.DecodeKept(data)
	if err != nil {
		return nil
	}
	if l != nil {
		k.Definition = k.Definition.With(l)
	}
	return k
}

// Known says whether an earlier keeper left word of the stream's state, so
// that Autostart= is no question any more.
func (s *Stream) Known() bool { return s.known && !s.anew }

// inherit puts the machine where an earlier keeper left it, before the stream
// runs. What the definitions and the shim's word mean comes in takeOver.
func (o *owner) inherit(in *Inheritance) {
	c := o.cfg.clock()
	m := o.m
	if len(in.State) > 0 {
		digest, err := m.decode(c, in.State)
		if err != nil {
			o.cfg.Log.Warn(err.Error(), "FFKEEPER_STREAM", o.cfg.Name)
		}
		o.keptDigest, o.known = digest, err == nil
	}
	if o.known && in.Held != nil && in.Held.Empty && m.child == localNumber(in.Held.ID) && !m.group {
		// All is known of it but for the word that it may be forgotten.
		discard(&in.Held.Child)
		o.cfg.Shim.Forget(in.Held.ID)
		in.Held = nil
	}
	if o.known && m.removed && !o.cfg.FileGone {
		o.inheritRemoved(in, c.now)
	}
	if !o.known && in.Held != nil {
		// It was run, so it was wanted; more cannot be known.
		m.state, m.reason, m.detail, m.wanted = StateStarting, ReasonNone, "", true
		m.phase, m.health = phaseSpawn, HealthStarting
		o.known, o.blind = true, true
	}
	if !o.known {
		o.takeSeenOf(c, in)
		return
	}
	o.kept.inheritRun(in.Run)
	def, launch := o.inheritDefinition(in)
	if in.Held != nil {
		o.proc = o.newProcess(def, launch, &in.Held.Child)
		o.proc.started = in.Held.Started
	}
	o.takeSeenOf(c, in)
	m.judge(c.now)
	m.out = nil // it has been told before
}

// inheritDefinition puts the definition in force that an earlier keeper had,
// where something goes on with it, and answers it with what is run.
func (o *owner) inheritDefinition(in *Inheritance) (*streamfile.Definition, *streamfile.Launch) {
	m, file := o.m, o.cfg.Definition
	launch := &streamfile.Launch{}
	if !m.busy() && in.Held == nil && (file != nil || m.state != StateRestarting) {
		return file, launch // any start takes what the file says now
	}
	k := in.kept(o.cfg.Loader)
	switch {
	case k != nil && (file == nil || k.Definition.Digest != file.Digest):
		m.def, m.next = k.Definition, file
	case file == nil && (m.group || in.Held != nil):
		// It can at least be stopped; of what it is nothing is known, so
		// nothing is expected of it.
		m.def = streamfile.New(o.cfg.Name, nil)
		m.def.Type, m.def.OnStall = streamfile.TypeSimple, streamfile.OnStallLog
	}
	if k != nil {
		launch = k.Launch
		o.cfg.Redact.Learn(o.cfg.Name, launch.Argv, launch.Env)
		k.Definition.ReadCredentials() // of them nothing has been kept
	}
	return m.def, launch
}

// inheritRemoved: the stream was being removed for want of a file, and there
// is one again. That is a new stream, of which Autostart= is asked; it waits
// for what goes on of the old one.
func (o *owner) inheritRemoved(in *Inheritance, now time.Time) {
	o.anew = true
	if o.m.busy() || in.Held != nil {
		o.m.removed = false
		return
	}
	o.known = false
	o.m = newMachine(o.cfg.Name, o.cfg.Definition, o.cfg.Broken, now, o.m.random)
	o.m.builder = o.cfg.Command != nil
}

// busy: something of the stream runs, or is about to.
func (m *machine) busy() bool {
	return m.group || m.state == StateStarting || m.state == StateRunning || m.state == StateStopping || m.state == StateZombie
}

func (o *owner) takeSeenOf(c clock, in *Inheritance) {
	if len(in.Seen) == 0 {
		return
	}
	data, err := unpack(in.Seen)
	if err != nil {
		o.cfg.Log.Warn(err.Error(), "FFKEEPER_STREAM", o.cfg.Name)
		return
	}
	s, err := unmarshalSeen(data)
	if err != nil {
		o.cfg.Log.Warn(err.Error(), "FFKEEPER_STREAM", o.cfg.Name)
		return
	}
	o.takeSeen(c, s)
}
