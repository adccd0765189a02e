package streamfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree makes files below a new directory; "-> target" makes a link, a name
// that ends in / a directory.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch target, link := strings.CutPrefix(text, "-> "); {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// found stands for any program.
func found(name string) (string, error) { return "/usr/bin/" + name, nil }

// load loads one directory with one stream of the given text.
func load(t testing.TB, text string) *Entry {
	t.Helper()
	root := tree(t, map[string]string{"cam1.stream": text})
	return loadFrom(t, &Loader{Path: []string{root}, LookPath: found})
}

func loadFrom(t testing.TB, l *Loader) *Entry {
	t.Helper()
	s := l.Load()
	for _, e := range s.Errors {
		t.Errorf("error of no stream: %v", e)
	}
	e := s.Streams["cam1"]
	if e == nil {
		t.Fatal("there is no stream cam1")
	}
	return e
}

// definition loads text, which must be right.
func definition(t testing.TB, text string) *Definition {
	t.Helper()
	e := load(t, text)
	if e.Definition == nil {
		t.Fatalf("%s\nis wrong:\n%s", text, texts(e.Errors))
	}
	return e.Definition
}

func texts(errs []*Error) string {
	var b strings.Builder
	for _, e := range errs {
		b.WriteString(e.Error() + "\n")
	}
	return b.String()
}

var noon = time.Date(2026, 11, 23, 2, 15, 0, 0, time.FixedZone("", 0))

// isCause reports whether one of errs is, or wraps, target.
func isCause(errs []*Error, target error) bool { return errors.Is(join(errs), target) }
