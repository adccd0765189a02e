package streamfile

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/service/redact"
)

// traits is what a test knows of commands in place of the ffmpeg room.
func traits(argv []string, addProgress bool) CommandTraits {
	c := CommandTraits{
		Argv:         slices.Clone(argv),
		StdinIsData:  slices.Contains(argv, "pipe:0") || slices.Contains(argv, "/dev/stdin"),
		StdinPlain:   slices.Contains(argv, "/dev/stdin"),
		StdoutIsData: slices.Contains(argv, "pipe:1"),
		ControlQ:     !slices.Contains(argv, "-nostdin"),
	}
	if addProgress {
		c.Argv = slices.Insert(c.Argv, 1, "-progress", "pipe:3")
	}
	return c
}

func resolve(t *testing.T, l *Loader, text string) (*Definition, *Launch) {
	t.Helper()
	root := tree(t, map[string]string{"cam1.stream": text})
	l.Path = []string{root}
	e := loadFrom(t, l)
	if e.Definition == nil {
		t.Fatal(texts(e.Errors))
	}
	launch, err := e.Definition.Resolve(noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.Definition, launch
}

func TestStandardStreamsAreDecidedByTheCommand(t *testing.T) {
	for _, test := range []struct {
		options, args string
		describe      bool
		stdin         Stdin
		stdout        Stdout
		plain, q      bool
	}{
		{"", "-i x out", true, StdinControl, StdoutJournal, false, true},
		{"", "-nostdin -i x out", true, StdinControl, StdoutJournal, false, false},
		{"", "-i pipe:0 out", true, StdinPipe, StdoutJournal, false, false},
		{"", "-i /dev/stdin out", true, StdinPipe, StdoutJournal, true, false},
		{"", "-i x pipe:1", true, StdinControl, StdoutPipe, false, true},
		{"", "-i pipe:0 pipe:1", false, StdinNull, StdoutJournal, false, false},
		{"Type=simple", "x", true, StdinNull, StdoutJournal, false, false},
		{"Type=simple", "pipe:0 pipe:1", true, StdinPipe, StdoutPipe, false, false},
		{"Type=simple\nStandardInput=control", "x", true, StdinControl, StdoutJournal, false, true},
		{"StandardInput=null\nStandardOutput=null", "-i pipe:0 pipe:1", true, StdinNull, StdoutNull, false, false},
		{"StandardInput=pipe\nStandardOutput=pipe", "-i x out", true, StdinPipe, StdoutPipe, false, false},
		{"StandardInput=control", "-i x", false, StdinControl, StdoutJournal, false, true},
		{"StandardInput=control", "-i /dev/stdin x", true, StdinControl, StdoutJournal, false, false},
	} {
		l := &Loader{LookPath: found}
		if test.describe {
			l.Describe = traits
		}
		d, launch := resolve(t, l, "[Stream]\n"+test.options+"\nExecStart=ffmpeg "+test.args+"\n")
		type decided struct {
			Stdin  Stdin
			Stdout Stdout
			Plain  bool
			Q      bool
		}
		want := decided{test.stdin, test.stdout, test.plain, test.q}
		got := decided{launch.Stdin, launch.Stdout, launch.StdinPlain, launch.ControlQ}
		if got != want {
			t.Errorf("%q %q: got %+v, want %+v", test.options, test.args, got, want)
		}
		if d.StandardInput != test.stdin || d.StandardOutput != test.stdout {
			t.Errorf("%q %q: the definition says %s, %s", test.options, test.args, d.StandardInput, d.StandardOutput)
		}
	}
}

// The environment file of a later start may make another command of it.
func TestStandardStreamsAreDecidedAnewAtEachStart(t *testing.T) {
	root := tree(t, map[string]string{"args": "INPUT=x"})
	args := filepath.Join(root, "args")
	d, _ := resolve(t, &Loader{LookPath: found, Describe: traits}, "[Stream]\nEnvironmentFile="+args+"\nExecStart=ffmpeg -i $INPUT out\n")
	if err := os.WriteFile(args, []byte("INPUT=pipe:0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := d.Resolve(noon, nil)
	if err != nil || l.Stdin != StdinPipe {
		t.Errorf("got %+v, %v", l, err)
	}
}

func TestProgressIsAddedToFFmpegOnly(t *testing.T) {
	for options, want := range map[string]bool{"": true, "Progress=auto": true, "Progress=no": false, "Type=simple": false, "Type=simple\nProgress=auto": false} {
		_, l := resolve(t, &Loader{LookPath: found, Describe: traits}, "[Stream]\nExecStart=ffmpeg -i x\n"+options+"\n")
		if got := slices.Contains(l.Argv, "pipe:3"); got != want {
			t.Errorf("%q: %q", options, l.Argv)
		}
	}
}

func TestOddUseOfStandardStreamsIsWarnedOf(t *testing.T) {
	root := tree(t, map[string]string{"cam1.stream": "[Stream]\nStandardInput=control\nStandardOutput=journal\nExecStart=ffmpeg -i pipe:0 pipe:1\n"})
	e := loadFrom(t, &Loader{Path: []string{root}, LookPath: found, Describe: traits})
	got := texts(e.Warnings)
	for _, want := range []string{"cam1.stream:2: StandardInput=: the command reads data", "cam1.stream:3: StandardOutput=: the command writes data"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestVariables(t *testing.T) {
	env := tree(t, map[string]string{"env": "KEY=from file\nOVER=file\nNAME=theirs\n", "env2": "OVER=second\n"})
	_, l := resolve(t, &Loader{LookPath: found}, `[Stream]
Environment=OVER=environment "WORDS=a 'b c'" EMPTY=
EnvironmentFile=`+env+`/env
EnvironmentFile=`+env+`/env[2]
EnvironmentFile=-/no/such
ExecStart=program ${NAME} ${PREFIX} /rec/${NAME}-${START}.mp4 ${KEY} ${OVER} $WORDS x${WORDS}y ${EMPTY} $EMPTY %03d %%Y ${USER} ${FFKEEPER_STREAM}
`)
	user, _ := strings.CutPrefix(l.Env[slices.IndexFunc(l.Env, func(s string) bool { return strings.HasPrefix(s, "USER=") })], "USER=")
	want := []string{"program", "cam1", "cam1", "/rec/cam1-20261123T021500Z.mp4", "from file", "second", "a", "b c", "xa 'b c'y", "", "%03d", "%%Y", user, "cam1"}
	if diff := cmp.Diff(want, l.Argv); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(l.Env, "NAME=theirs") {
		t.Error("a variable NAME of the user's does not reach the command")
	}
}

func TestStartIsInUTC(t *testing.T) {
	d := definition(t, "[Stream]\nExecStart=program ${START}\n")
	l, err := d.Resolve(time.Date(2026, 12, 31, 23, 30, 1, 5, time.FixedZone("", -3600)), nil)
	if err != nil || l.Argv[1] != "20270101T003001Z" {
		t.Errorf("got %v, %v", l, err)
	}
}

// What a command finds is what it would find under systemd, and nothing of the
// keeper's own environment.
func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("FFKEEPER_BUS", "session")
	t.Setenv("SECRET_OF_THE_KEEPER", "x")
	t.Setenv("PATH", "/usr/bin:/bin")
	t.Setenv("LANG", "")
	_, l := resolve(t, &Loader{}, "[Stream]\nExecStart=env\nEnvironment=A=1 A=2 LANG=C\n")
	cmd := exec.Command(l.Path, l.Argv[1:]...)
	cmd.Env, cmd.Dir = l.Env, l.Dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"A", "FFKEEPER_STREAM", "HOME", "LANG", "PATH", "USER"}, names); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"A=2\n", "LANG=C\n", "PATH=/usr/bin:/bin\n", "FFKEEPER_STREAM=cam1\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
}

func TestProgramsAreFound(t *testing.T) {
	root := tree(t, map[string]string{"a/tool": "", "b/tool": "", "b/ffmpeg": "", "c/plain": "", "a/dir/": "", "b/dir": ""})
	for _, file := range []string{"a/tool", "b/tool", "b/ffmpeg", "b/dir"} {
		if err := os.Chmod(filepath.Join(root, file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := "Environment=PATH=relative:" + root + "/none:" + root + "/a:" + root + "/b:" + root + "/c\n"
	for _, test := range []struct{ program, setting, want, err string }{
		{"tool", "", "a/tool", ""},
		{"dir", "", "b/dir", ""}, // a directory of that name is passed over
		{"ffmpeg", "", "b/ffmpeg", ""},
		{"ffmpeg", "tool", "a/tool", ""},
		{"ffmpeg", root + "/b/tool", "b/tool", ""},
		{root + "/b/tool", root + "/none", "b/tool", ""},
		{"plain", "", "", `there is no program "plain" in PATH`},
		{"ffmpeg7", "", "", `there is no program "ffmpeg7" in PATH`},
		{"ffmpeg", "/no/ffmpeg", "", `cannot run "/no/ffmpeg": no such file or directory`},
		{root + "/c/plain", "", "", "it is not executable"},
		{root + "/c", "", "", "it is a directory"},
		{"/dev/null", "", "", "it is no regular file"},
	} {
		l := &Loader{Path: []string{tree(t, map[string]string{"cam1.stream": "[Stream]\n" + path + "ExecStart=" + test.program + " -x\n"})}, FFmpeg: test.setting}
		e := loadFrom(t, l)
		if test.err != "" {
			var np *NoProgramError
			if got := texts(e.Errors); !strings.Contains(got, test.err) || !strings.Contains(got, "cam1.stream:3: ExecStart=: ") {
				t.Errorf("%s: got %q, want %q", test.program, got, test.err)
			} else if !errors.As(join(e.Errors), &np) || strings.Contains(got, "executable") && !errors.Is(np, fs.ErrPermission) {
				t.Errorf("%s: %#v is no NoProgramError", test.program, e.Errors[0])
			}
			continue
		}
		if e.Definition == nil {
			t.Errorf("%s: %s", test.program, texts(e.Errors))
			continue
		}
		launch, err := e.Definition.Resolve(noon, nil)
		if err != nil || launch.Path != filepath.Join(root, test.want) || launch.Argv[0] != test.program {
			t.Errorf("%s: got %+v, %v", test.program, launch, err)
		}
	}
}

// As root of a login shell may have them: directories in PATH that are another
// user's alone.
func TestDirectoryOutOfSightHidesNoProgramBehindIt(t *testing.T) {
	root := tree(t, map[string]string{"private/tool": "", "b/tool": ""})
	tool := filepath.Join(root, "b/tool")
	if err := os.Chmod(tool, 0o755); err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(root, "private")
	for _, dir := range []string{filepath.Dir(root), root, filepath.Join(root, "b")} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(private, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(private, 0o700) })
	}
	type answer struct {
		program string
		err     error
	}
	answers := make(chan answer, 2)
	go func() {
		runtime.LockOSThread() // which ends with this goroutine
		if os.Geteuid() == 0 {
			syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		}
		for _, path := range []string{private + ":" + filepath.Dir(tool), private + ":/nosuch"} {
			program, err := (&host{}).program("tool", path)
			answers <- answer{program, err}
		}
	}()
	if a := <-answers; a.program != tool || a.err != nil {
		t.Errorf("found %q, %v", a.program, a.err)
	}
	// Perhaps the shim's user sees it.
	if a := <-answers; a.program != filepath.Join(private, "tool") || a.err != nil {
		t.Errorf("with nothing else found %q, %v", a.program, a.err)
	}
}

func TestProgramThatHasGoneIsToldAtTheStart(t *testing.T) {
	root := tree(t, map[string]string{"tool": ""})
	tool := filepath.Join(root, "tool")
	if err := os.Chmod(tool, 0o755); err != nil {
		t.Fatal(err)
	}
	d := definition(t, "[Stream]\nExecStart="+tool+"\n")
	if err := os.Remove(tool); err != nil {
		t.Fatal(err)
	}
	var np *NoProgramError
	if _, err := d.Resolve(noon, nil); !errors.As(err, &np) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestEnvironmentFilesAreReadAnewAtEachStart(t *testing.T) {
	root := tree(t, map[string]string{"env": "KEY=one\n"})
	env := filepath.Join(root, "env")
	d := definition(t, "[Stream]\nExecStart=program ${KEY} $KEY\nEnvironmentFile="+env+"\n")
	for text, want := range map[string]string{"KEY=two three": "two three", "# KEY=x\nKEY='four'": "four"} {
		if err := os.WriteFile(env, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if l, err := d.Resolve(noon, nil); err != nil || l.Argv[1] != want {
			t.Errorf("got %v, %v, want %q", l, err, want)
		}
	}
	for text, want := range map[string]string{
		"KEY2=secret\n":                          "cam1.stream:2: ExecStart=: there is no variable KEY; did you mean KEY2?",
		"A=1\n\nKEY=\"secret\n":                  env + `:3: the quote " opened here is never closed; close it`,
		"A=1\nKEY=\xff\n":                        env + ":2: the line is not valid UTF-8",
		"A=1\nKEY=\x00\n":                        env + ":2: there is a NUL byte",
		"KEY=" + strings.Repeat("secret", 30000): "the variable KEY is longer than the 131071 bytes",
	} {
		if err := os.WriteFile(env, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := d.Resolve(noon, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := os.Remove(env); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Resolve(noon, nil); err == nil || !strings.Contains(err.Error(), "cam1.stream:3: EnvironmentFile=: cannot read") {
		t.Errorf("got %v", err)
	}
}

func TestBuiltCommandsAreTakenAsTheyAre(t *testing.T) {
	d := built(t)
	l, err := d.Resolve(noon, []string{"ffmpeg", "-i", "pipe:0", "${NAME}", "$X", "a b"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ffmpeg", "-progress", "pipe:3", "-i", "pipe:0", "${NAME}", "$X", "a b"}, l.Argv); diff != "" {
		t.Error(diff)
	}
	if l.Stdin != StdinPipe || l.Path != "/usr/bin/ffmpeg" {
		t.Errorf("got %+v", l)
	}
	for want, argv := range map[string][]string{
		"cam1.stream:2: CommandBuilder=: there is no command to run":                       {},
		"cam1.stream:2: CommandBuilder=: an argument holds a NUL byte":                     {"ffmpeg", "a\x00b"},
		"cam1.stream:2: CommandBuilder=: cannot run \"/no/such\":":                         {"/no/such"},
		"cam1.stream:2: CommandBuilder=: an argument is longer than the 131071 bytes that": {"ffmpeg", strings.Repeat("x", maxVariable+1)},
	} {
		if _, err := d.Resolve(noon, argv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %q", argv, err, want)
		}
	}
}

func built(t *testing.T) *Definition {
	t.Helper()
	root := tree(t, map[string]string{"cam1.stream": "[Stream]\nCommandBuilder=build ${NAME} --at=${START}\nStandardInput=auto\nOnFailure=notify $FFKEEPER_REASON ${FFKEEPER_EXIT_CODE}\nWorkingDirectory=/tmp\n"})
	e := loadFrom(t, &Loader{Path: []string{root}, LookPath: found, Describe: traits})
	if e.Definition == nil {
		t.Fatal(texts(e.Errors))
	}
	return e.Definition
}

func TestBuilderAndHooksResolve(t *testing.T) {
	d := built(t)
	if d.StandardInput != StdinAuto {
		t.Errorf("standard input is decided without a command: %s", d.StandardInput)
	}
	l, err := d.ResolveBuilder(noon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"build", "cam1", "--at=20261123T021500Z"}, l.Argv); diff != "" {
		t.Error(diff)
	}
	if l.Stdin != StdinNull || l.Stdout != StdoutPipe || l.Dir != "/tmp" || l.ControlQ {
		t.Errorf("got %+v", l)
	}
	l, err = d.ResolveHook(d.OnFailure[0], noon, []string{"FFKEEPER_REASON=exit-code", "FFKEEPER_STREAM=other"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"notify", "exit-code", ""}, l.Argv); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"FFKEEPER_REASON=exit-code", "FFKEEPER_EXIT_CODE=", "FFKEEPER_STREAM=cam1"} {
		if !slices.Contains(l.Env, want) {
			t.Errorf("%s is not in %q", want, l.Env)
		}
	}
	if l, err := d.Resolve(noon, nil); err == nil || !strings.Contains(err.Error(), "there is no command to run") {
		t.Errorf("ExecStart= that is not there resolves to %+v, %v", l, err)
	}
}

func TestWorkingDirectory(t *testing.T) {
	for value, want := range map[string]string{"": "/", "/tmp": "/tmp", "-/tmp": "/tmp", "-/no/such": "/", "/no/such": "/no/such", "-/etc/passwd": "/"} {
		_, l := resolve(t, &Loader{LookPath: found}, minimal+"WorkingDirectory="+value+"\n")
		if l.Dir != want {
			t.Errorf("%s: got %s, want %s", value, l.Dir, want)
		}
	}
	_, l := resolve(t, &Loader{LookPath: found, User: "root"}, minimal+"WorkingDirectory=~\n")
	if l.Dir != "/root" || !slices.Contains(l.Env, "HOME=/root") || !slices.Contains(l.Env, "USER=root") {
		t.Errorf("got %s, %q", l.Dir, l.Env)
	}
}

// A word of a few bytes may stand for a megabyte.
func TestExpansionIsBounded(t *testing.T) {
	env := tree(t, map[string]string{"env": "X=" + strings.Repeat("x", 100_000)})
	e := load(t, "[Stream]\nEnvironmentFile="+env+"/env\nExecStart=program "+strings.Repeat("${X} ", 100)+"\n")
	if !strings.Contains(texts(e.Errors), "the command becomes longer than 2097152 bytes") {
		t.Errorf("got %q", texts(e.Errors))
	}
}

func TestErrorsNameTheLineOfTheWord(t *testing.T) {
	d := definition(t, "[Stream]\nEnvironment=A=1\nExecStart= \\\n  program one \\\n# comment\n  two\\\n  ${A}\n")
	if diff := cmp.Diff([]int{4, 4, 6, 7}, d.ExecStart.Lines); diff != "" || d.ExecStart.Line != 4 {
		t.Errorf("line %d, %s", d.ExecStart.Line, diff)
	}
}

// No path from a file to an error shows what may be a secret.
func TestErrorsShowNoSecrets(t *testing.T) {
	const secret = "hunter2-hunter2"
	hide := func(s string) string { return strings.ReplaceAll(s, secret, "[redacted]") }
	root := tree(t, map[string]string{
		"cam1.stream": `[Stream]
ExecStart=program rtmp://host/app/` + secret + `$X ${` + secret + `} $` + secret + ` "` + secret + `
Environment=` + secret + ` KEY=` + secret + ` "KEY=\a` + secret + `"
 -i rtsp://user:` + secret + `@host/?a=b
` + secret + `=1
RestartSec=` + secret + strings.Repeat("x", 200) + `
Restart=` + strings.Repeat("x", maxShown-5) + secret + `
Type=` + secret + `
OnFailure=stream:` + secret + `/
EnvironmentFile=/no/` + secret + `
Documentation=http:` + secret + `
[` + secret + `]
`,
		"cam2.stream": "[Stream]\nExecStart=program ${" + secret + "} $" + secret + " x/${" + secret + ":-x}\nEnvironmentFile=ENV\n",
		"env":         "KEY='" + secret + "\n",
	})
	cam2 := filepath.Join(root, "cam2.stream")
	text, _ := os.ReadFile(cam2)
	if err := os.WriteFile(cam2, []byte(strings.ReplaceAll(string(text), "ENV", root+"/env")), 0o644); err != nil {
		t.Fatal(err)
	}
	s := (&Loader{Path: []string{root}, LookPath: found, Redact: hide}).Load()
	all := texts(s.Streams["cam1"].Errors) + texts(s.Streams["cam2"].Errors)
	if n := strings.Count(all, "\n"); n < 12 {
		t.Errorf("only %d errors:\n%s", n, all)
	}
	for _, part := range []string{"hunter", "unter2"} {
		if strings.Contains(all, part) {
			t.Errorf("%s is in\n%s", part, all)
		}
	}
}

// What a builder prints may begin with a URL, where ffmpeg was forgotten.
func TestAMissingProgramIsRedactedBeforeItIsCut(t *testing.T) {
	root := tree(t, map[string]string{"cam1.stream": "[Stream]\nCommandBuilder=/bin/sh\n"})
	e := loadFrom(t, &Loader{Path: []string{root}, Redact: redact.New().String})
	_, err := e.Definition.Resolve(noon, []string{"http://hunter2" + strings.Repeat("x", maxShown) + "@host/main"})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), `there is no program "http://[redacted]@host/main"`) {
		t.Error(err)
	}
}

func TestLibraryDefinitionsResolve(t *testing.T) {
	d := New("cam1", []string{"ffmpeg", "-i", "${NAME}", "$$", "out put"})
	d.StandardOutput = StdoutNull
	bound := d.With(&Loader{FFmpeg: "/bin/sh", Describe: traits})
	l, err := bound.Resolve(noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ffmpeg", "-progress", "pipe:3", "-i", "${NAME}", "$$", "out put"}, l.Argv); diff != "" {
		t.Error(diff)
	}
	if l.Path != "/bin/sh" || l.Stdin != StdinControl || l.Stdout != StdoutNull || !l.ControlQ {
		t.Errorf("got %+v", l)
	}

	d = New("cam1", nil) // the command comes with each start
	if errs := d.Validate(); len(errs) > 0 {
		t.Error(texts(errs))
	}
	if l, err := d.Resolve(noon, []string{"/bin/sh", "-c", "true"}); err != nil || l.Path != "/bin/sh" || l.Stdin != StdinNull {
		t.Errorf("got %+v, %v", l, err)
	}
	if _, err := d.Resolve(noon, nil); err == nil || err.Error() != "cam1: ExecStart=: there is no command to run" {
		t.Errorf("got %v", err)
	}
}

func TestValidateFindsEveryBadField(t *testing.T) {
	d := New("a b", []string{"./x"})
	d.Type, d.Restart, d.OnStall = "x", "x", "x"
	d.StandardInput, d.StandardOutput, d.StandardError = "x", "x", "x"
	d.RestartSec, d.RestartFactor, d.RestartJitter, d.RestartMaxAttempts = -1, 0, 2, -2
	d.HealthCheck, d.TimeoutStop, d.RuntimeMax = 0, 0, 0
	d.ActivityTimeout = Infinity
	d.MinSpeed = -1
	d.Environment = []string{"x"}
	d.EnvironmentFiles = []EnvironmentFile{{Path: "x"}}
	d.WorkingDirectory = "x"
	d.Nice, d.UMask, d.CPUAffinity = ptr(20), ptr(uint32(0o1000)), []int{-1}
	d.Limits = map[string]Limit{"NOFILE": {2, 1}}
	d.After, d.Requires = []string{"a b"}, []string{""}
	d.OnFailure, d.OnRestart = []Hook{{}}, []Hook{{Stream: "/"}}
	d.Resources = Resources{MemoryMax: new(uint64), CPUQuota: ptr(-1.0), CPUWeight: ptr(uint64(0)), IOWeight: ptr(uint64(10001)), TasksMax: new(uint64)}
	d.Documentation = []string{"x"}
	d.CommandBuilder = Command{Words: []string{""}}
	got := make(map[string]bool)
	for _, e := range d.Validate() {
		got[e.Option] = true
	}
	for _, o := range strings.Fields(`Type Restart OnStall StandardInput StandardOutput StandardError RestartSec RestartFactor RestartJitter
		RestartMaxAttempts HealthCheckSec TimeoutStopSec RuntimeMaxSec ActivityTimeoutSec MinSpeed Environment EnvironmentFile WorkingDirectory
		Nice UMask CPUAffinity LimitNOFILE After Requires OnFailure OnRestart MemoryMax CPUQuota CPUWeight IOWeight TasksMax
		Documentation CommandBuilder ExecStart`) {
		if !got[o] {
			t.Errorf("%s= is not found", o)
		}
	}
	if !got[""] {
		t.Error("the name is not found")
	}
}

// A definition is shared by the goroutines of streams, reloads and D-Bus
// calls.
func TestDefinitionsResolveFromManyGoroutines(t *testing.T) {
	d := built(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := d.Resolve(noon, []string{"ffmpeg"}); err != nil {
					t.Error(err)
				}
				if _, err := d.ResolveHook(d.OnFailure[0], noon, nil); err != nil {
					t.Error(err)
				}
				if errs := d.Validate(); len(errs) > 0 {
					t.Error(texts(errs))
				}
			}
		})
	}
	wg.Wait()
}
