package importer

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// python runs a program in which supervisor's own modules can be used, on
// input that it finds in the list "cases", and answers what it prints.
func python(t *testing.T, program string, cases, out any) {
	t.Helper()
	const interpreter = "/usr/bin/python3" // Debian's, which has Debian's supervisor
	if err := exec.Command(interpreter, "-c", "import supervisor").Run(); err != nil {
		t.Skipf("supervisor's modules are not here: %v", err)
	}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, "-c", "import json, sys\ncases = json.load(sys.stdin)\n"+program)
	cmd.Stdin = bytes.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if err := json.Unmarshal(got, out); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
}

func TestCommandsAreSplitAsSupervisordDoes(t *testing.T) {
	cases := []string{
		``, ` `, `a`, `a b`, "a\tb\nc", `"a b" c`, `'a b'c`, `a\ b`, `a\\b`, `"a\"b"`, `"a\\b"`, `"a\nb"`, `'a\nb'`, `""`, `'' x`,
		`a"b c"'d e'f`, `a # b`, `#a`, `a;b`, `$HOME ${X}`, `"$HOME"`, `ü "ö ä"`, `a\`, `"a`, `'a`, `"a\`, `\"a`, `a\` + "\n" + `b`,
	}
	var want []any
	python(t, `
import shlex
out = []
for c in cases:
    try:
        out.append(shlex.split(c))
    except ValueError:
        out.append(None)
print(json.dumps(out))`, cases, &want)
	for i, c := range cases {
		got, err := shlexSplit(c)
		compare(t, c, want[i], got, err)
	}
}

func TestEnvironmentIsReadAsSupervisordDoes(t *testing.T) {
	cases := []string{
		``, `A=b`, `A="b",C=d`, `A="b,c" , C='d e'`, `A=1,A=2`, `A="x=y"`, `A=b c=d`, `A`, `A=`, `=b`, `A="b`, `A=b"c d"e`, `A=b#c`, `A=b#c` + "\n,D=e",
		`A=http://h:80/x-(y)+z`, `A=a@b`, `A="ü",B=ü`, `A=b,`, `A="it's",B='say "x"'`, `A = "b"`, `A="%",B=x`, "A=b,\nB=c",
	}
	var want []any
	python(t, `
from supervisor.datatypes import dict_of_key_value_pairs
out = []
for c in cases:
    try:
        out.append(dict_of_key_value_pairs(c))
    except ValueError:
        out.append(None)
print(json.dumps(out))`, cases, &want)
	for i, c := range cases {
		list, err := pairs(c)
		got := map[string]string{}
		for _, o := range list {
			got[o.key] = o.value
		}
		compare(t, c, want[i], got, err)
	}
}

func TestExpansionsAreThoseOfSupervisord(t *testing.T) {
	cases := []string{
		`x`, `100%%`, `%(name)s`, `%(n)d`, `%(n)02d_%(n)4d|%(n)-4d|`, `%(n)s`, `%(name)5s|%(name)-7s|`, `%(n)x %(n)o`, `%(n)+d`, `%(no)s`,
		`%(name)d`, `%`, `a%`, `%(name`, `%(name)`, `%(name)%`, `seg%%03d.ts %(name)s%(name)s`,
	}
	var want []any
	python(t, `
from supervisor.options import expand
out = []
for c in cases:
    try:
        out.append(expand(c, {"name": "cam", "n": 7}, "x"))
    except ValueError:
        out.append(None)
print(json.dumps(out))`, cases, &want)
	for i, c := range cases {
		got, err := pyFormat(c, func(name string) (any, bool) {
			v, ok := map[string]any{"name": "cam", "n": 7}[name]
			return v, ok
		})
		compare(t, c, want[i], got, err)
	}
}

