package shim

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"
)

const (
	maxNotes = 10000
	maxName  = 255 // bytes of a stream's name
)

// handle does what the keeper asks for. The descriptors become its own. An
// error of our own in doing so is the keeper's to hear, and no reason to take
// every stream off the air.
func (s *Server) handle(k *keeper, m *message, fds []int) {
	defer func() {
		if r := recover(); r != nil {
			k.fail(m.Seq, fmt.Errorf("%s: internal error: %v\n%s", m.Type, r, debug.Stack()))
		}
		closeAll(fds)
	}()
	if !k.greeted && m.Type != msgHello {
		k.fail(m.Seq, fmt.Errorf("%s before hello was answered", m.Type))
		return
	}
	switch m.Type {
	case msgHello:
		if k.hello != nil {
			k.fail(m.Seq, fmt.Errorf("hello for the second time"))
			return
		}
		s.greet(k, m.Hello)
	case msgReady:
		s.forgetDrained()
	case msgSpawn:
		extra := fds
		fds = nil
		s.spawnFor(k, m, extra)
	case msgSignal:
		if c := s.children[m.ID]; c != nil {
			if err := s.signal(c, syscall.Signal(m.Signal), m.Scope); err != nil {
				k.fail(m.Seq, err)
			}
		}
	case msgKill:
		if c := s.children[m.ID]; c != nil {
			s.kill(c)
		}
	case msgNote:
		if err := s.note(string(m.Stream), m.Blob); err != nil {
			k.fail(m.Seq, err)
		}
	case msgForget:
		if c := s.children[m.ID]; c != nil && c.exited != nil {
			c.forgotten = true
			c.release()
			s.dropIfDone(c)
		}
	case msgClose:
		if c := s.children[m.ID]; c != nil {
			c.closeEnd(m.End)
		}
	case msgIO:
		s.readIO(k, m)
	case msgPing:
		k.send(&message{Type: msgPong, Seq: m.Seq})
	case msgReexec:
		s.reexec(&upgrade{program: cmp.Or(string(m.Path), s.cfg.Program), keeper: k, seq: m.Seq})
	case msgStop:
		s.stopAll()
	case msgLeave:
		s.leaving = true
	default:
		k.fail(m.Seq, fmt.Errorf("unknown message type %q", m.Type))
	}
}

func (s *Server) note(stream string, blob []byte) error {
	switch {
	case stream == "" || len(stream) > maxName || strings.ContainsAny(stream, "\x00\n"):
		return fmt.Errorf("note: bad stream name %q", stream)
	case len(blob) > maxNote:
		return fmt.Errorf("note of %s: %d bytes; at most %d are kept", stream, len(blob), maxNote)
	case len(blob) == 0:
		delete(s.notes, stream)
	case s.notes[stream] == nil && len(s.notes) >= maxNotes:
		return fmt.Errorf("note of %s: there are %d notes already", stream, maxNotes)
	default:
		s.notes[stream] = blob
	}
	return nil
}

// spawnFor starts what k asks for and answers it. It takes over extra.
func (s *Server) spawnFor(k *keeper, m *message, extra []int) {
	if m.Spawn == nil {
		closeAll(extra)
		k.fail(m.Seq, fmt.Errorf("spawn without a request"))
		return
	}
	req := m.Spawn.request()
	s.spawn(req, extra, func(c *child, err error) {
		if err != nil {
			k.fail(m.Seq, err)
			return
		}
		if s.keeper != k { // it is gone; the next is told in the answer to its hello
			s.drainChild(c)
			return
		}
		answer, fds := c.message(msgSpawned)
		answer.Seq = m.Seq
		if err := k.send(answer, fds...); err != nil && !k.conn.broken() {
			s.abandon(c)
			k.fail(m.Seq, &SpawnError{Path: req.Path, Op: "hand over its file descriptors", Err: err})
			return
		}
		if s.cfg.inProcess {
			c.release()
		}
	})
}

// dropIfDone drops a child about which nothing remains to be said.
func (s *Server) dropIfDone(c *child) {
	if c.empty && c.forgotten {
		delete(s.children, c.id)
	}
}
