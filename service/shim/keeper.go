package shim

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// keeper is the connection to the one keeper.
type keeper struct {
	s       *Server
	conn    *conn
	pid     int
	hello   *helloBody // what it said; nil: nothing yet
	greeted bool       // hello was answered: events flow
	dead    bool
	done    chan struct{} // closed when its goroutine has ended
}

// helloWait is how long a connection may take to say hello.
const helloWait = 5 * time.Second

// readPause is the number of packets waiting for the keeper from which on no
// more of its requests are read.
const readPause = 1024

// accepted takes a new connection: the keeper's, if there is none.
func (s *Server) accepted(fd int) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		s.warn("connection refused: cannot tell whose it is: %w", err)
		unix.Close(fd)
		return
	}
	if !s.allowed(cred.Uid) {
		refuse(fd, fmt.Errorf("uid %d may not use this shim: %w", cred.Uid, unix.EPERM))
		s.warn("connection of pid %d refused: uid %d may not use this shim", cred.Pid, cred.Uid)
		return
	}
	switch {
	case s.keeper == nil:
		if err := s.connect(fd); err != nil {
			s.warn("connection of pid %d: %w", cred.Pid, err)
		}
	case s.successor >= 0 || !s.keeper.isDead():
		refuse(fd, fmt.Errorf("%w (pid %d)", ErrBusy, s.keeper.pid))
	default:
		// What the dead one has sent is still to be done: notes for one.
		s.successor = fd
		s.keeper.conn.mute()
		unix.Shutdown(s.keeper.conn.fd, unix.SHUT_RD)
	}
}

func (s *Server) allowed(uid uint32) bool {
	return uid == 0 || uid == uint32(os.Geteuid()) || slices.Contains(s.cfg.AllowUIDs, uid)
}

// refuse says why on a fresh connection, and closes it: only when the peer has,
// for closing with something of its unread would lose our words.
func refuse(fd int, why error) {
	c, err := newConn(fd, "refused connection")
	if err != nil {
		return
	}
	go func() {
		defer c.close()
		c.send(&message{Type: msgError, Error: toWire(why)}, nil)
		unix.Shutdown(fd, unix.SHUT_WR)
		c.file.SetReadDeadline(time.Now().Add(helloWait))
		for {
			_, fds, err := c.receive()
			closeAll(fds)
			var bad *malformed
			if err != nil && !errors.As(err, &bad) {
				return
			}
		}
	}()
}

