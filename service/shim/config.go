package shim

import (
	"os"
	"time"
)

// Config says how a server runs. The zero value serves nobody.
type Config struct {
	Conn     int    // a connected SOCK_SEQPACKET socket to the keeper; 0: none
	Listener int    // a listening SOCK_SEQPACKET socket; 0: none
	Version  string // of the program, for Hello

	// Stay: without a keeper the shim goes on, drains the pipes and waits for
	// the next one. Else it stops the children and ends.
	Stay bool
	// StopWait is the time between TERM and KILL then, and on Stop; 0: 10 s.
	StopWait time.Duration
	// AllowUIDs may connect besides root and the shim's own uid.
	AllowUIDs []uint32
	// Helper is the program run as "Helper exec-helper" for children with a
	// nice value, umask, ...; "": those cannot be started.
	Helper string
	// Program is what Reexec executes where it names no other; "": refused.
	Program string
	// Args are the arguments for Program, without its name.
	Args []string

	// Cgroup: the cgroup v2 that this process is in belongs to it. Every child
	// gets one of its own below, with its limits in force. Where that cannot be
	// the server warns and goes on without.
	Cgroup bool

	// UpgradeOnHUP: at SIGHUP the server goes on as Program, as at a Reexec; a
	// refusal is a warning.
	UpgradeOnHUP bool
	// Stop, when it is closed or receives, makes the server stop all children
	// and end.
	Stop <-chan os.Signal
	// Beat is called by the server's goroutine at once and every BeatEvery: proof of life
	// for a watchdog.
	Beat      func()
	BeatEvery time.Duration

	// inProcess: the server shares its process with the keeper and with
	// children of other parents.
	inProcess bool
	// strangerWait and oldKernel are for tests.
	strangerWait time.Duration
	oldKernel    bool
}
