package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	FailedBuild string
	Test        string
	Output      string
	Elapsed     float64
}

type counter struct {
	out                     io.Writer
	passed, failed, skipped int

	output  map[testID]*strings.Builder
	parents map[testID]bool // has subtests, which are counted instead
	broken  map[testID]bool // a test, or a package, below which one has failed
	builds  map[string]*strings.Builder
	skips   []string
	again   map[testID]int // top-level tests that failed, and how many leaves of theirs
	hard    bool           // something failed that is no single test
}

// testID is a test of a package; the package itself has no Test.
type testID struct{ Package, Test string }

func newCounter(out io.Writer) *counter {
	return &counter{
		out:     out,
		output:  map[testID]*strings.Builder{},
		parents: map[testID]bool{},
		broken:  map[testID]bool{},
		builds:  map[string]*strings.Builder{},
		again:   map[testID]int{},
	}
}

func (c *counter) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(c.out, "%s", line) // not from a test: show it
			} else {
				c.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *counter) take(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		add(c.builds, e.ImportPath, e.Output)
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			c.parents[testID{e.Package, e.Test[:i]}] = true
		}
	case "output":
		add(c.output, id, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.packageDone(e)
		} else {
			c.testDone(id, e)
		}
	}
}

func add[K comparable](m map[K]*strings.Builder, key K, s string) {
	b := m[key]
	if b == nil {
		b = &strings.Builder{}
		m[key] = b
	}
	b.WriteString(s)
}

func (c *counter) testDone(id testID, e event) {
	text := ""
	if b := c.output[id]; b != nil {
		text = b.String()
	}
	delete(c.output, id)
	leaf := !c.parents[id]
	switch e.Action {
	case "pass":
		if leaf {
			c.passed++
		}
	case "skip":
		if leaf {
			c.skipped++
			c.skips = append(c.skips, e.Package+" "+e.Test+": "+reason(text))
		}
	case "fail":
		// A race or a panic has happened, whatever a second run does.
		c.hard = c.hard || strings.Contains(text, "DATA RACE") || strings.Contains(text, "race detected") || strings.Contains(text, "panic:")
		if !c.broken[id] { // else it has been counted below
			c.failed++
			top, _, _ := strings.Cut(id.Test, "/")
			c.again[testID{id.Package, top}]++
		}
		for above := id; above.Test != ""; {
			above.Test = above.Test[:max(0, strings.LastIndexByte(above.Test, '/'))]
			c.broken[above] = true
		}
		fmt.Fprintf(c.out, "%s\n%s", e.Package, text)
	}
}

// reason is what a test logged when it skipped, on one line.
func reason(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			words = append(words, line)
		}
	}
	return strings.Join(words, " ")
}

func (c *counter) packageDone(e event) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(c.out, "ok    %s %.1fs\n", e.Package, e.Elapsed)
	case "fail":
		fmt.Fprintf(c.out, "FAIL  %s %.1fs\n", e.Package, e.Elapsed)
		if !c.broken[testID{Package: e.Package}] { // not built, a time-out, a TestMain that failed
			c.failed++
			c.hard = true
		}
		if b := c.builds[e.FailedBuild]; b != nil {
			fmt.Fprint(c.out, b.String())
		}
		c.leftOver(e.Package)
	}
}

// leftOver shows the output of the package and of its tests that never ended.
func (c *counter) leftOver(pkg string) {
	var ids []testID
	for id := range c.output {
		if id.Package == pkg {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b testID) int { return strings.Compare(a.Test, b.Test) })
	for _, id := range ids {
		fmt.Fprint(c.out, c.output[id].String())
	}
}

func (c *counter) summary() {
	if len(c.skips) > 0 {
		fmt.Fprintf(c.out, "\nNOT TESTED HERE:\n")
		for _, s := range c.skips {
			fmt.Fprintf(c.out, "  %s\n", s)
		}
	}
	fmt.Fprintf(c.out, "\n%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
}