// isDead: the process at the other end is gone, though we may not have read
// the end of the connection yet, or something it left behind holds it open.
func (k *keeper) isDead() bool {
	if k.dead {
		return true
	}
	p := []unix.PollFd{{Fd: int32(k.conn.fd), Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(p, 0); err == nil && n == 1 && p[0].Revents&(unix.POLLHUP|unix.POLLRDHUP|unix.POLLERR) != 0 {
		return true
	}
	return k.pid > 0 && unix.Kill(k.pid, 0) == unix.ESRCH
}

// connect makes the socket fd, which it takes over, the keeper's connection.
func (s *Server) connect(fd int) error {
	k := &keeper{s: s}
	if cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
		k.pid = int(cred.Pid)
	}
	c, err := newConn(fd, "keeper")
	if err != nil {
		return err
	}
	k.conn = c
	s.keeper = k
	k.start()
	time.AfterFunc(helloWait, func() {
		s.post(func() {
			if s.keeper == k && k.hello == nil {
				s.warn("pid %d connected and said no hello", k.pid)
				s.keeperLost(k)
			}
		})
	})
	return nil
}

// start begins to read.
func (k *keeper) start() {
	k.done = make(chan struct{})
	go k.read()
}

// resume goes on reading after a pause, whether it has come into force or not.
// The deadline is not touched later: it may be the next pause's by then.
func (k *keeper) resume() {
	k.conn.file.SetReadDeadline(time.Time{})
	done := k.done
	go func() {
		<-done
		k.s.post(func() {
			if !k.dead && k.done == done {
				k.start()
			}
		})
	}()
}

// read brings the keeper's messages to the server's goroutine, one at a time:
// the next is read when the last has been dealt with. A deadline in the past
// pauses it.
func (k *keeper) read() {
	defer close(k.done)
	handled := make(chan bool, 1)
	for {
		// A keeper that asks and does not read the answers waits here.
		k.conn.waitRoom(readPause)
		m, fds, err := k.conn.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		var bad *malformed
		final := err != nil && !errors.As(err, &bad)
		ok := k.s.post(func() {
			switch {
			case final:
				k.s.keeperLost(k)
			case k.dead:
				closeAll(fds)
			case bad != nil:
				k.fail(bad.seq, bad)
			default:
				k.s.handle(k, m, fds)
			}
			handled <- !k.dead
		})
		if !ok {
			closeAll(fds)
			return
		}
		if !<-handled {
			return
		}
	}
}

// send sends to the keeper. That it is gone shows in the reader too; what does
// not is that there is no room for a packet that has to wait.
func (k *keeper) send(m *message, fds ...int) error {
	err := k.conn.send(m, fds)
	if errors.Is(err, errQueueFull) {
		go k.s.post(func() { k.s.keeperLost(k) })
	}
	return err
}

// fail answers the request seq with an error.
func (k *keeper) fail(seq uint64, err error) {
	k.send(&message{Type: msgError, Seq: seq, Error: toWire(err)})
}

// tell sends an event to the keeper, if there is one. If there is none the
// children's state tells the next.
func (s *Server) tell(m *message) {
	if s.keeper != nil && s.keeper.greeted {
		s.keeper.send(m)
	}
}

// keeperLost deals with the end of the keeper's connection.
func (s *Server) keeperLost(k *keeper) {
	if k.dead {
		return
	}
	k.dead = true
	k.conn.close()
	if s.keeper != k {
		return
	}
	s.keeper = nil
	s.startDraining()
	if !s.cfg.Stay {
		s.leaving = true
	}
	if s.asked || !s.cfg.Stay {
		s.stopAll()
	}
	if fd := s.successor; fd >= 0 {
		s.successor = -1
		if err := s.connect(fd); err != nil {
			s.warn("cannot take the next keeper: %w", err)
		}
	}
}

// greet takes a keeper's hello.
func (s *Server) greet(k *keeper, hello *helloBody) {
	if hello == nil || hello.Min > Version || hello.Max < Version {
		k.fail(0, fmt.Errorf("this shim speaks version %d of the protocol only", Version))
		s.keeperLost(k)
		return
	}
	k.hello = hello
	s.answerHello()
}

// answerHello tells a keeper that has said hello everything the shim holds. It
// waits for what an earlier keeper has asked for: a child that came to life
// after the answer would be unknown, and its stream be started once more. The
// timeouts of spawns bound that.
func (s *Server) answerHello() {
	k := s.keeper
	if k == nil || k.dead || k.hello == nil || k.greeted || s.spawning() {
		return
	}
	s.stopDraining()
	k.send(&message{Type: msgHello, Hello: s.hello()})
	for _, c := range s.sorted() {
		if c.starting || c.forgotten {
			continue
		}
		m, fds := c.message(msgChild)
		drained, err := c.drained(m.Child)
		if err != nil {
			s.warn("what %s (pid %d) wrote meanwhile is lost: %w", c.stream, c.pid, err)
		}
		if drained >= 0 {
			m.FDs = append(m.FDs, fdDrained)
			fds = append(fds, drained)
		}
		err = k.send(m, fds...)
		if drained >= 0 {
			unix.Close(drained)
		}
		if err != nil {
			s.warn("cannot hand over to pid %d: %w", k.pid, err)
			s.keeperLost(k)
			return
		}
	}
	for stream, blob := range s.notes {
		k.send(&message{Type: msgNote, Stream: text(stream), Blob: blob})
	}
	k.send(&message{Type: msgHelloEnd})
	k.greeted = true
}

func (s *Server) hello() *helloBody {
	return &helloBody{Chosen: Version, Version: s.cfg.Version, PID: os.Getpid()}
}
