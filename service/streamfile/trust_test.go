package streamfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// somebody is neither root nor any owner.
const somebody = 65534

// mode sets mode bits, and give an owner, where the umask and the kernel have a
// say otherwise.
func mode(path string, m fs.FileMode) func(string) error {
	return func(root string) error { return os.Chmod(filepath.Join(root, path), m) }
}

func give(path string, uid int) func(string) error {
	return func(root string) error { return os.Lchown(filepath.Join(root, path), uid, -1) }
}

func TestWhatOthersCouldChangeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(root string) error
		refused string // a stream; "etc": the directory; "": nothing
		want    string // of the error; ROOT stands for the tree
		root    bool   // it takes root to arrange
	}{
		"nothing":                    {func(string) error { return nil }, "", "", false},
		"directory, all":             {mode("etc", 0o777), "etc", "ROOT/etc: cannot use the directory: others may write to ROOT/etc (mode 0777), and what is in a stream file runs; chmod go-w ROOT/etc", false},
		"directory, group":           {mode("etc", 0o775), "etc", "others may write to ROOT/etc (mode 0775)", false},
		"directory, sticky":          {mode("etc", 0o777|fs.ModeSticky), "etc", "others may write to ROOT/etc (mode 1777)", false},
		"directory, somebody's":      {give("etc", somebody), "etc", "ROOT/etc belongs to nobody, and what is in a stream file runs; chown root ROOT/etc", true},
		"directory above":            {mode(".", 0o777), "etc", "ROOT/etc: cannot use the directory: others may write to ROOT (mode 0777)", false},
		"directory above, sticky":    {mode(".", 0o777|fs.ModeSticky), "", "", false},
		"file, all":                  {mode("etc/cam1.stream", 0o666), "cam1", "ROOT/etc/cam1.stream: cannot use it: others may write to ROOT/etc/cam1.stream (mode 0666), and what is in a stream file runs; chmod go-w ROOT/etc/cam1.stream", false},
		"file, group":                {mode("etc/cam1.stream", 0o660), "cam1", "(mode 0660)", false},
		"file, for few to read":      {mode("etc/cam1.stream", 0o440), "", "", false},
		"file, somebody's":           {give("etc/cam1.stream", somebody), "cam1", "cam1.stream belongs to nobody", true},
		"drop-in directory":          {mode("etc/cam1.stream.d", 0o777), "cam1", "x.conf: cannot use it: others may write to ROOT/etc/cam1.stream.d (mode 0777)", false},
		"drop-in":                    {mode("etc/cam1.stream.d/x.conf", 0o602), "cam1", "others may write to ROOT/etc/cam1.stream.d/x.conf (mode 0602)", false},
		"drop-in, somebody's":        {give("etc/cam1.stream.d/x.conf", somebody), "cam1", "x.conf belongs to nobody", true},
		"template":                   {mode("etc/cam@.stream", 0o666), "cam@1", "cam@.stream: cannot use it: others may write to ROOT/etc/cam@.stream (mode 0666)", false},
		"link of an instance":        {give("etc/cam@1.stream", somebody), "cam@1", "cam@1.stream belongs to nobody", true},
		"template elsewhere":         {mode("elsewhere/door@.stream", 0o606), "door@1", "others may write to ROOT/elsewhere/door@.stream (mode 0606)", false},
		"link's own mode":            {mode("elsewhere/real", 0o644), "", "", false},
		"what a link leads to":       {mode("elsewhere/real", 0o666), "link", "link.stream: cannot use it: others may write to ROOT/elsewhere/real (mode 0666)", false},
		"where what it leads to is":  {mode("elsewhere", 0o777), "link", "others may write to ROOT/elsewhere (mode 0777)", false},
		"link, somebody's":           {give("etc/link.stream", somebody), "link", "link.stream belongs to nobody", true},
		"a link to a link":           {mode("elsewhere/far", 0o606), "links", "others may write to ROOT/elsewhere/far (mode 0606)", false},
		"an environment file is not": {mode("elsewhere/env", 0o666), "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && os.Getuid() != 0 {
				t.Skip("SKIPPED: needs root")
			}
			root := tree(t, map[string]string{
				"etc/cam1.stream":          minimal + "EnvironmentFile=-/no/such\n",
				"etc/cam1.stream.d/x.conf": "[Stream]\nNice=1\n",
				"etc/cam@.stream":          minimal,
				"etc/cam@1.stream":         "-> cam@.stream",
				"etc/link.stream":          "-> ../elsewhere/real",
				"etc/links.stream":         "-> ../elsewhere/links",
				"etc/masked.stream":        "-> /dev/null",
				"etc/door@1.stream":        "-> ../elsewhere/door@.stream",
				"elsewhere/door@.stream":   minimal,
				"elsewhere/real":           minimal,
				"elsewhere/links":          "-> far",
				"elsewhere/far":            minimal,
				"elsewhere/env":            "A=1\n",
				"usr/good.stream":          minimal,
			})
			if err := c.change(root); err != nil {
				t.Fatal(err)
			}
			s := loaderFor(root).Load()
			want := strings.ReplaceAll(c.want, "ROOT", root)
			if c.refused == "etc" {
				if len(s.Errors) == 0 || !strings.Contains(s.Errors[0].Error(), want) || !errors.Is(s.Errors[0], fs.ErrPermission) {
					t.Errorf("got %q, want %q", texts(s.Errors), want)
				}
				if s.Streams["cam1"] != nil {
					t.Error("a stream of the refused directory is there")
				}
				if !s.Unreadable(&Definition{Source: filepath.Join(root, "etc/cam1.stream")}) {
					t.Error("what ran from there would be taken for gone")
				}
				return
			}
			if len(s.Errors) > 0 {
				t.Errorf("errors of no stream: %s", texts(s.Errors))
			}
			for stream, e := range s.Streams {
				got := texts(e.Errors)
				switch {
				case stream == c.refused && (e.Definition != nil || e.Masked || !strings.Contains(got, want)):
					t.Errorf("%s: got %q, want %q", stream, got, want)
				case stream != c.refused && got != "" && name != "where what it leads to is": // more than one of them is there
					t.Errorf("%s: %s", stream, got)
				}
			}
			if !s.Streams["masked"].Masked {
				t.Error("a link to /dev/null masks nothing any more")
			}
		})
	}
}

