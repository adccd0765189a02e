package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The scripts that are installed are those that the program prints. They know
// no commands, which they ask for, and change with cobra only.
func TestInstalledCompletionsAreTheProgramsOwn(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		file := "../../packaging/completion/ffkeeperctl." + shell
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		root := newApp(strings.NewReader(""), &out, &errs).root()
		root.SetArgs([]string{"completion", shell})
		if err := root.Execute(); err != nil {
			t.Fatalf("completion %s: %v", shell, err)
		}
		if d := cmp.Diff(string(want), out.String()); d != "" {
			t.Errorf("run: bin/ffkeeperctl completion %s > packaging/completion/ffkeeperctl.%s\n%s", shell, shell, d)
		}
	}
}
