package streamfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const minimal = "[Stream]\nExecStart=program\n"

// loaderFor loads from the directories etc, run and usr of root.
func loaderFor(root string) *Loader {
	return &Loader{
		Path:     []string{filepath.Join(root, "etc"), filepath.Join(root, "run"), filepath.Join(root, "usr")},
		LookPath: found,
	}
}

func described(text string) string { return minimal + "Description=" + text + "\n" }

func TestFirstDirectoryWins(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/cam1.stream": described("usr"), "run/cam1.stream": described("run"), "etc/cam1.stream": described("etc"),
		"usr/cam2.stream": described("usr"), "run/cam2.stream": described("run"),
		"usr/cam3.stream": described("usr"),
	})
	s := loaderFor(root).Load()
	for name, want := range map[string]string{"cam1": "etc", "cam2": "run", "cam3": "usr"} {
		d := s.Streams[name].Definition
		if d.Description != want || d.Source != filepath.Join(root, want, name+".stream") {
			t.Errorf("%s comes from %s (%s), want %s", name, d.Source, d.Description, want)
		}
	}
}

func TestDropInsApplyByNameAndOverrideByDirectory(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/cam1.stream":                described("main"),
		"usr/cam1.stream.d/20-b.conf":    "[Stream]\nEnvironment=B=usr\nNice=1\n",
		"etc/cam1.stream.d/20-b.conf":    "[Stream]\nEnvironment=B=etc\n",
		"usr/cam1.stream.d/30-c.conf":    "[Stream]\nEnvironment=C=usr\n",
		"run/cam1.stream.d/10-a.conf":    "[Stream]\nEnvironment=A=run\nDescription=drop-in\n",
		"usr/cam1.stream.d/40-null.conf": "[Stream]\nEnvironment=NULL=usr\n",
		"etc/cam1.stream.d/40-null.conf": "-> /dev/null",
		"usr/cam1.stream.d/50-none.conf": "[Stream]\nEnvironment=NONE=usr\n",
		"run/cam1.stream.d/50-none.conf": "",
		"etc/cam1.stream.d/readme.txt":   "nothing",
		"etc/other.stream.d/10-a.conf":   "of a stream that there is not",
		"etc/cam1.stream.d/.99.conf":     "hidden",
		"etc/cam1.stream.d/60-link.conf": "-> ../../linked",
		"linked":                         "[Stream]\nEnvironment=LINKED=1\n",
	})
	e := loadFrom(t, loaderFor(root))
	if e.Definition == nil {
		t.Fatal(texts(e.Errors))
	}
	if diff := cmp.Diff([]string{"A=run", "B=etc", "C=usr", "LINKED=1"}, e.Definition.Environment); diff != "" {
		t.Error(diff)
	}
	if e.Definition.Nice != nil || e.Definition.Description != "drop-in" {
		t.Errorf("got Nice=%v Description=%q", e.Definition.Nice, e.Definition.Description)
	}
	var want []string
	for _, f := range []string{"usr/cam1.stream", "run/cam1.stream.d/10-a.conf", "etc/cam1.stream.d/20-b.conf", "usr/cam1.stream.d/30-c.conf", "etc/cam1.stream.d/60-link.conf"} {
		want = append(want, filepath.Join(root, f))
	}
	if diff := cmp.Diff(want, e.Definition.Files); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(e.Files, e.Definition.Files) {
		t.Errorf("the entry's files are %q", e.Files)
	}
}

