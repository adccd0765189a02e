package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// checkWait bounds the test run of a new program.
const checkWait = 10 * time.Second

// checkFormat has the oldest and the newest version of the protocol and of the
// state that a program understands.
const checkFormat = "ffkeeper-shim protocol %d-%d state %d-%d"

// CheckAnswer is what ffkeeper-shim --check-protocol prints: proof that the
// program starts, and can go on from the state another one leaves.
func CheckAnswer() string {
	return fmt.Sprintf(checkFormat, Version, Version, minStateVersion, maxStateVersion)
}

// checkAnswer says whether the program that gave answer can go on from a state
// of the given version.
func checkAnswer(answer string, version int) error {
	var protocol, state [2]int
	_, err := fmt.Sscanf(answer, checkFormat, &protocol[0], &protocol[1], &state[0], &state[1])
	if err != nil {
		return fmt.Errorf("it answers %.100q and not %q", answer, CheckAnswer())
	}
	if Version < protocol[0] || Version > protocol[1] || version < state[0] || version > state[1] {
		return fmt.Errorf("it understands protocol %d to %d and state %d to %d; this shim uses %d and %d",
			protocol[0], protocol[1], state[0], state[1], Version, version)
	}
	return nil
}

// upgrade is a wish to go on as another program.
type upgrade struct {
	program string
	keeper  *keeper // whose wish it is; nil: a signal's
	seq     uint64  // the keeper's request
}

// refuse says why the old program goes on.
func (s *Server) refuse(u *upgrade, err error) {
	err = fmt.Errorf("cannot go on as %q: %w", u.program, err)
	if u.keeper == nil {
		s.warn("%w", err)
		return
	}
	u.keeper.fail(u.seq, err)
}

var (
	errLeaving = errors.New("the shim is about to leave")
	errNotNow  = errors.New("something is about to happen that would be lost")
)

// reexec replaces the program in place: same pid, children, descriptors and
// connection. The answer comes from the new program.
func (s *Server) reexec(u *upgrade) {
	switch {
	case s.upgrading && u.keeper == nil: // it is being done
		return
	case s.cfg.inProcess || s.cfg.Program == "":
		s.refuse(u, errors.New("this shim is part of another program and cannot be replaced"))
		return
	case s.upgrading:
		s.refuse(u, errors.New("an upgrade is under way"))
		return
	case s.asked || s.stopping != nil || s.leaving:
		s.refuse(u, errLeaving)
		return
	}
	s.upgrading = true
	version := s.stateVersion()
	go func() {
		err := checkProgram(u.program, s.cfg.Args, version)
		s.post(func() {
			if err == nil {
				err = s.replace(u)
			}
			s.notReplaced(u, err)
		})
	}()
}

// notReplaced deals with what replace returned.
func (s *Server) notReplaced(u *upgrade, err error) {
	if err == errNotNow { // soon
		time.AfterFunc(fastTick, func() {
			s.post(func() { s.notReplaced(u, s.replace(u)) })
		})
		return
	}
	s.upgrading = false
	s.refuse(u, err)
}

// checkProgram runs program once, to see that it starts with these arguments
// and understands us.
func checkProgram(program string, args []string, version int) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"--check-protocol"}, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("it does not start: %w", err)
	}
	return checkAnswer(strings.TrimSpace(string(out)), version)
}

// replaceable says why the program cannot be replaced; errNotNow: soon.
func (s *Server) replaceable(u *upgrade) error {
	switch {
	case s.asked || s.stopping != nil || s.leaving:
		return errLeaving
	case u.keeper != nil && (s.keeper != u.keeper || s.successor >= 0):
		return errors.New("it was asked for by a keeper that is gone")
	case s.spawning(), s.successor >= 0, s.keeper != nil && !s.keeper.greeted:
		return errNotNow
	}
	return nil
}

// replace executes the program. It returns only if that fails, and then the
// server goes on as before.
func (s *Server) replace(u *upgrade) error {
	if err := s.replaceable(u); err != nil {
		return err
	}
	keeper := s.keeper
	resume, err := s.pause()
	if err != nil {
		return err
	}
	if err = s.replaceable(u); err == nil && s.keeper != keeper {
		err = errNotNow // a new one, whose words are being read
	}
	if err != nil {
		resume()
		return err
	}
	st := s.state(u.seq)
	state, err := st.save()
	if err != nil {
		resume()
		return err
	}
	defer unix.Close(state)
	select {
	// The new program would not hear of it. Nor does it of one that comes in
	// the millisecond from here until it has its handlers: Go cannot start with
	// such a signal blocked.
	case <-s.cfg.Stop:
		resume()
		s.stopAsked()
		return errLeaving
	default:
	}
	kept := append(st.descriptors(), state)
	setCloseOnExec(kept, false)
	s.signals.ignoreHUP(true)
	argv := append([]string{u.program, "--resume", strconv.Itoa(state)}, s.cfg.Args...)
	err = syscall.Exec(u.program, argv, os.Environ())
	s.signals.ignoreHUP(false)
	setCloseOnExec(kept, true)
	resume()
	return err
}

// spawning: some child is neither there nor refused yet.
func (s *Server) spawning() bool {
	for _, c := range s.live {
		if c.starting {
			return true
		}
	}
	return s.probing > 0
}

// pause stops whatever reads from a descriptor, so that nothing is lost that
// was read and not dealt with yet. Children that end meanwhile stay zombies
// until they are waited for. The function it returns undoes it.
func (s *Server) pause() (resume func(), err error) {
	readers := map[<-chan struct{}]*os.File{}
	keeper := s.keeper
	if keeper != nil {
		readers[keeper.done] = keeper.conn.file
	}
	if s.listener != nil {
		readers[s.listener.done] = s.listener.file
	}
	for _, file := range readers {
		file.SetReadDeadline(time.Unix(1, 0))
	}
	timeout := time.After(lastWords)
	for done := range readers {
		for waiting := true; waiting && err == nil; {
			select {
			case call := <-s.calls:
				call()
			case <-done:
				waiting = false
			case <-timeout:
				err = errors.New("a reader does not pause")
			}
		}
	}
	resume = func() {
		switch {
		case s.keeper == nil || !s.keeper.greeted:
			s.startDraining()
		case s.keeper == keeper:
			keeper.resume()
		}
		if s.listener != nil {
			s.listener.resume(s)
		}
	}
	if err == nil && s.keeper != nil && s.keeper.conn.drain(lastWords) > 0 {
		err = errors.New("the keeper does not read")
	}
	if err != nil {
		resume()
		return nil, err
	}
	s.io.stop()
	s.io = newIOReader(s)
	s.stopDraining()
	return resume, nil
}

// setCloseOnExec changes the flag of all fds.
func setCloseOnExec(fds []int, on bool) {
	flag := 0
	if on {
		flag = unix.FD_CLOEXEC
	}
	for _, fd := range fds {
		unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
	}
}
