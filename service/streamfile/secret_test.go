package streamfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// store is what Loader.Credential reads in these tests.
type store map[string]string

func (s store) read(name string) ([]byte, error) {
	if value, ok := s[name]; ok {
		return []byte(value), nil
	}
	return nil, fs.ErrNotExist
}

func revealed(secrets []Secret) []string {
	var out []string
	for _, s := range secrets {
		out = append(out, s.Reveal())
	}
	return out
}

func TestPresetIsHandedOverAsAFile(t *testing.T) {
	s := store{"live": "k3y-0001\n", "key-cam1": "k3y-0002"}
	_, l := resolve(t, &Loader{LookPath: found, Credential: s.read}, `[Stream]
Environment=APP=show
OutputPreset=one rtmp_playpath=${CREDENTIAL:live}?a=${APP} rtmp_live=live
OutputPreset=two "headers=Authorization: Bearer ${CREDENTIAL:key-${NAME}}"
OutputPreset=one tls_verify=1
ExecStart=program -fpre ${PRESET_one} a -fpre $PRESET_two b -fpre ${PRESET_one} c
`)
	want := []string{"program", "-fpre", "/dev/fd/4", "a", "-fpre", "/dev/fd/5", "b", "-fpre", "/dev/fd/6", "c"}
	if diff := cmp.Diff(want, l.Argv); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	one := "rtmp_playpath=k3y-0001?a=show\nrtmp_live=live\ntls_verify=1\n"
	if diff := cmp.Diff([]string{one, "headers=Authorization: Bearer k3y-0002\n", one}, revealed(l.Files)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", l, *l, l, l.Env); strings.Contains(shown, "k3y-") {
		t.Errorf("printed it is %s", shown)
	}
	if data, err := json.Marshal(struct{ L, F any }{l, l.Files}); err != nil || strings.Contains(string(data), "k3y-") {
		t.Errorf("as JSON it is %s, %v", data, err)
	}
}

func TestCredentialsForOtherCommands(t *testing.T) {
	s := store{"pem": "-----BEGIN-----\nx\n", "token": "t0ken-1\r\n"}
	_, l := resolve(t, &Loader{LookPath: found, Credential: s.read}, `[Stream]
Type=simple
Environment=TOKEN=none A=1
EnvironmentCredential=TOKEN=token
ExecStart=program --key-fd=${CREDENTIAL_FD:pem} --again /dev/fd/${CREDENTIAL_FD:pem}
`)
	if diff := cmp.Diff([]string{"program", "--key-fd=4", "--again", "/dev/fd/5"}, l.Argv); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{s["pem"], s["pem"]}, revealed(l.Files)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if strings.Contains(strings.Join(l.Env, "\n"), "TOKEN") || !slices.Contains(l.Environ(), "TOKEN=t0ken-1") {
		t.Errorf("shown %q, whole %q", l.Env, l.Environ())
	}
}

func TestCredentialsAreReadAnewAtEachStart(t *testing.T) {
	s := store{"key": "first"}
	d, _ := resolve(t, &Loader{LookPath: found, Credential: s.read}, "[Stream]\nOutputPreset=x y=${CREDENTIAL:key}\nExecStart=program ${PRESET_x}\n")
	s["key"] = "second"
	l, err := d.Resolve(noon, nil)
	if err != nil || l.Files[0].Reveal() != "y=second\n" {
		t.Errorf("got %v, %v", revealed(l.Files), err)
	}
	delete(s, "key")
	if _, err = d.Resolve(noon, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "cam1.stream:2: OutputPreset=: cannot read the credential key, as ") {
		t.Errorf("got %v", err)
	}
}

