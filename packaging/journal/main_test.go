package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/stream"
)

func TestCatalogFileIsUpToDate(t *testing.T) {
	got, err := os.ReadFile("ffkeeper.catalog")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(catalog(), string(got)); d != "" {
		t.Errorf("run: go run ./packaging/journal > packaging/journal/ffkeeper.catalog\n%s", d)
	}
}

func TestEveryEventHasAnIDOfItsOwn(t *testing.T) {
	seen := map[string]stream.Kind{}
	for _, e := range stream.EventKinds() {
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(e.MessageID) {
			t.Errorf("%s: %q is no message id", e.Kind, e.MessageID)
		}
		if other, ok := seen[e.MessageID]; ok {
			t.Errorf("%s and %s have one message id", e.Kind, other)
		}
		seen[e.MessageID] = e.Kind
	}
}

func TestEveryReasonIsExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../service/stream/vocabulary.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if value != "" {
			want = append(want, value)
		}
		return true
	})
	explained := map[string]bool{}
	for _, r := range reasons() {
		explained[string(r.Reason)] = true
	}
	for _, r := range want {
		if explained[r] {
			got = append(got, r)
		}
	}
	if len(want) == 0 || len(want) != len(explained) {
		t.Errorf("%d reasons in the vocabulary, %d explained", len(want), len(explained))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// systemd itself reads the catalog and finds every entry.
func TestJournalctlTakesCatalog(t *testing.T) {
	if _, err := exec.LookPath("journalctl"); err != nil {
		t.Skip("journalctl is not installed")
	}
	root := t.TempDir()
	text, err := os.ReadFile("ffkeeper.catalog")
	if err == nil {
		err = os.MkdirAll(root+"/usr/lib/systemd/catalog", 0o755)
	}
	if err == nil {
		err = os.WriteFile(root+"/usr/lib/systemd/catalog/ffkeeper.catalog", text, 0o644)
	}
	if err == nil {
		err = os.MkdirAll(root+"/var/lib/systemd/catalog", 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("journalctl", "--root="+root, "--update-catalog").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("update: %v: %s", err, out)
	}
	out, err := exec.Command("journalctl", "--root="+root, "--list-catalog").CombinedOutput()
	if err != nil {
		t.Fatalf("list: %v: %s", err, out)
	}
	for _, e := range stream.EventKinds() {
		if !strings.Contains(string(out), e.MessageID) {
			t.Errorf("journalctl does not find %s", e.Kind)
		}
	}
}
