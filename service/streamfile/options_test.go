package streamfile

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// optionTest says what an option takes (as written → what get answers) and
// what it refuses (as written → part of the error).
type optionTest struct {
	get  func(*Definition) any
	good map[string]any
	bad  map[string]string
}

func ptr[T any](x T) *T { return &x }

const second = time.Second

var mainOptionTests = map[string]optionTest{
	"Description": {
		func(d *Definition) any { return d.Description },
		map[string]any{"Front door": "Front door", `50% "ä" of ${NAME}`: `50% "ä" of cam1`, "5$ and $$": "5$ and $"},
		map[string]string{"${TITLE}": "no variable TITLE; only ${NAME}", "${INSTANCE}": "no instance of a template", "${STARTER": "not closed"},
	},
	"Documentation": {
		func(d *Definition) any { return d.Documentation },
		map[string]any{"https://example.org/a man:ffmpeg(1)": []string{"https://example.org/a", "man:ffmpeg(1)"}, "file:/usr/share/doc": []string{"file:/usr/share/doc"}},
		map[string]string{"example.org": "not an address", "ftp://x": "not an address", "http://": "not an address"},
	},
	"Type": {
		func(d *Definition) any { return d.Type },
		map[string]any{"ffmpeg": TypeFFmpeg, "simple": TypeSimple},
		map[string]string{"FFmpeg": "did you mean ffmpeg?", "notify": "write ffmpeg or simple"},
	},
	"Autostart": {
		func(d *Definition) any { return d.Autostart },
		map[string]any{"yes": true, "off": false, "0": false},
		map[string]string{"maybe": "neither yes nor no"},
	},
	"After": {
		func(d *Definition) any { return d.After },
		map[string]any{"a b.stream c@d": []string{"a", "b", "c@d"}, "a a": []string{"a"}, "enc@${NAME}": []string{"enc@cam1"}},
		map[string]string{"a/b": "not a stream's name", "cam@": "is a template", "cam1": "wait for itself", `"a b"`: "not a stream's name", ".a": "begins with a dot", "a..b": "two dots"},
	},
	"Requires": {
		func(d *Definition) any { return d.Requires },
		nil, // the others have to exist: order_test.go
		map[string]string{"a!b": "not a stream's name", "other": "there is no stream other", "cam1": "wait for itself"},
	},
	"ExecStart": {
		func(d *Definition) any { return d.ExecStart.Words },
		map[string]any{
			"ffmpeg -i x": []string{"ffmpeg", "-i", "x"}, "/bin/sh": []string{"/bin/sh"}, `:ffmpeg ${X} "$Y"`: []string{"ffmpeg", "${X}", "$Y"},
			`ffmpeg a \; b`: []string{"ffmpeg", "a", ";", "b"}, "ffmpeg [0]split[a][b];[a]null": []string{"ffmpeg", "[0]split[a][b];[a]null"},
		},
		map[string]string{
			"-ffmpeg": "prefix - before", "@/bin/sh sh": "prefix @ before", "+ffmpeg": "prefix + before", "!!ffmpeg": "prefix ! before", "|ffmpeg": "prefix | before",
			":-ffmpeg": "prefix - before", "ffmpeg ; ffmpeg": "not several separated by ;", "./ffmpeg": "relative path", "bin/ffmpeg": "relative path",
			"$FFMPEG -i x": "cannot be a variable", "${FFMPEG} -i x": "cannot be a variable", `""`: "the program is empty", ":": "the program is empty",
			`ffmpeg "a`: "never closed", "/no/such": "no such file", "/tmp": "it is a directory", "/etc/passwd": "not executable",
			"ffmpeg ${NAMEX}": "did you mean NAME?", "ffmpeg $OTHER": "no variable OTHER; set it by", "ffmpeg " + strings.Repeat("x", maxVariable+1): "longer than the 131071 bytes",
			"ffmpeg ${INSTANCE}": "no instance of a template",
		},
	},
	"CommandBuilder": {
		func(d *Definition) any { return d.CommandBuilder.Words },
		map[string]any{"/bin/sh -c 'echo []'": []string{"/bin/sh", "-c", "echo []"}, "build ${START}": []string{"build", "${START}"}},
		map[string]string{"/no/such": "no such file", "-x": "prefix - before", "build $NO": "no variable NO"},
	},
	"Progress": {
		func(d *Definition) any { return d.AddProgress },
		map[string]any{"auto": true, "no": false},
		map[string]string{"yes": "write auto or no", "Auto": "did you mean auto?"},
	},
	"StandardInput": {
		func(d *Definition) any { return d.StandardInput },
		map[string]any{"auto": StdinNull, "control": StdinControl, "pipe": StdinPipe, "null": StdinNull},
		map[string]string{"tty": "write auto, control, pipe or null", "pip": "did you mean pipe?"},
	},
	"StandardOutput": {
		func(d *Definition) any { return d.StandardOutput },
		map[string]any{"auto": StdoutJournal, "journal": StdoutJournal, "pipe": StdoutPipe, "null": StdoutNull},
		map[string]string{"inherit": "write auto, journal, null or pipe", "Journal": "did you mean journal?"},
	},
	"StandardError": {
		func(d *Definition) any { return d.StandardError },
		map[string]any{"journal": StderrJournal, "null": StderrNull},
		map[string]string{"pipe": "write journal or null"},
	},
	"Environment": {
		func(d *Definition) any { return d.Environment },
		map[string]any{`A=1 "B=x y" 'C=%d'`: []string{"A=1", "B=x y", "C=%d"}, "A=": []string{"A="}, `A=\x41`: []string{"A=A"}},
		map[string]string{"A": "write NAME=value", "1A=x": "no assignment to a variable", "=x": "no assignment to a variable", `A=\a`: "the value of A has control characters", "FFKEEPER_STREAM=x": "always the stream's name"},
	},
	"EnvironmentFile": {
		func(d *Definition) any { return d.EnvironmentFiles },
		map[string]any{
			"-/no/such":                         []EnvironmentFile{{Path: "/no/such", Optional: true}},
			"-/no/${NAME}.env":                  []EnvironmentFile{{Path: "/no/cam1.env", Optional: true}},
			"-/no/such/dir with blanks/*.envir": []EnvironmentFile{{Path: "/no/such/dir with blanks/*.envir", Optional: true}},
		},
		map[string]string{
			"/no/such": "it does not exist; put - before", "relative": "not an absolute path", "-": "not an absolute path", "/etc": "it is a directory", "/dev/zero": "it is a device",
			"/no/*.env": "no file matches", "/no/[": "malformed",
		},
	},
	"EnvironmentCredential": {
		func(d *Definition) any { return d.EnvironmentCredentials },
		map[string]any{
			"A=b C=key-${NAME}": []EnvironmentCredential{{Variable: "A", Credential: "b"}, {Variable: "C", Credential: "key-cam1"}},
		},
		map[string]string{
			"A": "no assignment; write VARIABLE=CREDENTIAL", "1=b": "no assignment to a variable", "A=../b": `"../b" cannot be the name of a credential`,
			"A=.b": "cannot be the name", "A=": "cannot be the name", "FFKEEPER_STREAM=b": "always the stream's name", `"A=b`: "never closed",
			"A=b${X}": "no variable X", "A=b/c": "cannot be the name",
		},
	},
	"OutputPreset": {
		func(d *Definition) any { return d.OutputPresets },
		map[string]any{
			`live rtmp_playpath=${CREDENTIAL:key} "headers=A: b"`: []PresetOption{
				{Preset: "live", Option: "rtmp_playpath", Value: "${CREDENTIAL:key}"}, {Preset: "live", Option: "headers", Value: "A: b"}},
			`live b:v=1M x=${CREDENTIAL:key-${NAME}}$$`: []PresetOption{
				{Preset: "live", Option: "b:v", Value: "1M"}, {Preset: "live", Option: "x", Value: "${CREDENTIAL:key-${NAME}}$$"}},
		},
		map[string]string{
			"live": "the preset has no option", "a-b c=d": "not the name of a preset", "live -x=y": "begins with a dash", "live x": "no option with a value",
			"live x=": "the option x has no value", `live "x=a\nb"`: "x has several lines", "live x=${CREDENTIAL:../key}": `"../key" cannot be the name`,
			"live x=${CREDENTIAL:key": "not closed", "live x=${CREDENTIAL_FD:key}": "a file cannot be a value", "live x=${NO}": "no variable NO",
			"live =x": "no option with a value", "live #x=y": "no option with a value", `live "x=y`: "never closed",
			"live x=" + strings.Repeat("y", 997): "the value of x is too long for a preset: ffmpeg takes 996 bytes",
		},
	},
	"WorkingDirectory": {
		func(d *Definition) any { return d.WorkingDirectory },
		map[string]any{"/tmp": "/tmp", "~": "~", "-/no/such": "/no/such", "/${PREFIX}": "/cam1", "/missing": "/missing"},
		map[string]string{"tmp": "not an absolute path", "~user": "not an absolute path"},
	},
	"Restart": {
		func(d *Definition) any { return d.Restart },
		map[string]any{"always": RestartAlways, "on-failure": RestartOnFailure, "no": RestartNo},
		map[string]string{"on-faliure": "did you mean on-failure?", "on-abnormal": "write always, on-failure or no", "Always": "did you mean always?"},
	},
	"RestartSec": {
		func(d *Definition) any { return d.RestartSec },
		map[string]any{"0": time.Duration(0), "100ms": 100 * time.Millisecond, "1min 30s": 90 * second, "5": 5 * second},
		map[string]string{"2x": "not a time span", "infinity": "cannot be infinity", "-1": "cannot be negative", "300y": "too long", "90y": "too long"},
	},
	"RestartFactor": {
		func(d *Definition) any { return d.RestartFactor },
		map[string]any{"1": 1.0, "1.5": 1.5},
		map[string]string{"0.5": "not within 1 and 1000", "x": "not a number", "-2": "not a number", "NaN": "not a number", "1e9": "not a number", "1001": "not within"},
	},
	"RestartMaxDelaySec": {
		func(d *Definition) any { return d.RestartMaxDelay },
		map[string]any{"10min": 600 * second, "2s": 2 * second},
		map[string]string{"1s": "shorter than RestartSec=", "infinity": "cannot be infinity"},
	},
	"RestartJitter": {
		func(d *Definition) any { return d.RestartJitter },
		map[string]any{"0": 0.0, "0%": 0.0, "25%": 0.25, "12.5 %": 0.125, "100%": 1.0},
		map[string]string{"0.1": "not a percentage", "101%": "not within 0% and 100%", "-1%": "not a percentage", "%": "not a percentage"},
	},
	"RestartMaxAttempts": {
		func(d *Definition) any { return d.RestartMaxAttempts },
		map[string]any{"0": 0, "10": 10, "infinity": Infinite},
		map[string]string{"-1": "not a count", "ten": "not a count", "99999999999": "not a possible count"},
	},
	"RestartResetSec": {
		func(d *Definition) any { return d.RestartReset },
		map[string]any{"0": time.Duration(0), "5min": 300 * second, "infinity": Infinity},
		map[string]string{"soon": "not a time span"},
	},
	"RuntimeMaxSec": {
		func(d *Definition) any { return d.RuntimeMax },
		map[string]any{"1d": 24 * time.Hour, "infinity": Infinity},
		map[string]string{"0": "must be above 0", "1 fortnight": "not a time span"},
	},
	"OnRestart": {
		func(d *Definition) any { return hookNames(d.OnRestart) },
		map[string]any{"stream:other": []string{"stream other"}, "stream:slate@${NAME}.stream": []string{"stream slate@cam1"}, "notify ${FFKEEPER_REASON} $FFKEEPER_EXIT_CODE": []string{"notify ${FFKEEPER_REASON} $FFKEEPER_EXIT_CODE"}},
		map[string]string{"stream:": "cannot be empty", "stream:a b": "not a stream's name", "stream:cam1": "names itself", "/no/such": "no such file", "-x": "prefix -", "x ${FFKEEPER_REASONS}": "did you mean FFKEEPER_REASON?"},
	},
	"OnFailure": {
		func(d *Definition) any { return hookNames(d.OnFailure) },
		map[string]any{"/bin/sh -c true": []string{"/bin/sh -c true"}, "stream:slate": []string{"stream slate"}},
		map[string]string{"stream:/": "not a stream's name", "rel/x": "relative path"},
	},
	"HealthCheckSec": {
		func(d *Definition) any { return d.HealthCheck },
		map[string]any{"1": second, "500ms": second / 2},
		map[string]string{"0": "must be above 0", "infinity": "cannot be infinity"},
	},
	"TimeoutStartSec": {
		func(d *Definition) any { return d.TimeoutStart },
		map[string]any{"2min": 120 * second, "0": Infinity, "infinity": Infinity},
		map[string]string{"yes": "not a time span"},
	},
	"ActivityTimeoutSec": {
		func(d *Definition) any { return d.ActivityTimeout },
		map[string]any{"15": 15 * second, "0": time.Duration(0), "infinity": time.Duration(0)},
		map[string]string{"off": "not a time span"},
	},
	"OnStall": {
		func(d *Definition) any { return d.OnStall },
		map[string]any{"restart": OnStallRestart, "log": OnStallLog},
		map[string]string{"kill": "write restart or log"},
	},
	"MinSpeed": {
		func(d *Definition) any { return d.MinSpeed },
		map[string]any{"0": 0.0, "0.95": 0.95},
		map[string]string{"0.9x": "not a number", "-1": "not a number", "1001": "not within"},
	},
	"TimeoutStopSec": {
		func(d *Definition) any { return d.TimeoutStop },
		map[string]any{"1min": 60 * second, "1d": 24 * time.Hour},
		map[string]string{"0": "must be above 0", "infinity": "cannot be infinity", "25h": "the longest is 24h"},
	},
	"MemoryMax": {
		func(d *Definition) any { return d.Resources.MemoryMax },
		map[string]any{"512M": ptr(uint64(512 << 20)), "infinity": ptr(LimitInfinity)},
		map[string]string{"0": "above 0", "512MB": "not a size", "512m": "not a size", "-1": "negative", "101%": "at most 100%", "0%": "above 0%", "x%": "not a percentage"},
	},
	"MemoryHigh": {
		func(d *Definition) any { return d.Resources.MemoryHigh },
		map[string]any{"1.5G": ptr(uint64(3 << 29)), "4096": ptr(uint64(4096))},
		map[string]string{"lots": "not a size"},
	},
	"CPUQuota": {
		func(d *Definition) any { return d.Resources.CPUQuota },
		map[string]any{"150%": ptr(1.5), "20%": ptr(0.2)},
		map[string]string{"0%": "above 0", "1.5": "not a percentage", "infinity": "not a percentage"},
	},
	"CPUWeight": {
		func(d *Definition) any { return d.Resources.CPUWeight },
		map[string]any{"1": ptr(uint64(1)), "10000": ptr(uint64(10000))},
		map[string]string{"0": "from 1 to 10000", "10001": "from 1 to 10000", "idle": "from 1 to 10000"},
	},
	"IOWeight": {
		func(d *Definition) any { return d.Resources.IOWeight },
		map[string]any{"500": ptr(uint64(500))},
		map[string]string{"/dev/sda 500": "from 1 to 10000"},
	},
	"TasksMax": {
		func(d *Definition) any { return d.Resources.TasksMax },
		map[string]any{"64": ptr(uint64(64)), "infinity": ptr(LimitInfinity)},
		map[string]string{"0": "above 0", "many": "not a count", "-5": "not a count"},
	},
	"Nice": {
		func(d *Definition) any { return d.Nice },
		map[string]any{"-20": ptr(-20), "19": ptr(19), "0": ptr(0)},
		map[string]string{"20": "from -20 to 19", "-21": "from -20 to 19", "low": "from -20 to 19"},
	},
	"UMask": {
		func(d *Definition) any { return d.UMask },
		map[string]any{"0027": ptr(uint32(0o27)), "0": ptr(uint32(0))},
		map[string]string{"8": "octal", "1000": "octal", "u=rwx": "octal"},
	},
	"CPUAffinity": {
		func(d *Definition) any { return d.CPUAffinity },
		map[string]any{"0-2,5 7": []int{0, 1, 2, 5, 7}, "3 1 3": []int{1, 3}},
		map[string]string{"2-1": "not a CPU", "numa": "not a CPU", "8192": "not a CPU", "0-": "not a CPU", "-1": "not a CPU"},
	},
}

