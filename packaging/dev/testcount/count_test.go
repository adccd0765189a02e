package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module writes a throw-away module and runs testcount in it.
func module(t *testing.T, files map[string]string) (code int, stdout string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "")
	var out, errs bytes.Buffer
	code = run([]string{"./..."}, &out, &errs)
	if errs.Len() > 0 {
		t.Logf("stderr: %s", errs.String())
	}
	return code, out.String()
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func TestCountsLeaves(t *testing.T) {
	code, out := module(t, map[string]string{"a/a_test.go": `package a
import "testing"
func TestPlain(t *testing.T) {}
func TestParent(t *testing.T) { t.Run("x", func(*testing.T) {}); t.Run("y", func(*testing.T) {}) }
func TestSkipped(t *testing.T) { t.Skip("no machine") }
`})
	if code != 0 || lastLine(out) != "3 passed, 0 failed, 1 skipped" {
		t.Errorf("code %d\n%s", code, out)
	}
	if !regexp.MustCompile(`NOT TESTED HERE:\n  m/a TestSkipped: .*no machine\n`).MatchString(out) {
		t.Errorf("the reason of the skip is not shown:\n%s", out)
	}
}

func TestFailureShowsOutputAndExits1(t *testing.T) {
	code, out := module(t, map[string]string{"a/a_test.go": `package a
import "testing"
func TestParent(t *testing.T) {
	t.Run("deep", func(t *testing.T) { t.Run("bad", func(t *testing.T) { t.Error("what went wrong") }) })
	t.Run("good", func(*testing.T) {})
}
func TestItself(t *testing.T) { t.Run("good", func(*testing.T) {}); t.Error("parent alone") }
`})
	if code != 1 || lastLine(out) != "2 passed, 2 failed, 0 skipped" {
		t.Errorf("code %d\n%s", code, out)
	}
	for _, want := range []string{"what went wrong", "parent alone", "FAIL  m/a"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q in\n%s", want, out)
		}
	}
}

func TestBrokenBuildIsAFailure(t *testing.T) {
	code, out := module(t, map[string]string{
		"a/a_test.go": "package a\nfunc f() { undefinedName() }\n",
		"b/b_test.go": "package b\nimport \"testing\"\nfunc TestB(t *testing.T) {}\n",
	})
	if code != 1 || lastLine(out) != "1 passed, 1 failed, 0 skipped" || !strings.Contains(out, "undefinedName") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestDyingPackageIsAFailure(t *testing.T) {
	code, out := module(t, map[string]string{"a/a_test.go": `package a
import ("testing"; "os"; "fmt")
func TestMain(m *testing.M) { fmt.Println("cannot set up"); os.Exit(3) }
func TestA(t *testing.T) {}
`})
	if code != 1 || lastLine(out) != "0 passed, 1 failed, 0 skipped" || !strings.Contains(out, "cannot set up") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestNothingTestedIsAFailure(t *testing.T) {
	code, out := module(t, map[string]string{"a/a.go": "package a\n"})
	if code != 1 || lastLine(out) != "0 passed, 0 failed, 0 skipped" {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestWhatFailsOnceIsRunAgainAlone(t *testing.T) {
	code, out := module(t, map[string]string{"a/a_test.go": `package a
import ("os"; "testing")
func TestUnlucky(t *testing.T) {
	if f, err := os.OpenFile("twice", os.O_CREATE|os.O_EXCL, 0o600); err == nil { f.Close(); t.Error("bad luck") }
}
func TestGood(t *testing.T) {}
`})
	if code != 0 || lastLine(out) != "2 passed, 0 failed, 0 skipped" || !strings.Contains(out, "FAILED ONCE AND PASSED ALONE:\n  m/a TestUnlucky") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestAPanicIsNotRunAgain(t *testing.T) {
	code, out := module(t, map[string]string{"a/a_test.go": `package a
import ("os"; "testing")
func TestPanics(t *testing.T) {
	if f, err := os.OpenFile("twice", os.O_CREATE|os.O_EXCL, 0o600); err == nil { f.Close(); panic("no luck at all") }
}
`})
	if code != 1 || strings.Contains(out, "once more") {
		t.Errorf("code %d\n%s", code, out)
	}
}
