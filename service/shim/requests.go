package shim

import (
	"fmt"
	"strings"
	"syscall"
)

const (
	maxNotes = 10000
	maxName  = 255 // bytes of a stream's name
)

// handle does what the keeper asks for. The descriptors become its own.
func (s *Server) handle(k *keeper, m *message, fds []int) {
	defer func() { closeAll(fds) }()
	if !k.greeted && m.Type != msgHello {
		k.fail(m.Seq, fmt.Errorf("%s before hello", m.Type))
		return
	}
	switch m.Type {
	case msgHello:
		if k.greeted {
			k.fail(m.Seq, fmt.Errorf("hello for the second time"))
			return
		}
		s.greet(k, m.Hello)
	case msgReady:
		s.forgetDrained()
	case msgSpawn:
		s.spawnFor(k, m, fds)
	case msgSignal:
		if c := s.children[m.ID]; c != nil {
			s.signal(c, syscall.Signal(m.Signal), m.Scope)
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
		s.reexec(k, m)
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

// spawnFor starts what k asks for and answers it.
func (s *Server) spawnFor(k *keeper, m *message, extra []int) {
	if m.Spawn == nil {
		k.fail(m.Seq, fmt.Errorf("spawn without a request"))
		return
	}
	req := m.Spawn.request()
	s.spawn(req, extra, func(c *child, err error) {
		if err != nil {
			k.fail(m.Seq, err)
			return
		}
		answer, fds := c.message(msgSpawned)
		answer.Seq = m.Seq
		if !k.dead {
			k.send(answer, fds...)
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