// What is the own user's is used, and named; root's is used by everybody.
func TestOwnersFilesAreUsedAndNamed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to give files away")
	}
	root := tree(t, map[string]string{"etc/cam1.stream": minimal, "etc/cam2.stream": minimal, "run/cam3.stream": minimal})
	for _, path := range []string{"etc/cam1.stream", "run", "run/cam3.stream"} {
		if err := give(path, somebody)(root); err != nil {
			t.Fatal(err)
		}
	}
	l := loaderFor(root)
	l.Owners = []uint32{somebody}
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	var s *Set
	asNobody(t, func() { s = l.Load() })
	for _, name := range []string{"cam1", "cam2", "cam3"} {
		if e := s.Streams[name]; e == nil || e.Definition == nil {
			t.Errorf("%s is not used: %+v", name, e)
		}
	}
	want := []string{filepath.Join(root, "etc/cam1.stream"), filepath.Join(root, "run"), filepath.Join(root, "run/cam3.stream")}
	if !slices.Equal(s.Owned, want) {
		t.Errorf("named are %q, want %q", s.Owned, want)
	}
	if s := loaderFor(root).Load(); len(s.Owned) != 0 || s.Streams["cam1"].Definition != nil {
		t.Error("root's keeper uses somebody's files")
	}
}

// Whose a draft is does not matter before it is in place.
func TestLoadFileJudgesOnlyWhatIsInPlace(t *testing.T) {
	root := tree(t, map[string]string{"etc/cam1.stream": minimal, "home/cam1.stream": minimal})
	for _, path := range []string{"etc/cam1.stream", "home/cam1.stream", "home"} {
		if err := mode(path, 0o777)(root); err != nil {
			t.Fatal(err)
		}
	}
	if e := loaderFor(root).LoadFile(filepath.Join(root, "home/cam1.stream")); e.Definition == nil {
		t.Errorf("a draft: %s", texts(e.Errors))
	}
	if e := loaderFor(root).LoadFile(filepath.Join(root, "etc/cam1.stream")); e.Definition != nil || !strings.Contains(texts(e.Errors), "(mode 0777)") {
		t.Errorf("in place: %s", texts(e.Errors))
	}
}

func TestLinksInCirclesEnd(t *testing.T) {
	root := tree(t, map[string]string{"etc/a.stream": "-> b.stream", "etc/b.stream": "-> a.stream", "etc/good.stream": minimal})
	s := loaderFor(root).Load()
	if s.Streams["a"].Definition != nil || s.Streams["good"].Definition == nil {
		t.Errorf("a: %s good: %s", texts(s.Streams["a"].Errors), texts(s.Streams["good"].Errors))
	}
}
