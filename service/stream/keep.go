package stream

import (
	"crypto/sha256"
	"hash/fnv"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// A stream leaves three notes with the shim, for the keeper that comes after
// this one: what it is, under its own name; what it runs, written before the
// process is asked for; and what it has been seen to do. No stream's name has
// the mark in it.
const (
	noteRun  = jobMark + "run"
	noteSeen = jobMark + "seen"
)

// seenEvery is about how old what was seen of a stream may be when its keeper
// is killed. What is worth telling changes the state or ends the progress, and
// then it is written within seenSoon; the rest is figures, which the next
// progress block brings anew, and lines, which the journal has. So it may be a
// minute: written every 20 s it would be a tenth of what keeper and shim cost
// together.
//
// It is written when the owner is awake anyway, for to wake costs more than to
// write, but not later than seenSlack after its time.
const (
	seenEvery = time.Minute
	seenSoon  = time.Second
	seenSlack = 2 * time.Second
)

// keeping is what the owner knows of its notes.
type keeping struct {
	last    lasting   // as written last
	run     []byte    // nil: none
	sum     runSum    // of what is in it
	due     time.Time // from when on what was seen is to be written; zero: nothing new
	late    time.Time // by when
	refused bool      // the shim refuses notes, and it has been said
}

// runSum tells one note of what runs from another, before it is packed.
type runSum [sha256.Size]byte

// inheritRun: that note is there already.
func (k *keeping) inheritRun(note []byte) {
	if data, err := unpack(note); err == nil && len(data) > 0 {
		k.run, k.sum = note, sha256.Sum256(data)
	}
}

// keep writes down what the machine has just become, before anything is done
// about it: who comes after must find at least what was done.
func (o *owner) keep() {
	if !o.cfg.Lasting || o.m.lasting == o.kept.last {
		return
	}
	soon := o.m.state != o.kept.last.state
	o.kept.last = o.m.lasting
	data, err := o.m.encode(o.cfg.clock())
	o.note("", data, err)
	o.sawSomething(soon)
}

// keepRun writes down what is about to be started.
func (o *owner) keepRun(def *streamfile.Definition, l *streamfile.Launch) {
	if !o.cfg.Lasting {
		return
	}
	data, err := (&streamfile.Kept{Definition: def, Launch: l}).Encode()
	if err == nil {
		sum := runSum(sha256.Sum256(data))
		if sum == o.kept.sum {
			return
		}
		o.kept.sum = sum
		data = pack(data)
	}
	o.kept.run = data
	o.note(noteRun, data, err)
}

// sawSomething has what was seen written down before long.
func (o *owner) sawSomething(soon bool) {
	if !o.cfg.Lasting {
		return
	}
	if due := time.Now().Add(seenSoon); soon && (o.kept.due.IsZero() || due.Before(o.kept.late)) {
		o.kept.due, o.kept.late = due, due
	}
	if o.kept.due.IsZero() {
		o.kept.due = time.Now().Add(seenSpread(o.cfg.Name))
		o.kept.late = o.kept.due.Add(seenSlack)
	}
}

// seenSpread is seenEvery for the stream of this name, or up to half of it less:
// streams that are started together do not write together.
func seenSpread(name string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(name))
	return seenEvery - seenEvery/2*time.Duration(h.Sum32()%1024)/1024
}

func (o *owner) keepTick(now time.Time) {
	if !o.kept.due.IsZero() && !now.Before(o.kept.due) {
		o.keepSeen(nil, nil)
	}
}

// keepSeen writes down what was seen.
func (o *owner) keepSeen(stderr, stdout *partRecord) {
	if !o.cfg.Lasting {
		return
	}
	o.kept.due, o.kept.late = time.Time{}, time.Time{}
	data, err := o.encodeSeen(o.cfg.clock(), stderr, stdout)
	if err == nil {
		data = pack(data)
	}
	o.note(noteSeen, data, err)
}