// optionTests are the tests of all options, those of the limits by their kind.
func optionTests() map[string]optionTest {
	tests := maps.Clone(mainOptionTests)
	limits := map[limitKind]optionTest{
		limitCount: {good: map[string]any{"1024": Limit{1024, 1024}, "1024:4096": Limit{1024, 4096}, "infinity": Limit{LimitInfinity, LimitInfinity}, "5:infinity": Limit{5, LimitInfinity}},
			bad: map[string]string{"x": "not a count", "5:": "not a count", ":5": "not a count", "6:5": "above the hard limit", "1:2:3": "not a count"}},
		limitSize: {good: map[string]any{"8M": Limit{8 << 20, 8 << 20}, "0": Limit{}, "4K:1G": Limit{4 << 10, 1 << 30}},
			bad: map[string]string{"8MB": "not a size", "2G:1G": "above the hard limit"}},
		limitSec: {good: map[string]any{"90": Limit{90, 90}, "1500ms": Limit{2, 2}, "1min:infinity": Limit{60, LimitInfinity}},
			bad: map[string]string{"long": "not a time span"}},
		limitUsec: {good: map[string]any{"90": Limit{90, 90}, "1500ms": Limit{1500000, 1500000}},
			bad: map[string]string{"long": "not a time span"}},
		limitNice: {good: map[string]any{"+5": Limit{15, 15}, "-20": Limit{40, 40}, "30": Limit{30, 30}, "+5:-5": Limit{15, 25}},
			bad: map[string]string{"41": "neither a nice level", "+20": "neither a nice level", "-21": "neither a nice level", "nice": "neither a nice level"}},
	}
	for _, r := range limitRows {
		test := limits[r.kind]
		test.get = func(d *Definition) any {
			if l, ok := d.Limits[r.name]; ok {
				return l
			}
			return nil
		}
		tests["Limit"+r.name] = test
	}
	return tests
}