func TestTemplatesAndInstances(t *testing.T) {
	const template = "[Stream]\nExecStart=program ${NAME} ${PREFIX} ${INSTANCE}\n"
	root := tree(t, map[string]string{
		"usr/cam@.stream":                   template + "Description=usr\n",
		"etc/cam@.stream":                   template + "Description=Camera ${INSTANCE}\n",
		"run/cam@front.stream":              "-> ../usr/cam@.stream",
		"etc/cam@back.stream":               "-> cam@.stream",
		"etc/cam@own.stream":                described("of its own"),
		"usr/cam@.stream.d/10.conf":         "[Stream]\nEnvironment=ALL=1\n",
		"usr/cam@front.stream.d/10.conf":    "[Stream]\nEnvironment=FRONT=1\n",
		"usr/cam@front.stream.d/20.conf":    "[Stream]\nAfter=cam@back\n",
		"usr/door@.stream":                  template,
		"etc/door@a@b.stream":               "-> /nowhere/at/all/door@.stream",
		"etc/masked@.stream":                "-> /dev/null",
		"usr/masked@.stream":                template,
		"etc/masked@x.stream":               "-> masked@.stream",
		"etc/cam@gone.stream":               "-> /dev/null",
		"usr/cam@gone.stream":               "-> cam@.stream",
		"elsewhere/away@.stream":            template,
		"etc/away@x.stream":                 "-> ../elsewhere/away@.stream",
		"etc/cam@${weird}.stream":           "-> cam@.stream",
		"etc/cam@.stream.d/99-ignored.text": "",
	})
	s := loaderFor(root).Load()
	if len(s.Errors) != 1 || !strings.Contains(s.Errors[0].Error(), "not a stream's name") {
		t.Errorf("got errors %s", texts(s.Errors))
	}
	words := func(name string) []string {
		t.Helper()
		e := s.Streams[name]
		if e == nil || e.Definition == nil {
			t.Fatalf("%s: %+v", name, e)
		}
		l, err := e.Definition.Resolve(noon, nil)
		if err != nil {
			t.Fatal(err)
		}
		return l.Argv[1:]
	}
	if diff := cmp.Diff([]string{"cam@front", "cam", "front"}, words("cam@front")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"door@a@b", "door", "a@b"}, words("door@a@b")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"away@x", "away", "x"}, words("away@x")); diff != "" {
		t.Error(diff)
	}
	front := s.Streams["cam@front"].Definition
	if front.Description != "Camera front" {
		t.Errorf("the link decides which template counts: %q", front.Description)
	}
	if front.Source != filepath.Join(root, "etc/cam@.stream") || front.Link != filepath.Join(root, "run/cam@front.stream") {
		t.Errorf("Source %s, Link %s", front.Source, front.Link)
	}
	if diff := cmp.Diff([]string{"FRONT=1"}, front.Environment); diff != "" {
		t.Error("an instance's drop-in overrides the template's of the same name:", diff)
	}
	if diff := cmp.Diff([]string{"ALL=1"}, s.Streams["cam@back"].Definition.Environment); diff != "" {
		t.Error(diff)
	}
	if s.Streams["cam@own"].Definition.Description != "of its own" || s.Streams["cam@own"].Definition.Link != "" {
		t.Error("an instance with a file of its own takes the template's")
	}
	if !s.Streams["masked@x"].Masked || !s.Streams["cam@gone"].Masked {
		t.Error("masked instances are not masked")
	}
	for name := range s.Streams {
		if strings.HasSuffix(name, "@") {
			t.Errorf("the template %s is a stream", name)
		}
	}
}

func TestMasking(t *testing.T) {
	root := tree(t, map[string]string{
		"usr/link.stream": minimal, "etc/link.stream": "-> /dev/null",
		"usr/empty.stream": minimal, "etc/empty.stream": "",
		"etc/behind.stream": minimal, "usr/behind.stream": "-> /dev/null",
	})
	s := loaderFor(root).Load()
	for name, want := range map[string]bool{"link": true, "empty": true, "behind": false} {
		e := s.Streams[name]
		if e.Masked != want || (e.Definition == nil) != want || len(e.Errors) > 0 {
			t.Errorf("%s: masked %v, definition %v, errors %s", name, e.Masked, e.Definition != nil, texts(e.Errors))
		}
	}
}