func TestFilesAreReadAsSupervisordDoes(t *testing.T) {
	cases := []string{
		"[a]\nx=1\n", "[a]\nx = 1 ; comment\ny=a;b\nz=a #b\n", "[a]\nX: 1\n y = 2\n", "[a]\nx=1\n  2\n\n  3\ny=4\n", "; c\n# d\n[a]\nx=\n",
		"[a]\nx=1\n[b]\ny=2\n[a]\nx=3\nz=4\n", "[DEFAULT]\nx=1\n[a]\ny=2\n", "x=1\n", "[a]\njunk\n", "[a]\n=1\n", "[a]b\nx=1\n", "[a]]\nx=1\n",
		"[a]\r\nx=1\r\n", "[a]\nx=a;b ;c\n", "[a]\nx=a;b #c ;d\n", "[a]\nx=1 ;\n", "[a]\nx=a\n # c\n b\n", "[a] ; c\nx=http://h/a=b\n",
		"[a]\nx=1\n\ty=2\n", "[a]\nx#y=1\n", "[a]\n  x=1\n  y=2\n", "[a]\nx=ü ; ö\n", "[a]\nx=#y\nz=;w\n",
	}
	var want []any
	python(t, `
import configparser, io
from supervisor.options import UnhosedConfigParser
out = []
for c in cases:
    p = UnhosedConfigParser()
    try:
        p.read_file(io.TextIOWrapper(io.BytesIO(c.encode()), encoding="utf-8"))
        out.append({s: dict(p.items(s)) for s in p.sections()})
    except configparser.Error:
        out.append(None)
print(json.dumps(out))`, cases, &want)
	for i, text := range cases {
		var c pyConfig
		errs := c.read("x", []byte(text))
		got := map[string]map[string]string{}
		for _, s := range c.sections {
			got[s.name] = map[string]string{}
			for _, keys := range []*section{c.defaults, s} {
				if keys != nil {
					for _, k := range keys.keys {
						got[s.name][k.key] = k.value
					}
				}
			}
		}
		var err error
		if len(errs) > 0 {
			err = os.ErrInvalid
		}
		compare(t, text, want[i], got, err)
	}
}

// compare holds what we make of a case against what supervisor's code does,
// where nil is a failure.
func compare(t *testing.T, what string, want, got any, err error) {
	t.Helper()
	if want == nil || err != nil {
		if (want == nil) != (err != nil) {
			t.Errorf("%q: supervisord says %v, we %v, %v", what, want, got, err)
		}
		return
	}
	b, _ := json.Marshal(got)
	var ours any
	_ = json.Unmarshal(b, &ours)
	if list, ok := want.([]any); ok && len(list) == 0 {
		want = nil
	}
	if d := cmp.Diff(want, ours); d != "" {
		t.Errorf("%q: supervisord -, we +:\n%s", what, d)
	}
}

// record is what testdata/record has written.
type record struct {
	Argv        []string
	Dir, UMask  string
	Environment map[string]string
}

func readRecord(t *testing.T, data []byte) record {
	t.Helper()
	parts := strings.SplitN(string(data), "\n--\n", 2)
	if len(parts) != 2 {
		t.Fatalf("no record: %q", data)
	}
	where, environ, _ := strings.Cut(parts[1], "\n--\n")
	dir, umask, _ := strings.Cut(where, "\n")
	r := record{Argv: strings.Split(strings.TrimSuffix(parts[0], "\x00"), "\x00"), Dir: dir, UMask: umask, Environment: map[string]string{}}
	for _, kv := range strings.Split(environ, "\x00") {
		if name, value, ok := strings.Cut(kv, "="); ok {
			r.Environment[name] = value
		}
	}
	return r
}

// recordPath is where testdata/supervisord has a program write to.
func recordPath(dir, name string) string {
	if name == "extra" {
		dir = filepath.Join(dir, "conf.d") // where its file is
	}
	return filepath.Join(dir, name+".record")
}

// fifo makes a FIFO and answers what is first written to it.
func fifo(t *testing.T, path string) <-chan []byte {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 1)
	go func() {
		data, _ := os.ReadFile(path)
		got <- data
	}()
	return got
}

