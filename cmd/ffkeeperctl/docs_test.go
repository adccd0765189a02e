package main

import (
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manual is docs/ffkeeperctl.md by headings: "### list" is section "list".
func manual(t *testing.T) (whole string, sections map[string]string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/ffkeeperctl.md")
	if err != nil {
		t.Fatal(err)
	}
	sections = map[string]string{}
	name := ""
	for l := range strings.Lines(string(b)) {
		if m := regexp.MustCompile(`^#+ (.*)\n`).FindStringSubmatch(l); m != nil {
			name = m[1]
			continue
		}
		sections[name] += l
	}
	return string(b), sections
}

// flagsOf are the flags in the first column of a section's table: "-n --lines".
func flagsOf(section string) []string {
	var out []string
	for l := range strings.Lines(section) {
		if cells := strings.Split(l, "|"); len(cells) > 2 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`-") {
			out = append(out, strings.NewReplacer("`", "", ",", "").Replace(strings.TrimSpace(cells[1])))
		}
	}
	slices.Sort(out)
	return out
}

func flagNames(set *pflag.FlagSet) []string {
	var out []string
	set.VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + " " + name
		}
		out = append(out, name)
	})
	slices.Sort(out)
	return out
}

func tree() *cobra.Command {
	root := newApp(strings.NewReader(""), io.Discard, io.Discard).root()
	root.InitDefaultHelpCmd()
	return root
}

func TestManualHasEveryCommandAndFlagAndNoOther(t *testing.T) {
	_, sections := manual(t)
	root := tree()
	global := append(flagNames(root.PersistentFlags()), "-h --help")
	slices.Sort(global)
	if got := flagsOf(sections["Flags of every command"]); !slices.Equal(got, global) {
		t.Errorf("global flags: the manual has %q, the program %q", got, global)
	}
	commands := map[string]bool{}
	for _, c := range root.Commands() {
		commands[c.Name()] = true
		section, ok := sections[c.Name()]
		if !ok {
			t.Errorf("%s: not in the manual", c.Name())
			continue
		}
		usage, _, _ := strings.Cut(strings.TrimLeft(section, "`\n"), "`")
		if want := "ffkeeperctl " + c.Use; c.Name() != "help" && usage != want {
			t.Errorf("%s: the manual says %q, the program %q", c.Name(), usage, want)
		}
		own := c.NonInheritedFlags()
		if f := own.Lookup("help"); f != nil {
			t.Errorf("%s: has a help flag of its own", c.Name())
		}
		if got, want := flagsOf(section), flagNames(own); !slices.Equal(got, want) {
			t.Errorf("%s: the manual has %q, the program %q", c.Name(), got, want)
		}
		for _, alias := range c.Aliases {
			if !strings.Contains(section, "`"+alias+"`") {
				t.Errorf("%s: alias %s is not in the manual", c.Name(), alias)
			}
		}
	}
	// a command is a heading of all small letters
	for name := range sections {
		if regexp.MustCompile(`^[a-z-]+$`).MatchString(name) && name != "ffkeeperctl" && !commands[name] {
			t.Errorf("%s: in the manual, but no command", name)
		}
	}
}

func TestEveryCommandIsHelpedAndCompleted(t *testing.T) {
	for _, c := range tree().Commands() {
		if c.Short == "" || c.GroupID == "" {
			t.Errorf("%s: no short help, or in no group", c.Name())
		}
		for l := range strings.Lines(c.Long) {
			if n := len([]rune(l)); n > 81 {
				t.Errorf("%s: help line of %d characters: %s", c.Name(), n, l)
			}
		}
		if strings.Contains(c.Use, "NAME") && c.ValidArgsFunction == nil {
			t.Errorf("%s: names are not completed", c.Name())
		}
	}
}

// jsonKeys are the keys of a type's JSON, with * where they may be left out.
func jsonKeys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("json")
		if !ok && !f.Anonymous {
			continue
		}
		if !ok {
			ft := f.Type
			if ft.Kind() == reflect.Pointer {
				continue // properties: a table of their own
			}
			out = append(out, jsonKeys(ft)...)
			continue
		}
		name, rest, _ := strings.Cut(tag, ",")
		if rest == "omitempty" {
			name += "*"
		}
		out = append(out, name)
	}
	return out
}

var keyPattern = regexp.MustCompile("`([a-z_]+)`(\\*?)")

func TestManualHasEveryJSONKeyAndNoOther(t *testing.T) {
	whole, _ := manual(t)
	keysOfTable := func(from, to string) []string {
		_, part, _ := strings.Cut(whole, from)
		part, _, _ = strings.Cut(part, to)
		var out []string
		for l := range strings.Lines(part) {
			if cells := strings.Split(l, "|"); len(cells) > 2 {
				for _, m := range keyPattern.FindAllStringSubmatch(cells[1], -1) {
					out = append(out, m[1]+m[2])
				}
			}
		}
		return out
	}
	compare := func(what string, got, want []string) {
		t.Helper()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the manual has\n%q, the program\n%q", what, got, want)
		}
	}
	compare("streams", keysOfTable("### Streams", "`status` adds"),
		slices.DeleteFunc(jsonKeys(reflect.TypeFor[view]()), func(k string) bool { return k == "lines*" }))
	compare("status", keysOfTable("`status` adds", "### Others"), append(jsonKeys(reflect.TypeFor[properties]()), "lines*"))

	_, others, _ := strings.Cut(whole, "### Others")
	others, _, _ = strings.Cut(others, "## Output")
	for command, typ := range map[string]reflect.Type{
		"`start`": reflect.TypeFor[result](), "`reload`": reflect.TypeFor[change](), "`monitor`": reflect.TypeFor[event](),
		"`logs`": reflect.TypeFor[journalLine](), "`verify`": reflect.TypeFor[fileError](), "`cat`": reflect.TypeFor[catFile](),
		"`import`":    reflect.TypeFor[imported](),
		"`is-active`": reflect.TypeFor[answer](), "`version`": reflect.TypeFor[versions](),
	} {
		for l := range strings.Lines(others) {
			if cells := strings.Split(l, "|"); len(cells) > 2 && strings.HasPrefix(strings.TrimSpace(cells[1]), command) {
				var got []string
				for _, m := range keyPattern.FindAllStringSubmatch(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(cells[2], ""), -1) {
					got = append(got, m[1]+m[2])
				}
				compare(command, got, jsonKeys(typ))
			}
		}
	}
}

func TestManualHasTheExitCodesOfTheHelp(t *testing.T) {
	_, sections := manual(t)
	for _, m := range regexp.MustCompile(`(?m)^  (\d+) `).FindAllStringSubmatch(exitCodesHelp, -1) {
		if !strings.Contains(sections["Exit codes"], "| "+m[1]+" |") {
			t.Errorf("exit code %s is not in the manual", m[1])
		}
	}
}