func hookNames(hooks []Hook) (names []string) {
	for _, h := range hooks {
		if h.Stream != "" {
			names = append(names, "stream "+h.Stream)
		} else {
			names = append(names, strings.Join(h.Command.Words, " "))
		}
	}
	return names
}

// stream is a file with the one option, right apart from it.
func stream(option, assignments string) string {
	if option == "ExecStart" || option == "CommandBuilder" {
		return "[Stream]\n" + assignments
	}
	return "[Stream]\nExecStart=program\n" + assignments
}

func TestEachOptionTakesRefusesAndForgets(t *testing.T) {
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".File" || p.Last().String() == ".Line" }, cmp.Ignore())
	tests := optionTests()
	for _, o := range Options() {
		test, ok := tests[o.Name]
		if !ok {
			t.Errorf("%s= has no test", o.Name)
			continue
		}
		untouched := test.get(definition(t, stream("", "")))
		for text, want := range test.good {
			e := load(t, stream(o.Name, o.Name+"="+text+"\n"))
			if e.Definition == nil {
				t.Errorf("%s=%s is refused: %s", o.Name, text, texts(e.Errors))
				continue
			}
			if diff := cmp.Diff(want, test.get(e.Definition), ignore); diff != "" {
				t.Errorf("%s=%s: want -, got +:\n%s", o.Name, text, diff)
			}
			if errs := e.Definition.Validate(); len(errs) > 0 {
				t.Errorf("%s=%s does not pass Validate: %s", o.Name, text, texts(errs))
			}

			if o.Name == "ExecStart" || o.Name == "CommandBuilder" {
				continue
			}
			e = load(t, stream(o.Name, o.Name+"="+text+"\n"+o.Name+"=\n"))
			if e.Definition == nil {
				t.Errorf("%s= does not take %s back: %s", o.Name, text, texts(e.Errors))
			} else if diff := cmp.Diff(untouched, test.get(e.Definition)); diff != "" {
				t.Errorf("%s= does not put the default back: want -, got +:\n%s", o.Name, diff)
			}
		}
		for text, want := range test.bad {
			e := load(t, stream(o.Name, o.Name+"="+text+"\n"))
			if e.Definition != nil {
				t.Errorf("%s=%s is taken", o.Name, text)
				continue
			}
			if got := texts(e.Errors); !strings.Contains(got, want) || !strings.Contains(got, o.Name+"=: ") {
				t.Errorf("%s=%s: got %q, want %q", o.Name, text, got, want)
			}
			if len(e.Errors) != 1 {
				t.Errorf("%s=%s: one mistake is reported as\n%s", o.Name, text, texts(e.Errors))
			}
		}
	}
}

