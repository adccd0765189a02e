// Testcount runs "go test -json" with the arguments given to it, shows each
// package's result, the whole output of what failed and the reason of what
// was skipped, and ends with one line: N passed, N failed, N skipped. A
// package that does not build or dies counts as one failure. It exits with 0
// only if nothing failed and something passed.
//
// Only leaves count: a test whose subtests ran is counted through them.
//
// The tests run real processes on a machine that others may load. A few that
// failed are therefore run once more, alone: what fails again has failed; what
// passes then is counted as passed, and named for whoever looks into it.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// maxAgain is how many failed tests are run again: more than a few have a
// common cause.
const maxAgain = 5

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	c, err := count(args, stdout, stderr)
	if c == nil {
		fmt.Fprintf(stderr, "testcount: cannot run go test: %v\n", err)
		return 2
	}
	if n := len(c.again); n > 0 && n <= maxAgain && !c.hard && err == nil {
		c.runAgain(args, stderr)
	}
	c.summary()
	if c.failed > 0 || c.passed == 0 || err != nil {
		return 1
	}
	return 0
}

// count runs go test once. The error says that its output could not be read.
func count(args []string, stdout, stderr io.Writer) (*counter, error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	c := newCounter(stdout)
	readErr := c.read(out)
	waitErr := cmd.Wait()
	if readErr != nil {
		fmt.Fprintf(stderr, "testcount: cannot read the output of go test: %v\n", readErr)
	}
	if waitErr != nil && c.failed == 0 {
		c.failed++ // go test itself failed, for example over a wrong argument
		c.hard = true
		fmt.Fprintf(stderr, "testcount: go test: %v\n", waitErr)
	}
	return c, readErr
}

// runAgain gives each failed test a second run, and counts what passes then.
func (c *counter) runAgain(args []string, stderr io.Writer) {
	tests := slices.SortedFunc(maps.Keys(c.again), func(a, b testID) int {
		return strings.Compare(a.Package+" "+a.Test, b.Package+" "+b.Test)
	})
	var passed []string
	for _, id := range tests {
		fmt.Fprintf(c.out, "\nonce more, alone: %s %s\n", id.Package, id.Test)
		only := []string{"-run", "^" + id.Test + "$", id.Package}
		for _, a := range slices.Backward(args) {
			if !strings.HasPrefix(a, "./") {
				only = slices.Insert(only, 0, a)
			}
		}
		second, err := count(only, c.out, stderr)
		if err != nil || second == nil || second.failed > 0 || second.passed == 0 {
			continue
		}
		c.failed -= c.again[id]
		c.passed += c.again[id]
		passed = append(passed, id.Package+" "+id.Test)
	}
	if len(passed) > 0 {
		fmt.Fprintf(c.out, "\nFAILED ONCE AND PASSED ALONE:\n  %s\n", strings.Join(passed, "\n  "))
	}
}