// note leaves one note. Where that cannot be done the stream goes on; the next
// keeper will know less.
func (o *owner) note(what string, data []byte, err error) {
	if err == nil {
		err = o.cfg.Shim.Note(o.cfg.Name+what, data)
	}
	if err != nil && !o.kept.refused {
		o.kept.refused = true
		o.cfg.Log.Error("cannot leave word for the next keeper", "FFKEEPER_STREAM", o.cfg.Name, "error", o.cfg.Redact.String(err.Error()))
	}
}

// dropNotes: the stream is forgotten.
func (o *owner) dropNotes() {
	if o.cfg.Lasting {
		DropNotes(o.cfg.Shim, o.cfg.Name)
	}
}

// DropNotes removes what is left of a stream that there is no longer.
func DropNotes(s Shim, name string) {
	for _, what := range []string{"", noteRun, noteSeen} {
		s.Note(name+what, nil) // a lost shim has none
	}
}

// renewNotes: there is a new shim, which has none.
func (o *owner) renewNotes() {
	run := o.kept.run
	o.kept = keeping{run: run, sum: o.kept.sum}
	o.keep()
	if run != nil && o.cfg.Lasting {
		o.note(noteRun, run, nil)
	}
}

func (o *owner) encodeSeen(c clock, stderr, stdout *partRecord) ([]byte, error) {
	live := o.m.live.State()
	s := seen{
		Moved: c.stamp(o.m.moved), LastActivity: c.stamp(o.m.lastActivity), PID: o.m.pid,
		Live: &liveRecord{
			Frame: live.Frame, OutTime: live.OutTime, Size: live.Size, Gap: live.Gap,
			LastAt: c.stamp(live.LastAt), MovedAt: c.stamp(live.MovedAt), FrameAt: c.stamp(live.FrameAt),
		},
		Errors: o.lines.errors, Dropped: o.log.total, Left: o.left, Stderr: stderr, Stdout: stdout,
	}
	for _, l := range o.lines.last(keptLines) {
		s.Lines = append(s.Lines, lineRecord{l.Time.UnixNano(), l.Priority, l.Text})
	}
	if p := o.proc; p != nil {
		s.Ended, s.Tagged, s.Received = p.ended, p.tagged, p.received
		if p.hasBlock {
			s.Block = &p.block
		}
	}
	return marshalSeen(&s)
}

// takeSeen takes up what an earlier keeper has seen.
func (o *owner) takeSeen(c clock, s *seen) {
	o.m.lastActivity = c.time(s.LastActivity)
	o.log.total = s.Dropped
	for _, l := range s.Lines {
		o.lines.add(Line{Time: time.Unix(0, l.At), Priority: l.Priority, Text: l.Text}, false)
	}
	if n := len(s.Errors) - keptErrors; n > 0 {
		s.Errors = s.Errors[n:]
	}
	o.lines.errors = append([]string(nil), s.Errors...)
	p := o.proc
	if p == nil || s.PID == 0 || s.PID != p.pid {
		return
	}
	o.m.moved = c.time(s.Moved)
	if l := s.Live; l != nil {
		o.m.live = ffmpeg.ResumeLiveness(ffmpeg.LivenessState{
			Frame: l.Frame, OutTime: l.OutTime, Size: l.Size, Gap: l.Gap,
			LastAt: c.time(l.LastAt), MovedAt: c.time(l.MovedAt), FrameAt: c.time(l.FrameAt),
		})
	}
	p.ended, p.tagged, p.received = s.Ended, s.Tagged, s.Received
	// A killed keeper may have shown newer ones since, and no figure goes back;
	// the next block is a second away.
	if s.Block != nil && (s.Left || s.Ended) {
		p.block, p.hasBlock, p.blockAt = *s.Block, true, o.m.live.State().LastAt
	}
	if s.Stderr != nil {
		p.errLines.Resume(s.Stderr.Data, s.Stderr.Long)
	}
	if s.Stdout != nil {
		p.outLines.Resume(s.Stdout.Data, s.Stdout.Long)
	}
}
