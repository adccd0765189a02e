package importer

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// imported makes streams of units given by file name.
func imported(t *testing.T, files map[string]string, names ...string) *Result {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	return (&Importer{Hostname: "studio", Search: []string{dir}}).Systemd(paths)
}

// Every option of the systemd that is here is translated, or has a reason of
// its own why not.
func TestEveryOptionOfSystemdIsKnown(t *testing.T) {
	out, err := exec.Command("/lib/systemd/systemd", "--dump-configuration-items").Output()
	if err != nil {
		t.Skip(err)
	}
	special := []string{"After", "Requires", "Type", "KillSignal", "RestartKillSignal", "KillMode"}
	n, in := 0, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = strings.Trim(line, "[]")
			continue
		}
		key, _, ok := strings.Cut(line, "=")
		if !ok || in != "Unit" && in != "Service" {
			continue
		}
		n++
		at := assigned{Assignment: streamfile.Assignment{Section: in, Key: key}}
		if !slices.Contains(translated, key) && !slices.Contains(special, key) && whyNot(at) == "it has no counterpart" {
			t.Errorf("[%s] %s= has no reason", in, key)
		}
	}
	if n < 200 {
		t.Errorf("only %d options found", n)
	}
}

func TestDelaysOfSystemdAreKept(t *testing.T) {
	for unit, want := range map[string]string{
		"RestartSec=5": "RestartSec=5s RestartFactor=1",
		"RestartSec=1\nRestartSteps=5\nRestartMaxDelaySec=32": "RestartSec=1s RestartMaxDelaySec=32s RestartFactor=2",
		"RestartSec=1min 500ms":                               "RestartSec=60500ms RestartFactor=1",
		"RestartSec=infinity":                                 "",
		"TimeoutStopSec=0":                                    "TimeoutStopSec=1d",
		"TimeoutSec=90":                                       "TimeoutStopSec=90s",
	} {
		r := imported(t, map[string]string{"x.service": "[Service]\nExecStart=sleep 1\nRestart=always\n" + unit + "\n"}, "x.service")
		if len(r.Streams) != 1 {
			t.Errorf("%q: %v", unit, r.Remarks)
			continue
		}
		var got []string
		for line := range strings.Lines(r.Streams[0].Text) {
			if strings.Contains(line, "Sec=") || strings.Contains(line, "Factor=") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q becomes %q, want %q", unit, got, want)
		}
	}
}

func TestDropInsCountInSystemdsOrder(t *testing.T) {
	r := imported(t, map[string]string{
		"cam-hall.service":                "[Service]\nExecStart=sleep 1\nNice=1\nUMask=1\nMemoryMax=1M\n",
		"cam-hall.service.d/20-a.conf":    "[Service]\nNice=2\n",
		"cam-.service.d/30-b.conf":        "[Service]\nNice=3\n",
		"cam-.service.d/20-a.conf":        "[Service]\nNice=4\nUMask=4\n",
		"service.d/10-all.conf":           "[Service]\nUMask=5\nExecStart=\nExecStart=sleep 2\n",
		"cam-hall.service.d/99-none.conf": "[Service]\nMemoryMax=\n",
	}, "cam-hall.service")
	if len(r.Streams) != 1 {
		t.Fatal(r.Remarks)
	}
	text := r.Streams[0].Text
	for _, want := range []string{"\nExecStart=sleep 2\n", "\nNice=3\n", "\nUMask=5\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "MemoryMax") {
		t.Errorf("an empty value has not taken back MemoryMax= in\n%s", text)
	}
}

// A name as systemd-escape writes it is that of a stream where it can be, and
// the instance is still what the unit was given.
func TestEscapedInstancesGetFilesOfTheirOwn(t *testing.T) {
	unit := "[Service]\nExecStart=sleep %i %I %f %n\n"
	r := imported(t, map[string]string{"cam@.service": unit, `m.wants/cam@back\x2ddoor.service`: "", "m.wants/cam@hall.service": ""}, "cam@.service")
	var got []string
	for _, s := range r.Streams {
		_, command, _ := strings.Cut(s.Text, "ExecStart=")
		command, _, _ = strings.Cut(command, "\n")
		got = append(got, s.Name+" "+s.LinkTo+command)
	}
	want := []string{
		"cam@ sleep ${INSTANCE} ${INSTANCE} /${INSTANCE} cam@${INSTANCE}.service",
		`cam@back-door sleep "back\\x2ddoor" back-door /back-door "cam@back\\x2ddoor.service"`,
		"cam@hall cam@.stream",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestOrderAmongImportedUnitsIsKept(t *testing.T) {
	unit := "[Service]\nExecStart=sleep 1\n"
	r := imported(t, map[string]string{"a.service": unit, "b.service": "[Unit]\nAfter=a.service network.target\nRequires=a.service\n" + unit}, "a.service", "b.service")
	if text := r.Streams[1].Text; !strings.Contains(text, "\nAfter=a\n") || !strings.Contains(text, "\nRequires=a\n") {
		t.Errorf("b is\n%s", text)
	}
}

func TestUnknownSpecifiersAreErrorsAsWithSystemd(t *testing.T) {
	for word, want := range map[string]string{"%03d": "systemd knows no %0", "%m": "%m has no counterpart", "%-": "", "100%": "", "%H": ""} {
		r := imported(t, map[string]string{"x.service": "[Service]\nExecStart=sleep " + word + "\n"}, "x.service")
		said := ""
		for _, m := range r.Remarks {
			if m.Failed {
				said = m.Text
			}
		}
		if !strings.HasPrefix(said, want) || (want == "") != (said == "") || (want == "") != (len(r.Streams) == 1) {
			t.Errorf("%s: %d streams, %q", word, len(r.Streams), said)
		}
	}
}

// A variable that nothing sets is empty for systemd and an error for a stream.
func TestVariablesThatNothingSetsAreEmpty(t *testing.T) {
	r := imported(t, map[string]string{"x.service": "[Service]\nEnvironment=A=1\nExecStart=sleep 1 $A ${B} $C x$D $$E $HOME\n"}, "x.service")
	if len(r.Streams) != 1 {
		t.Fatal(r.Remarks)
	}
	got := launch(t, r.Streams[0]).Argv
	if want := []string{"sleep", "1", "1", "", "x$D", "$E", os.Getenv("HOME")}; !slices.Equal(got, want) {
		t.Errorf("started with %q, want %q", got, want)
	}
	r = imported(t, map[string]string{"x.service": "[Service]\nEnvironment=NAME=1\nExecStart=sleep ${NAME}\n"}, "x.service")
	if len(r.Streams) != 0 || !slices.ContainsFunc(r.Remarks, func(m Remark) bool { return m.Failed && strings.Contains(m.Text, "NAME has a meaning of its own") }) {
		t.Errorf("ffkeeper's own variable: %v", r.Remarks)
	}
}
