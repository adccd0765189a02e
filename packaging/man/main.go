// Command man writes the manual pages into packaging/man: each is made of a
// page of src/, with what it includes of docs/, of the table of events and of
// the description of the bus, all of which are tested against the code.
//
//	go run ./packaging/man
//
// A test holds the pages against it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	sources, err := filepath.Glob("packaging/man/src/*.md")
	if err == nil && len(sources) == 0 {
		err = fmt.Errorf("run it in the root of the sources")
	}
	for _, source := range sources {
		var text string
		if text, err = page(".", source); err != nil {
			break
		}
		if err = os.WriteFile(filepath.Join("packaging/man", pageName(source)), []byte(text), 0o644); err != nil {
			break
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// pageName is the file of the page made from a source: ffkeeperd.8.
func pageName(source string) string {
	return strings.TrimSuffix(filepath.Base(source), ".md")
}