func TestOddFilesAreErrorsAndTheOthersLoad(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/good.stream":             minimal,
		"etc/large.stream":            "[Stream]\n#" + strings.Repeat("x", maxFile),
		"etc/fifos.stream":            minimal,
		"etc/fifos.stream.d/x.conf":   minimal,
		"etc/huge-dropin.stream":      minimal,
		"etc/huge-dropin.stream.d/x":  "",
		"etc/just.stream":             minimal + "#" + strings.Repeat("x", maxFile-len(minimal)-1),
		"etc/long-line.stream":        "[Stream]\nExecStart=program " + strings.Repeat("x", 100_000) + " \\\n" + strings.Repeat("y ", 100_000) + "\n",
		"etc/huge-dropin.stream.d/y/": "",
	})
	for _, fifo := range []string{"etc/fifo.stream", "etc/fifos.stream.d/fifo.conf"} {
		if err := syscall.Mkfifo(filepath.Join(root, fifo), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := loaderFor(root).Load()
	for name, want := range map[string]string{
		"fifo": "fifo.stream: cannot read it: it is a FIFO", "fifos": "fifo.conf: cannot read it: it is a FIFO",
		"large": "it is larger than 1048576 bytes",
	} {
		if e := s.Streams[name]; e.Definition != nil || !strings.Contains(texts(e.Errors), want) {
			t.Errorf("%s: got %q, want %q", name, texts(e.Errors), want)
		}
	}
	for _, name := range []string{"good", "just", "long-line"} {
		if e := s.Streams[name]; e.Definition == nil {
			t.Errorf("%s did not load: %s", name, texts(e.Errors))
		}
	}
	if n := len(s.Streams["long-line"].Definition.ExecStart.Words); n != 100_002 {
		t.Errorf("the long line has %d words", n)
	}
}

// asNobody runs f without root's right to read everything.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
			t.Errorf("setfsuid: %v", errno)
			return
		}
		f()
	}()
	<-done
}

func TestUnreadableFilesAndDirectories(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/secret.stream":          minimal,
		"etc/good.stream":            minimal,
		"etc/dropins.stream":         minimal,
		"etc/dropins.stream.d/":      "",
		"etc/env.stream":             minimal + "EnvironmentFile=" + "/etc/shadow\n",
		"run/hidden.stream":          minimal,
		"usr":                        "no directory",
		"etc/hidden-program.stream":  "[Stream]\nExecStart=PROGRAM\n",
		"private/bin/program":        "",
		"etc/unrelated.stream.d/off": "",
	})
	mode := map[string]os.FileMode{"etc/secret.stream": 0o600, "etc/dropins.stream.d": 0o700, "run": 0o700, "private": 0o700}
	if os.Getuid() != 0 {
		for name := range mode {
			mode[name] = 0
			t.Cleanup(func() { os.Chmod(filepath.Join(root, name), 0o700) })
		}
	}
	program := filepath.Join(root, "etc/hidden-program.stream")
	if err := os.WriteFile(program, []byte("[Stream]\nExecStart="+filepath.Join(root, "private/bin/program")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The directories above have to be open to all.
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, m := range mode {
		if err := os.Chmod(filepath.Join(root, name), m); err != nil {
			t.Fatal(err)
		}
	}
	var s *Set
	asNobody(t, func() { s = loaderFor(root).Load() })

	var dirs []string
	for _, e := range s.Errors {
		dirs = append(dirs, strings.TrimPrefix(e.Error(), root))
	}
	if diff := cmp.Diff([]string{"/run: cannot read the directory: permission denied", "/usr: cannot read the directory: not a directory"}, dirs); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"secret":  "/etc/secret.stream: cannot read it: permission denied",
		"dropins": "/etc/dropins.stream.d: cannot read it: permission denied",
		"env":     `/etc/env.stream:3: EnvironmentFile=: cannot read "/etc/shadow": permission denied`,
	} {
		if e := s.Streams[name]; e.Definition != nil || strings.TrimPrefix(strings.TrimSpace(texts(e.Errors)), root) != want {
			t.Errorf("%s: got %q, want %q", name, texts(e.Errors), want)
		}
	}
	// What this process may not look into the streams' own user may.
	for _, name := range []string{"good", "hidden-program"} {
		if e := s.Streams[name]; e == nil || e.Definition == nil {
			t.Errorf("%s did not load: %+v", name, e)
		}
	}
	if !s.Unreadable(&Definition{Source: filepath.Join(root, "run/hidden.stream")}) {
		t.Error("a stream of the unreadable directory is taken to be gone")
	}
	if !s.Unreadable(&Definition{Source: "/x/cam@.stream", Link: filepath.Join(root, "run/cam@1.stream")}) {
		t.Error("an instance linked in the unreadable directory is taken to be gone")
	}
	if s.Unreadable(s.Streams["good"].Definition) {
		t.Error("a stream of a readable directory is taken to be unreadable")
	}
}

