package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// startAgent lets polkit ask for a password on this terminal, as systemctl
// does, through polkit's own pkttyagent; on a desktop, where there is an agent
// already, that one asks (--fallback). Without any of what it takes nothing
// happens, and a refusal is what polkit decides without asking. The function
// returned ends the agent.
func (a *app) startAgent(ctx context.Context) func() {
	none := func() {}
	if _, terminal := terminalOf(a.in); !terminal || a.noAsk || os.Geteuid() == 0 || a.bus != "system" {
		return none
	}
	program, err := exec.LookPath("pkttyagent")
	if err != nil {
		return none
	}
	ready, notify, err := os.Pipe()
	if err != nil {
		return none
	}
	defer ready.Close()
	agent := exec.CommandContext(ctx, program,
		"--process", strconv.Itoa(os.Getpid()), "--notify-fd", "3", "--fallback")
	agent.Stdin, agent.Stdout, agent.Stderr = os.Stdin, os.Stdout, os.Stderr
	agent.ExtraFiles = []*os.File{notify}
	err = agent.Start()
	_ = notify.Close()
	if err != nil {
		return none
	}
	// it closes the descriptor when it is registered, or has failed to
	_ = ready.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = ready.Read(make([]byte, 1))
	return func() {
		_ = agent.Process.Signal(syscall.SIGTERM)
		_ = agent.Wait()
	}
}