func TestBuilderAndHooksGetCredentials(t *testing.T) {
	s := store{"token": "t0ken-1"}
	root := tree(t, map[string]string{"cam1.stream": `[Stream]
EnvironmentCredential=TOKEN=token
CommandBuilder=builder ${CREDENTIAL_FD:token}
OnRestart=hook ${CREDENTIAL_FD:token}
`})
	d := loadFrom(t, &Loader{Path: []string{root}, LookPath: found, Credential: s.read}).Definition
	if d == nil {
		t.Fatal("not loaded")
	}
	for _, resolve := range []func() (*Launch, error){
		func() (*Launch, error) { return d.ResolveBuilder(noon) },
		func() (*Launch, error) { return d.ResolveHook(d.OnRestart[0], noon, nil) },
	} {
		l, err := resolve()
		if err != nil || l.Argv[1] != "4" || len(l.Files) != 1 || !slices.Contains(l.Environ(), "TOKEN=t0ken-1") {
			t.Errorf("got %+v, %v", l, err)
		}
	}
}

// Each is one error, on the line where it stands, and shows no value.
func TestWrongCredentialsAreNamedAndNotShown(t *testing.T) {
	s := store{
		"lines": "s3cret-1\ns3cret-2\n", "empty": "\n", "nul": "s3cret\x00", "long": strings.Repeat("s3cret", 170),
		"large": strings.Repeat("s3cret", 2000), "control": "s3cret\x01", "key": "s3cret-3",
	}
	for text, want := range map[string]string{
		"OutputPreset=x y=${CREDENTIAL:lines}":                                "cam1.stream:4: OutputPreset=: the credential lines has several lines or a NUL byte, which cannot be passed on here; hand it over by ${CREDENTIAL_FD:lines}",
		"OutputPreset=x y=1 \\\n z=${CREDENTIAL:nul}":                         "cam1.stream:5: OutputPreset=: the credential nul has several lines",
		"OutputPreset=x y=${CREDENTIAL:empty}":                                "cam1.stream:4: OutputPreset=: the credential empty is empty",
		"OutputPreset=x y=${CREDENTIAL:long}":                                 "cam1.stream:4: OutputPreset=: the value of y, from the credential long, is too long for a preset: ffmpeg takes 996 bytes",
		"OutputPreset=x y=${CREDENTIAL:large}":                                "cam1.stream:4: OutputPreset=: the credential large is larger than 8192 bytes",
		"OutputPreset=x y=${CREDENTIAL:kei}":                                  "cam1.stream:4: OutputPreset=: cannot read the credential kei, as ",
		"OutputPreset=x y=${TOKEN}":                                           "cam1.stream:4: OutputPreset=: TOKEN holds a credential and is only for the command's environment; write ${CREDENTIAL:...}",
		"EnvironmentCredential=A=control":                                     "cam1.stream:4: EnvironmentCredential=: the credential control has control characters",
		"EnvironmentCredential=A=kei":                                         "cam1.stream:4: EnvironmentCredential=: cannot read the credential kei, as ",
		"ExecStart=\nExecStart=program rtmp://x/${TOKEN}":                     "cam1.stream:5: ExecStart=: TOKEN holds a credential, which cannot stand in a command line",
		"ExecStart=\nExecStart=program $TOKEN":                                "cam1.stream:5: ExecStart=: TOKEN holds a credential, which cannot stand in a command line",
		"ExecStart=\nExecStart=program rtmp://${CREDENTIAL:key}":              "cam1.stream:5: ExecStart=: a credential cannot stand in a command line, which others can read; write ${CREDENTIAL_FD:...}, OutputPreset=",
		"ExecStart=\nExecStart=program \\\n ${CREDENTIAL_FD:../key}":          `cam1.stream:6: ExecStart=: "../key" cannot be the name of a credential`,
		"OnFailure=program ${CREDENTIAL_FD:kei}":                              "cam1.stream:4: OnFailure=: cannot read the credential kei, as ",
		"OutputPreset=live y=1\nExecStart=\nExecStart=program ${PRESET_liev}": "cam1.stream:6: ExecStart=: there is no variable PRESET_liev; did you mean PRESET_live?",
		"Description=of ${CREDENTIAL:key}":                                    "cam1.stream:4: Description=: a credential cannot stand here",
	} {
		root := tree(t, map[string]string{"cam1.stream": "[Stream]\nExecStart=program\nEnvironmentCredential=TOKEN=key\n" + text + "\n"})
		e := loadFrom(t, &Loader{Path: []string{root}, LookPath: found, Credential: s.read})
		got := texts(e.Errors)
		if len(e.Errors) != 1 || !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// ffkeeperctl verify cannot see what the keeper's unit is given.
func TestCredentialsThatCannotBeSeenAreWarnedOf(t *testing.T) {
	const text = "[Stream]\nEnvironmentCredential=A=key\nOutputPreset=x y=${CREDENTIAL:key} \\\n z=${CREDENTIAL:other}\nExecStart=program ${PRESET_x} ${CREDENTIAL_FD:third}\n"
	root := tree(t, map[string]string{"cam1.stream": text})
	for name, credential := range map[string]func(string) ([]byte, error){
		"nobody asks": nil,
		"unsure":      func(name string) ([]byte, error) { return nil, fmt.Errorf("no %s: %w", name, ErrUnsure) },
	} {
		e := loadFrom(t, &Loader{Path: []string{root}, LookPath: found, Credential: credential})
		var lines []int
		for _, w := range e.Warnings {
			lines = append(lines, w.Line)
		}
		if want := []int{2, 4, 5}; e.Definition == nil || credential != nil && !slices.Equal(lines, want) || credential == nil && len(lines) > 0 {
			t.Errorf("%s: %s%s", name, texts(e.Errors), texts(e.Warnings))
		}
		if credential == nil {
			continue
		}
		if _, err := e.Definition.Resolve(noon, nil); !errors.Is(err, ErrUnsure) {
			t.Errorf("started with %v", err)
		}
	}
}

func TestUnusedPresetIsWarnedOf(t *testing.T) {
	e := load(t, "[Stream]\nExecStart=program\nOutputPreset=live y=1\n")
	if got := texts(e.Warnings); e.Definition == nil || !strings.Contains(got, "cam1.stream:3: OutputPreset=: no command uses the preset live; write -fpre ${PRESET_live} before the output") {
		t.Errorf("got %q", got)
	}
}

func TestTemplatesNameACredentialOfEachInstance(t *testing.T) {
	const text = "[Stream]\nOutputPreset=x y=${CREDENTIAL:key-${INSTANCE}}\nExecStart=program ${PRESET_x}\n"
	root := tree(t, map[string]string{"cam@.stream": text, "cam@a.stream": "-> cam@.stream", "cam@b.stream": "-> cam@.stream"})
	l := &Loader{Path: []string{root}, LookPath: found, Credential: store{"key-a": "of-a"}.read}
	s := l.Load()
	a, b := s.Streams["cam@a"], s.Streams["cam@b"]
	launch, err := a.Definition.Resolve(noon, nil)
	if err != nil || launch.Files[0].Reveal() != "y=of-a\n" {
		t.Errorf("got %+v, %v", launch, err)
	}
	if got := texts(b.Errors); !strings.Contains(got, "cannot read the credential key-b, as ") {
		t.Errorf("got %q", got)
	}
	if e := l.LoadFile(filepath.Join(root, "cam@.stream")); len(e.Errors) > 0 || len(e.Warnings) > 0 {
		t.Errorf("the template: %s%s", texts(e.Errors), texts(e.Warnings))
	}
}

// What a keeper reads that takes a running stream over.
func TestEveryCredentialOfADefinitionIsRead(t *testing.T) {
	var read []string
	d := definition(t, `[Stream]
EnvironmentCredential=A=one
OutputPreset=x y=${CREDENTIAL:two-${NAME}}${CREDENTIAL:three}
ExecStart=program ${PRESET_x} a${CREDENTIAL_FD:four}b
OnRestart=program ${CREDENTIAL_FD:five}
`).With(&Loader{Credential: func(name string) ([]byte, error) { read = append(read, name); return nil, fs.ErrNotExist }})
	d.ReadCredentials()
	slices.Sort(read)
	if want := []string{"five", "four", "one", "three", "two-cam1"}; !slices.Equal(read, want) {
		t.Errorf("read %q", read)
	}
}
