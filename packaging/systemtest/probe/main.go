// Command probe is run by the system tests inside a sandbox, or as some user,
// and says what it can do there. It is built without cgo, so that it runs in
// any of them.
//
//	probe try FILE      carries out FILE's attempts, a line each; see attempts.go
//	probe call NAME...  calls the keeper's methods; see calls.go
//	probe agent PID     is polkit's agent for a process; see agent.go
//	probe flood         calls without end, until it is killed
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fatal("no command")
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "try":
		try(args[0])
	case "call":
		call(args)
	case "agent":
		agent(args[0])
	case "flood":
		flood()
	default:
		fatal("unknown command " + os.Args[1])
	}
}

func fatal(args ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"probe:"}, args...)...)
	os.Exit(1)
}

// try prints "probe: LINE -> yes" or "probe: LINE -> no (why)" for each line of a
// file, and "probe: end".
func try(file string) {
	f, err := os.Open(file)
	if err != nil {
		fatal(err)
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		attempt, ok := attempts[words[0]]
		if !ok {
			fatal("no attempt", words[0])
		}
		answer := "yes"
		if err := attempt(words[1]); err != nil {
			answer = "no (" + strings.ReplaceAll(err.Error(), "\n", " ") + ")"
		}
		fmt.Printf("probe: %s -> %s\n", lines.Text(), answer)
	}
	fmt.Println("probe: end")
}
