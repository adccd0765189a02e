package streamfile

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is found into testdata and docs")

// Each archive is a tree of files with the directories etc and usr, and what
// loading them says.
func TestErrorTexts(t *testing.T) {
	archives, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, path := range archives {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := make(map[string]string)
			want := &a.Files[len(a.Files)-1]
			for _, f := range a.Files[:len(a.Files)-1] {
				files[f.Name] = string(f.Data)
				if bytes.HasPrefix(f.Data, []byte("-> ")) {
					files[f.Name] = strings.TrimSpace(string(f.Data))
				}
			}
			if _, ok := files["etc/bom-crlf.stream"]; ok {
				files["etc/bom-crlf.stream"] = "\ufeff[Stream]\r\nExecStart=program \\\r\n  -x\r\nRestart=nein\r\n"
				files["etc/nul.stream"] = "[Stream]\nExecStart=program\n\x00"
				files["etc/utf16.stream"] = "\xff\xfe[\x00S\x00"
				files["etc/latin1.stream"] = "[Stream]\nDescription=f\xfcr\nExecStart=program \\\n  \xe4 \\\n  \xf6\nRestart=x\n"
			}
			root := tree(t, files)
			l := &Loader{Path: []string{filepath.Join(root, "etc"), filepath.Join(root, "usr")}, LookPath: found}
			got := strings.ReplaceAll(describe(l.Load()), root, "")
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("want -, got + (go test -update accepts it):\n%s", diff)
			}
		})
	}
}

func describe(s *Set) string {
	var b strings.Builder
	for _, e := range s.Errors {
		fmt.Fprintf(&b, "%v\n", e)
	}
	for _, e := range s.sorted() {
		switch {
		case e.Masked:
			fmt.Fprintf(&b, "[%s] masked\n", e.Name)
		case e.Definition != nil:
			fmt.Fprintf(&b, "[%s] good\n", e.Name)
		default:
			fmt.Fprintf(&b, "[%s] broken\n", e.Name)
		}
		for _, err := range e.Errors {
			fmt.Fprintf(&b, "%v\n", err)
		}
		for _, err := range e.Warnings {
			fmt.Fprintf(&b, "warning: %v\n", err)
		}
	}
	return b.String()
}