func receive(t *testing.T, what string, c <-chan []byte) []byte {
	t.Helper()
	select {
	case data := <-c:
		return data
	case <-time.After(20 * time.Second):
		t.Fatalf("%s has not started", what)
		return nil
	}
}

// Real supervisord runs what is in testdata/supervisord; each stream made of it
// starts with the same argv, directory and variables.
func TestStreamsStartAsSupervisordsProgramsDo(t *testing.T) {
	t.Parallel()
	supervisord, err := exec.LookPath("supervisord")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/supervisord")); err != nil {
		t.Fatal(err)
	}
	recorder, err := filepath.Abs("testdata/record")
	if err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "RECORD="+recorder, "WITH_BLANK=two words", "KEY=s3cret-of-the-environment")
	main := filepath.Join(dir, "supervisord.conf")
	names := []string{"plain", "quotes", "dollars", "cams_00", "cams_01", "variables", "extra", "continued"}
	theirs := map[string]<-chan []byte{}
	for _, name := range names {
		theirs[name] = fifo(t, recordPath(dir, name))
	}
	cmd := exec.Command(supervisord, "-n", "-c", main)
	cmd.Env = environ
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := sync.OnceFunc(func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer func() {
		ended()
		cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	}()
	want := map[string]record{}
	for _, name := range names {
		want[name] = readRecord(t, receive(t, name+" of supervisord", theirs[name]))
	}
	ended() // it takes two seconds, in which ours run

	r := (&Importer{Environ: environ}).Supervisord([]string{main})
	var made []string
	for _, s := range r.Streams {
		made = append(made, s.Name)
		l := launch(t, s)
		path := recordPath(dir, s.Name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		ours := fifo(t, path)
		run := &exec.Cmd{Path: l.Path, Args: l.Argv, Env: l.Environ(), Dir: l.Dir}
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		got := readRecord(t, receive(t, "the stream "+s.Name, ours))
		run.Process.Kill()
		run.Wait()
		theirs := want[s.Name]
		if d := cmp.Diff(theirs.Argv, got.Argv); d != "" {
			t.Errorf("%s: supervisord's argv -, the stream's +:\n%s\n%s", s.Name, d, s.Text)
		}
		// Where none is given supervisord's is where it was started.
		if strings.Contains(s.Text, "WorkingDirectory=") && got.Dir != theirs.Dir {
			t.Errorf("%s: supervisord's directory is %s, the stream's %s", s.Name, theirs.Dir, got.Dir)
		}
		for _, name := range []string{"RECORD_TO", "COMMON", "A", "COMMA", "SEMICOLON", "NESTED", "EMPTY"} {
			if got.Environment[name] != theirs.Environment[name] {
				t.Errorf("%s: %s is %q for supervisord, and %q for the stream", s.Name, name, theirs.Environment[name], got.Environment[name])
			}
		}
	}
	slices.Sort(made)
	slices.Sort(names)
	if !slices.Equal(made, names) {
		t.Errorf("made %q, want %q", made, names)
	}
	for _, m := range r.Remarks {
		if m.Failed || strings.Contains(m.Text, "s3cret") {
			t.Error(m)
		}
	}
	for _, s := range r.Streams {
		if s.Private != strings.Contains(s.Text, "s3cret") {
			t.Errorf("%s: private is %v", s.Name, s.Private)
		}
	}
}

// launch is how the keeper would start the stream.
func launch(t *testing.T, s Stream) *streamfile.Launch {
	t.Helper()
	path := filepath.Join(t.TempDir(), s.FileName())
	if err := os.WriteFile(path, []byte(s.Text), 0o644); err != nil {
		t.Fatal(err)
	}
	e := (&streamfile.Loader{}).LoadFile(path)
	if e.Definition == nil || len(e.Warnings) > 0 {
		t.Fatalf("%s: %v, %v\n%s", s.Name, e.Errors, e.Warnings, s.Text)
	}
	l, err := e.Definition.Resolve(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
