package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsDefaults(t *testing.T) {
	got, warnings, err := parseSettings([]string{"HOME=/root", "RUNTIME_DIRECTORY=/run/ffkeeper:/run/other", "FFKEEPER_BUS="})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("parseSettings: %v, warnings %q", err, warnings)
	}
	want := Settings{
		Bus:            "system",
		StreamPath:     StreamPath{"/etc/ffkeeper/streams.d", "/run/ffkeeper-streams.d", "/usr/lib/ffkeeper/streams.d"},
		CredentialPath: StreamPath{"/etc/ffkeeper/credentials"},
		StateDir:       "/run/ffkeeper",
		Shim:           "auto",
		Log:            "auto",
		LogLevel:       6,
		FFmpeg:         "ffmpeg",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSettingsDefaultStateDirOutsideSystemd(t *testing.T) {
	for _, c := range []struct{ environ, want string }{
		{"XDG_RUNTIME_DIR=/run/user/7", "/run/user/7/ffkeeper"},
		{"", "/tmp/ffkeeper-" + strconv.Itoa(os.Getuid())},
	} {
		got, _, err := parseSettings([]string{c.environ})
		if err != nil || string(got.StateDir) != c.want {
			t.Errorf("with %q: %q, %v; want %q", c.environ, got.StateDir, err, c.want)
		}
	}
}

func TestSettingsTakesAllowedValues(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		entry string
		got   func(Settings) any
		want  any
	}{
		{"FFKEEPER_BUS=private", func(s Settings) any { return s.Bus }, BusSetting("private")},
		{"FFKEEPER_BUS=unix:path=/a,guid=1;tcp:host=::1", func(s Settings) any { return s.Bus }, BusSetting("unix:path=/a,guid=1;tcp:host=::1")},
		{"FFKEEPER_BUS=autolaunch:", func(s Settings) any { return s.Bus }, BusSetting("autolaunch:")},
		{"FFKEEPER_STREAM_PATH=/b:a", func(s Settings) any { return s.StreamPath }, StreamPath{"/b", filepath.Join(here, "a")}},
		{"FFKEEPER_STATE_DIR=/x/../y/", func(s Settings) any { return s.StateDir }, StateDir("/y")},
		{"FFKEEPER_SHIM=/run/s", func(s Settings) any { return s.Shim }, ShimSetting("/run/s")},
		{"FFKEEPER_SHIM=embedded", func(s Settings) any { return s.Shim }, ShimSetting("embedded")},
		{"FFKEEPER_LOG=json", func(s Settings) any { return s.Log }, LogForm("json")},
		{"FFKEEPER_LOG_LEVEL=debug", func(s Settings) any { return s.LogLevel }, LogLevel(7)},
		{"FFKEEPER_LOG_LEVEL=0", func(s Settings) any { return s.LogLevel }, LogLevel(0)},
		{"FFKEEPER_FFMPEG=/opt/ffmpeg", func(s Settings) any { return s.FFmpeg }, ProgramNamed("/opt/ffmpeg")},
		{"FFKEEPER_FFMPEG=ffmpeg7.1", func(s Settings) any { return s.FFmpeg }, ProgramNamed("ffmpeg7.1")},
	} {
		s, _, err := parseSettings([]string{c.entry})
		if err != nil {
			t.Errorf("%s: %v", c.entry, err)
			continue
		}
		if d := cmp.Diff(c.want, c.got(s)); d != "" {
			t.Errorf("%s: %s", c.entry, d)
		}
	}
}

func TestSettingsWrongValueNamesVariableValueAndAllowed(t *testing.T) {
	for _, c := range []struct{ name, value, shown string }{
		{"FFKEEPER_BUS", "sytem", "sytem"},
		{"FFKEEPER_BUS", "unix:path", "unix:path"},
		{"FFKEEPER_STREAM_PATH", "/a::/b", "/a::/b"},
		{"FFKEEPER_STATE_DIR", "state", "state"},
		{"FFKEEPER_SHIM", "run/shim", "run/shim"},
		{"FFKEEPER_LOG", "syslog\n", `"syslog\n"`},
		{"FFKEEPER_LOG_LEVEL", "8", "8"},
		{"FFKEEPER_LOG_LEVEL", " info", `" info"`},
		{"FFKEEPER_FFMPEG", "bin/ffmpeg", "bin/ffmpeg"},
	} {
		_, _, err := parseSettings([]string{c.name + "=" + c.value})
		if err == nil {
			t.Errorf("%s=%q is taken", c.name, c.value)
			continue
		}
		want := c.name + "=" + c.shown + " is not allowed; allowed: "
		if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || len(err.Error()) == len(want) {
			t.Errorf("error is %q, want one line from %q on", err, want)
		}
	}
}

func TestSettingsReportsEveryWrongVariable(t *testing.T) {
	_, _, err := parseSettings([]string{"FFKEEPER_LOG=x", "FFKEEPER_BUS=y", "FFKEEPER_SHIM=auto"})
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("error is %q, want a line each for two variables", err)
	}
}

func TestSettingsWarnsOfUnknownVariable(t *testing.T) {
	_, warnings, err := parseSettings([]string{"FFKEEPER_LOGLEVEL=debug", "OTHER=1"})
	want := []string{"FFKEEPER_LOGLEVEL is no setting of ffkeeperd and is ignored"}
	if d := cmp.Diff(want, warnings); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

func TestEveryFieldHasItsRow(t *testing.T) {
	var fields, rows []string
	for f := range reflect.TypeFor[Settings]().Fields() {
		fields = append(fields, f.Tag.Get("env"))
	}
	for _, row := range settingsTable() {
		rows = append(rows, row.Name)
	}
	if d := cmp.Diff(fields, rows); d != "" {
		t.Errorf("fields and table differ: %s", d)
	}
}

func TestDocsAndDefaultFileMatchTable(t *testing.T) {
	docs := read(t, "../../docs/settings.md")
	defaults := read(t, "../../packaging/default/ffkeeper")
	for _, row := range settingsTable() {
		line := "| `" + row.Name + "` | `" + row.Default + "` | " + row.Allowed + " | " + row.Meaning + " |\n"
		if !strings.Contains(docs, line) {
			t.Errorf("docs/settings.md lacks the line\n%s", line)
		}
		if !strings.Contains(defaults, "#"+row.Name+"=") {
			t.Errorf("packaging/default/ffkeeper lacks %s", row.Name)
		}
	}
	if got, want := strings.Count(docs, "| `FFKEEPER_"), len(settingsTable()); got != want {
		t.Errorf("docs/settings.md has %d rows, the table %d", got, want)
	}
	if got, want := strings.Count(defaults, "#FFKEEPER_"), len(settingsTable()); got != want {
		t.Errorf("packaging/default/ffkeeper has %d variables, the table %d", got, want)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
