// Testcount runs "go test -json" with the arguments given to it, shows each
// package's result, the whole output of what failed and the reason of what
// was skipped, and ends with one line: N passed, N failed, N skipped. A
// package that does not build or dies counts as one failure. It exits with 0
// only if nothing failed and something passed.
//
// Only leaves count: a test whose subtests ran is counted through them.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintf(stderr, "testcount: cannot run go test: %v\n", err)
		return 2
	}
	c := newCounter(stdout)
	readErr := c.read(out)
	waitErr := cmd.Wait()
	if readErr != nil {
		fmt.Fprintf(stderr, "testcount: cannot read the output of go test: %v\n", readErr)
	}
	if waitErr != nil && c.failed == 0 {
		c.failed++ // go test itself failed, for example over a wrong argument
		fmt.Fprintf(stderr, "testcount: go test: %v\n", waitErr)
	}
	c.summary()
	if c.failed > 0 || c.passed == 0 || readErr != nil {
		return 1
	}
	return 0
}