func TestEmptyValueForgetsCommand(t *testing.T) {
	d := definition(t, "[Stream]\nExecStart=first ${NO}\nExecStart=\nExecStart=second\n")
	if got := d.ExecStart.Words; !slices.Equal(got, []string{"second"}) {
		t.Errorf("ExecStart= is %q", got)
	}
	e := load(t, "[Stream]\nExecStart=first\nExecStart=\n")
	if got := texts(e.Errors); !strings.Contains(got, "there is no command") {
		t.Errorf("got %q", got)
	}
}

func TestListsAddUp(t *testing.T) {
	d := definition(t, `[Stream]
ExecStart=program
Environment=A=1
Environment=B=2 A=3
After=a
After=b a
CPUAffinity=3
CPUAffinity=0-1
OnFailure=stream:x
OnFailure=y
`)
	if diff := cmp.Diff([]string{"A=1", "B=2", "A=3"}, d.Environment); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, d.After); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 1, 3}, d.CPUAffinity); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"stream x", "y"}, hookNames(d.OnFailure)); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsDependOnOtherOptions(t *testing.T) {
	d := definition(t, "[Stream]\nExecStart=program\nType=simple\nRestartSec=5min\n")
	if d.OnStall != OnStallLog {
		t.Errorf("OnStall of a simple stream is %s", d.OnStall)
	}
	if d.AddProgress {
		t.Error("a simple stream is asked for progress")
	}
	if d.RestartMaxDelay != 300*second {
		t.Errorf("the longest delay is %v", d.RestartMaxDelay)
	}
	if d = definition(t, "[Stream]\nExecStart=program\nOnStall=restart\nType=simple\n"); d.OnStall != OnStallRestart {
		t.Errorf("OnStall=restart is not kept")
	}
}

func TestPercentagesOfTheMachine(t *testing.T) {
	memory, p := installedMemory()
	tasks, q := systemTasks()
	if p != nil || q != nil {
		t.Fatal(p, q)
	}
	d := definition(t, "[Stream]\nExecStart=program\nMemoryMax=50%\nMemoryHigh=100%\nTasksMax=10%\n")
	if got := *d.Resources.MemoryMax; got != memory/2 {
		t.Errorf("half of %d bytes is %d", memory, got)
	}
	if got := *d.Resources.MemoryHigh; got != memory {
		t.Errorf("all of %d bytes is %d", memory, got)
	}
	if got := *d.Resources.TasksMax; got != tasks/10 {
		t.Errorf("a tenth of %d tasks is %d", tasks, got)
	}
}
