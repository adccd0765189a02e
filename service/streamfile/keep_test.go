package streamfile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everything is a stream file in which every option that has a value of its
// own is given.
const everything = `[Stream]
Description=Camera in the hall
Documentation=https://example.com/hall
ExecStart=/bin/sh -c "echo \xff $$HOME; cat" \
    arg -fpre ${PRESET_live}
Environment=A=1 "B=two words"
EnvironmentFile=-/nonexistent/env
EnvironmentCredential=TOKEN=token
OutputPreset=live rtmp_playpath=${CREDENTIAL:key}
WorkingDirectory=-/tmp
Nice=0
UMask=0000
CPUAffinity=0
LimitNOFILE=100:200
LimitCORE=0
Autostart=no
After=other
Requires=other
Restart=on-failure
RestartSec=0
RestartFactor=1.5
RestartMaxDelaySec=3s
RestartJitter=0
RestartMaxAttempts=0
RestartResetSec=infinity
RuntimeMaxSec=1h
HealthCheckSec=2s
TimeoutStartSec=infinity
ActivityTimeoutSec=0
OnStall=log
MinSpeed=0.5
OnFailure=stream:other
OnRestart=/bin/true "x y"
TimeoutStopSec=3s
MemoryMax=20M
MemoryHigh=10M
CPUQuota=50%
CPUWeight=1
IOWeight=10000
TasksMax=infinity
`

func TestAKeptDefinitionComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hall.stream"), []byte(everything), 0o644); err != nil {
		t.Fatal(err)
	}
	l := &Loader{Path: []string{dir}, Credential: func(name string) ([]byte, error) { return []byte("value-of-" + name), nil }}
	e := l.LoadFile(filepath.Join(dir, "hall.stream"))
	if e.Definition == nil {
		t.Fatal(e.Errors)
	}
	d := e.Definition
	launch, err := d.Resolve(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := (&Kept{d, launch}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeKept(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, back.Definition, cmpopts.IgnoreUnexported(Definition{})); diff != "" {
		t.Errorf("-was +is\n%s", diff)
	}
	if len(launch.Files) != 1 || len(launch.SecretEnv) != 1 {
		t.Fatalf("%d files, %d variables", len(launch.Files), len(launch.SecretEnv))
	}
	if strings.Contains(string(data), "value-of") {
		t.Errorf("a credential is kept: %s", data)
	}
	if diff := cmp.Diff(launch, back.Launch, cmpopts.IgnoreFields(Launch{}, "Files", "SecretEnv")); diff != "" {
		t.Errorf("-was +is\n%s", diff)
	}
	if back.Definition.auto != d.auto {
		t.Errorf("%+v, was %+v", back.Definition.auto, d.auto)
	}
	again, err := back.Definition.With(l).Resolve(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(launch, again, cmpopts.IgnoreFields(Launch{}, "Env"), cmp.AllowUnexported(Secret{})); diff != "" {
		t.Errorf("-was +is\n%s", diff)
	}
}

// What is not given in the file above would not be seen missing.
func TestEveryFieldOfADefinitionIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a@b.stream"), []byte(everything), 0o644); err != nil {
		t.Fatal(err)
	}
	d := (&Loader{}).LoadFile(filepath.Join(dir, "a@b.stream")).Definition
	if d == nil {
		t.Fatal("not loaded")
	}
	zero := reflect.ValueOf(*defaults())
	v := reflect.ValueOf(*d)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch f.Name {
		case "Type", "AddProgress", "CommandBuilder", "StandardInput", "StandardOutput", "StandardError", "Link":
			continue // plain values like the others
		}
		if f.IsExported() && reflect.DeepEqual(v.Field(i).Interface(), zero.Field(i).Interface()) {
			t.Errorf("%s is not given in the file of this test", f.Name)
		}
	}
}

func FuzzDecodeKept(f *testing.F) {
	f.Add([]byte(`{"definition":{"Name":"a"},"launch":{"Argv":["\u0000/w==","b"]}}`))
	f.Add([]byte(`{"definition":null,"launch":{}}`))
	f.Add([]byte(`{"definition":{"Name":"a","Nice":0,"Limits":{"CORE":{"Soft":0,"Hard":1}}},"auto_stdin":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := DecodeKept(data)
		if err != nil {
			return
		}
		again, err := k.Encode()
		if err != nil {
			t.Fatal(err)
		}
		l, err := DecodeKept(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(k, l, cmpopts.IgnoreUnexported(Definition{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-once +twice\n%s", diff)
		}
	})
}
