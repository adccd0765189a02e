package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sources(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("src/*.md")
	if err != nil || len(list) < 5 {
		t.Fatalf("%d pages, %v", len(list), err)
	}
	return list
}

func TestPagesAreUpToDate(t *testing.T) {
	for _, source := range sources(t) {
		want, err := page("../..", source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(pageName(source))
		if d := cmp.Diff(want, string(got)); d != "" || err != nil {
			t.Errorf("the page of %s is of older sources; run: make man\n%v %s", pageName(source), err, d)
		}
	}
}

// Every page is installed where man looks for its section, and no other.
func TestPagesAreInstalled(t *testing.T) {
	layout, err := os.ReadFile("../dev/layout")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(string(layout), "PREFIX/share/man/"), len(sources(t)); got != want {
		t.Errorf("packaging/dev/layout has %d pages, there are %d", got, want)
	}
	for _, source := range sources(t) {
		name := pageName(source)
		section := strings.TrimPrefix(filepath.Ext(name), ".")
		if !regexp.MustCompile(`(?m)^0644 packaging/man/` + regexp.QuoteMeta(name) + ` +PREFIX/share/man/man` + section + `/` + regexp.QuoteMeta(name) + `$`).Match(layout) {
			t.Errorf("packaging/dev/layout lacks %s", name)
		}
	}
}

func TestManTakesPagesWithoutWarning(t *testing.T) {
	for _, source := range sources(t) {
		if out, err := exec.Command("mandoc", "-Tlint", "-Wwarning", pageName(source)).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("mandoc %s: %v\n%s", pageName(source), err, out)
		}
	}
}

// What the two daemons print of themselves is in their pages.
func TestPagesHaveEveryArgument(t *testing.T) {
	for _, c := range []struct{ code, page, flags string }{
		{"../../cmd/ffkeeper-shim/options.go", "src/ffkeeper-shim.8.md", `(?m)^ +(--[a-z-]+)`},
		{"../../cmd/ffkeeperd/commandline.go", "src/ffkeeperd.8.md", `case "(?:-h", ")?(--[a-z-]+)"`},
	} {
		code, err := os.ReadFile(c.code)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(c.page)
		if err != nil {
			t.Fatal(err)
		}
		flags := regexp.MustCompile(c.flags).FindAllStringSubmatch(string(code), -1)
		if len(flags) < 3 {
			t.Fatalf("%s: only %q found", c.code, flags)
		}
		for _, f := range flags {
			if !strings.Contains(string(text), "\n| `"+f[1]+"`") {
				t.Errorf("%s lacks %s", c.page, f[1])
			}
		}
		if got := strings.Count(string(text), "\n| `--"); got != len(flags) {
			t.Errorf("%s has %d flags, the program %d", c.page, got, len(flags))
		}
	}
}

// Running text becomes what groff shows as that text, whatever it has.
func TestRoffEscapes(t *testing.T) {
	for text, want := range map[string]string{
		"a `-x` b":                    `a \fB\-x\fP b` + "\n",
		".TH is no `macro`":           `\&.TH is no \fBmacro\fP` + "\n",
		`a \b …`:                      `a \eb \[u2026]` + "\n",
		"**Bold `code`** [t](x.md)":   `\fBBold code\fP t` + "\n",
		"see [here](https://a.b/c-d)": `see here <https:\://a.b/c\-d>` + "\n",
	} {
		if got := fold(inline(text)); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	got := roff(parse("| a | value | default | meaning |\n|---|---|---|---|\n| `x` | n | 1 | what \\| it is |\n"))
	if want := ".TP\n\\fBx\\fP  n\nwhat | it is\n.br\nDefault: 1\n"; got != want {
		t.Errorf("a table becomes %q, want %q", got, want)
	}
}
