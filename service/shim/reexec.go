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
	return fmt.Sprintf(checkFormat, Version, Version, stateVersion, stateVersion)
}

// checkAnswer says whether the program that gave answer can go on from here.
func checkAnswer(answer string) error {
	var protocol, state [2]int
	_, err := fmt.Sscanf(answer, checkFormat, &protocol[0], &protocol[1], &state[0], &state[1])
	if err != nil {
		return fmt.Errorf("it answers %.100q and not %q", answer, CheckAnswer())
	}
	if Version < protocol[0] || Version > protocol[1] || stateVersion < state[0] || stateVersion > state[1] {
		return fmt.Errorf("it understands protocol %d to %d and state %d to %d; this shim uses %d and %d",
			protocol[0], protocol[1], state[0], state[1], Version, stateVersion)
	}
	return nil
}

// reexec replaces the program in place: same pid, children, descriptors and
// connection. The answer comes from the new program.
func (s *Server) reexec(k *keeper, m *message) {
	program := string(m.Path)
	if program == "" {
		program = s.cfg.Program
	}
	refuse := func(err error) {
		s.upgrading = false
		k.fail(m.Seq, fmt.Errorf("cannot go on as %q: %w", program, err))
	}
	switch {
	case s.cfg.inProcess || s.cfg.Program == "":
		k.fail(m.Seq, errors.New("this shim is part of another program and cannot be replaced"))
		return
	case s.upgrading:
		k.fail(m.Seq, errors.New("an upgrade is under way"))
		return
	case s.stopping != nil || s.leaving:
		k.fail(m.Seq, errors.New("the shim is about to leave"))
		return
	}
	s.upgrading = true
	go func() {
		err := checkProgram(program)
		s.post(func() {
			if err != nil {
				refuse(err)
				return
			}
			if err := s.replace(program, k, m.Seq); err != nil {
				refuse(err)
			}
		})
	}()
}

// checkProgram runs program once, to see that it starts and understands us.
func checkProgram(program string) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--check-protocol")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("it does not start: %w", err)
	}
	return checkAnswer(strings.TrimSpace(string(out)))
}

// replace executes program. It returns only if that fails, and then the server
// goes on as before; or with nil, to try again soon.
func (s *Server) replace(program string, k *keeper, seq uint64) error {
	resume, err := s.pause()
	if err != nil {
		return err
	}
	if s.stopping != nil || s.leaving || s.keeper != k || s.successor >= 0 {
		resume()
		return errors.New("it was asked for by a keeper that is gone, or the shim is about to leave")
	}
	if s.spawning() {
		// The outcome would be lost. It comes soon.
		resume()
		time.AfterFunc(fastTick, func() {
			s.post(func() {
				if err := s.replace(program, k, seq); err != nil {
					s.upgrading = false
					k.fail(seq, err)
				}
			})
		})
		return nil
	}
	st := s.state(seq)
	state, err := st.save()
	if err != nil {
		resume()
		return err
	}
	defer unix.Close(state)
	select {
	case <-s.cfg.Stop: // the new program would not hear of it
		resume()
		s.stopAll()
		return errors.New("the shim is about to leave")
	default:
	}
	kept := append(st.descriptors(), state)
	setCloseOnExec(kept, false)
	argv := append([]string{program, "--resume", strconv.Itoa(state)}, s.cfg.Args...)
	err = syscall.Exec(program, argv, os.Environ())
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
	if s.keeper != nil {
		readers[s.keeper.done] = s.keeper.conn.file
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
		if s.keeper != nil {
			s.keeper.resume()
		} else {
			s.startDraining()
		}
		if s.listener != nil {
			s.listener.resume(s)
		}
	}
	if err == nil && s.keeper != nil && !s.keeper.conn.drain(lastWords) {
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
