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
// does, through polkit's own pkttyagent. Without any of what it takes nothing
// happens, and a refusal is what polkit decides without asking. The function
// returned ends the agent.
func (a *app) startAgent(ctx context.Context) func() {
	none := func() {}
	if _, terminal := terminalOf(a.in); !terminal || a.noAsk || len(a.hosts) > 0 || os.Geteuid() == 0 || a.bus != "system" {
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
	args := []string{"--process", strconv.Itoa(os.Getpid()), "--notify-fd", "3"}
	if os.Getenv("XDG_SESSION_ID") != "" {
		// Leaves it to a desktop's agent. Outside of a login session polkit
		// finds no fallback at all (seen with 122).
		args = append(args, "--fallback")
	}
	agent := exec.CommandContext(ctx, program, args...)
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
	a.asks = true
	return func() {
		a.asks = false
		_ = agent.Process.Signal(syscall.SIGTERM)
		_ = agent.Wait()
	}
}
