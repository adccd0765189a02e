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

// CheckAnswer is what ffkeeper-shim --check-protocol prints: proof that the
// program starts, and can go on from the state another one leaves.
func CheckAnswer() string {
	return fmt.Sprintf("ffkeeper-shim protocol %d state %d", Version, stateVersion)
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
	if got := strings.TrimSpace(string(out)); got != CheckAnswer() {
		return fmt.Errorf("it answers %.100q, not %q", got, CheckAnswer())
	}
	return nil
}

// replace executes program. It returns only if that fails, and then the server
// goes on as before; or with nil, to try again soon.
func (s *Server) replace(program string, k *keeper, seq uint64) error {
	resume := s.pause()
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
func (s *Server) pause() (resume func()) {
	past := time.Unix(1, 0)
	ended := make(chan struct{})
	readers := 0
	if s.keeper != nil {
		readers++
		k := s.keeper
		k.conn.file.SetReadDeadline(past)
		go func() { <-k.done; ended <- struct{}{} }()
	}
	if s.listener != nil {
		readers++
		l := s.listener
		l.file.SetReadDeadline(past)
		go func() { <-l.done; ended <- struct{}{} }()
	}
	for readers > 0 {
		select {
		case call := <-s.calls:
			call()
		case <-ended:
			readers--
		}
	}
	s.io.stop()
	if s.keeper != nil {
		s.keeper.conn.drain(lastWords)
	}
	s.stopDraining()
	return func() {
		s.io = newIOReader(s)
		if s.keeper != nil {
			s.keeper.start()
		} else {
			s.startDraining()
		}
		if s.listener != nil {
			s.serve(s.listener)
		}
	}
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

// Reexec makes the shim go on as program ("": the one it was started from), in
// place, with the same children, descriptors and connection. It returns when
// the new program has taken over, or with the reason why the old one goes on.
func (c *Client) Reexec(ctx context.Context, program string) error {
	_, err := c.roundTrip(ctx, &message{Type: msgReexec, Path: text(program)})
	return err
}