func TestMissingDirectoriesAreEmpty(t *testing.T) {
	s := (&Loader{Path: []string{"/no/such/directory", "/no/such/directory"}}).Load()
	if len(s.Streams) != 0 || len(s.Errors) != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestDigestTellsDefinitionsApart(t *testing.T) {
	root := t.TempDir()
	digest := func(files map[string]string) string {
		if err := os.RemoveAll(filepath.Join(root, "etc")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tree(t, files), filepath.Join(root, "etc")); err != nil {
			t.Fatal(err)
		}
		return loadFrom(t, loaderFor(root)).Definition.Digest
	}
	first := digest(map[string]string{"cam1.stream": minimal})
	if again := digest(map[string]string{"cam1.stream": minimal}); again != first {
		t.Error("the same files have another digest")
	}
	if changed := digest(map[string]string{"cam1.stream": minimal + "Nice=1\n"}); changed == first {
		t.Error("a changed file has the same digest")
	}
	if dropIn := digest(map[string]string{"cam1.stream": minimal, "cam1.stream.d/x.conf": "[Stream]\nNice=1\n"}); dropIn == first {
		t.Error("with a drop-in there is the same digest")
	}
}

func TestLoadFileTakesWhatIsBesideIt(t *testing.T) {
	root := tree(t, map[string]string{
		"home/cam1.stream":           described("main"),
		"home/cam1.stream.d/10.conf": "[Stream]\nDescription=drop-in\n",
		"home/cam@x.stream":          "-> cam@.stream",
		"home/cam@.stream":           "[Stream]\nExecStart=program ${INSTANCE} ${URL}\nEnvironmentFile=/no/${INSTANCE}.env\nWorkingDirectory=/no/${INSTANCE}\n",
		"home/bad@.stream":           "[Stream]\nExecStart=program ${INSTANC}\n",
		"home/name.conf":             minimal,
		"home/a..b.stream":           minimal,
		"home/etc@x.stream":          "-> etc@.stream",
		"etc/etc@.stream":            "[Stream]\nExecStart=program ${INSTANCE}\n",
		"etc/cam1.stream.d/20.conf":  "[Stream]\nDescription=not beside it\n",
		"home/masked.stream":         "-> /dev/null",
		"home/broken.stream":         "[Stream]\nExecStart=program\nRestartSec=x\n",
		"home/after.stream":          minimal + "Requires=others\n",
	})
	l := loaderFor(root)
	at := func(name string) string { return filepath.Join(root, "home", name) }
	e := l.LoadFile(at("cam1.stream"))
	if e.Definition == nil || e.Definition.Description != "drop-in" {
		t.Errorf("got %+v %s", e.Definition, texts(e.Errors))
	}
	if e = l.LoadFile(at("etc@x.stream")); e.Definition == nil || e.Definition.Source != filepath.Join(root, "etc/etc@.stream") {
		t.Errorf("the template of the search path is not found: %s", texts(e.Errors))
	}
	if e = l.LoadFile(at("cam@.stream")); e.Definition == nil || len(e.Errors)+len(e.Warnings) > 0 {
		t.Errorf("a template is wrong for what only its instances have: %s%s", texts(e.Errors), texts(e.Warnings))
	}
	if e = l.LoadFile(at("after.stream")); e.Definition == nil {
		t.Errorf("one file is checked against a set: %s", texts(e.Errors))
	}
	if e = l.LoadFile(at("masked.stream")); !e.Masked {
		t.Error("the masked one is not masked")
	}
	t.Chdir(filepath.Join(root, "home"))
	if e = l.LoadFile("cam1.stream"); e.Definition == nil || e.Definition.Source != at("cam1.stream") {
		t.Errorf("a relative path: %s", texts(e.Errors))
	}
	for file, want := range map[string]string{
		"bad@.stream":     "bad@.stream:2: ExecStart=: there is no variable INSTANC; did you mean INSTANCE?",
		"cam@x.stream":    `cannot read "/no/x.env"`,
		"name.conf":       "ends with .stream; rename it",
		"a..b.stream":     "two dots in a row",
		"broken.stream":   "broken.stream:3: RestartSec=",
		"missing.stream":  "missing.stream: cannot read it: no such file or directory",
		"missing@.stream": "missing@.stream: cannot read it: no such file or directory",
	} {
		if e := l.LoadFile(at(file)); e.Definition != nil || !strings.Contains(texts(e.Errors), want) {
			t.Errorf("%s: got %q, want %q", file, texts(e.Errors), want)
		}
	}
}

func TestLoadedDefinitionsEqualThoseMadeByNew(t *testing.T) {
	loaded := definition(t, "[Stream]\nExecStart=program -x\n")
	made := New("cam1", []string{"program", "-x"})
	ignore := cmpopts.IgnoreFields(Definition{}, "Source", "Files", "Digest", "ExecStart", "StandardInput", "StandardOutput")
	if diff := cmp.Diff(loaded, made, ignore, cmpopts.IgnoreUnexported(Definition{})); diff != "" {
		t.Errorf("loaded -, New +:\n%s", diff)
	}
	if errs := made.Validate(); len(errs) > 0 {
		t.Error(texts(errs))
	}
}

func TestErrorsOfOneStreamAreBounded(t *testing.T) {
	e := load(t, minimal+strings.Repeat("Nice=x\n", 1000))
	last := e.Errors[len(e.Errors)-1]
	if len(e.Errors) != maxErrors+1 || !strings.HasSuffix(last.Error(), "cam1.stream: there are more errors than can be shown") {
		t.Errorf("got %d errors, the last %v", len(e.Errors), last)
	}
}

// Long files take time in proportion to their length. Where they do not, this
// test does not end.
func TestLongFilesOfAnythingLoad(t *testing.T) {
	const long = maxFile / 8
	for _, line := range []string{
		"\n", "\\\n", "x\n", "x=\n", "Descriptionx=1\n", "[x]\n", "\xff\n", "Nice=x\n", "Description=x\n", "Environment=A=1\n",
		"After=a\n", "Requires=a b c\n", "CPUAffinity=1\n", "Documentation=man:x\n", "OnFailure=x\n", "EnvironmentFile=-/x\n", "LimitCPU=1\n",
		"ExecStart=\nExecStart=x\n",
	} {
		load(t, minimal+strings.Repeat(line, long/len(line)))
	}
	for option, words := range map[string][]string{
		"ExecStart":   {"x ", "$A ", "$NAME ", "${NAME}", "x$NAME ", `\q `, "${", "$$", "' "},
		"Environment": {"x=1 ", `\q=`},
		"After":       {"x ", "${NAME}"},
		"CPUAffinity": {"0-8191,"},
		"RestartSec":  {"1us ", "1"},
		"MemoryMax":   {"1", "1K "},
	} {
		for _, word := range words {
			text := "[Stream]\n" + option + "="
			load(t, text+strings.Repeat(word, long/len(word)))
		}
	}
}

func TestErrorsCarryTheirCause(t *testing.T) {
	e := load(t, minimal+"EnvironmentFile=/no/such\n")
	if !isCause(e.Errors, fs.ErrNotExist) {
		t.Errorf("errors.Is does not find the cause in %s", texts(e.Errors))
	}
}
