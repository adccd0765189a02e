//go:build vmtest

// Package inside tests ffkeeper as installed on a machine of its own, with what
// a test host on this machine's kernel cannot show: limits in force, a kernel
// that kills, and what becomes of both when keeper or shim die. The tests run
// there as root, one after the other; see the command vmtest.
package inside

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/packaging/systemtest"
)

const (
	streamDir = "/etc/ffkeeper/streams.d/"
	outDir    = "/var/lib/ffkeeper-streams/"

	// patience bounds waiting for what should happen within a second or two,
	// on an emulated machine beside others.
	patience = 2 * time.Minute
)

// recording is a stream that is only playable when it was stopped properly.
const recording = `[Stream]
ExecStart=ffmpeg -hide_banner -re -f lavfi -i testsrc2=size=96x54:rate=5 -c:v mpeg4 \
    /var/lib/ffkeeper-streams/${NAME}-${START}.mp4
TimeoutStopSec=60s
`

// machine is the one we are on, with ffkeeper running.
type machine struct {
	*systemtest.Host
	t     *testing.T
	since string // for journalctl: when the test began
}

// serving starts the keeper on streams, the texts of stream files by name.
// After the test it is stopped, and nothing of it stays.
func serving(t *testing.T, streams map[string]string) *machine {
	t.Helper()
	m := &machine{Host: systemtest.Here(t), t: t}
	// Not --after-cursor=, which skips a record (systemd 252) where that of the
	// cursor is not among the matching ones.
	now := time.Now()
	m.since = fmt.Sprintf("--since=@%d.%06d", now.Unix(), now.Nanosecond()/1000)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal of this test ends\n%s", m.Exec("journalctl", "--no-pager", m.since, "-n", "80").Stdout)
		}
		m.Run("systemctl", "stop", "ffkeeper.service", "ffkeeper-streams.service")
		m.Run("systemctl", "reset-failed")
		m.Run("find", streamDir, outDir, "-mindepth", "1", "-delete")
	})
	for name, text := range streams {
		m.write(name, text)
	}
	m.Run("systemctl", "start", "ffkeeper")
	return m
}

// in is the same for a subtest.
func (m *machine) in(t *testing.T) *machine {
	return &machine{Host: systemtest.Here(t), t: t, since: m.since}
}

// write writes a stream file.
func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(streamDir+name+".stream", []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// event waits for a stream's event of this test, and answers its record.
func (m *machine) event(stream, event string) systemtest.Record {
	m.t.Helper()
	return m.WaitJournal(patience, m.events(stream, event)...)
}

// count is how often a stream had an event in this test so far.
func (m *machine) count(stream, event string) int {
	m.t.Helper()
	return len(m.Journal(m.events(stream, event)...))
}

func (m *machine) events(stream, event string) []string {
	return []string{m.since, "FFKEEPER_STREAM=" + stream, "FFKEEPER_EVENT=" + event}
}

// delivering waits until the streams deliver.
func (m *machine) delivering(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.event(name, "delivering")
	}
}

// property is one of a stream's on the bus, as busctl prints it without the
// type.
func (m *machine) property(stream, property string) string {
	m.t.Helper()
	out := m.Run("busctl", "get-property", "org.ffkeeper1", "/org/ffkeeper1/stream/"+stream, "org.ffkeeper1.Stream", property)
	_, value, _ := strings.Cut(out, " ")
	return strings.Trim(value, `"`)
}

func (m *machine) pid(stream string) string {
	m.t.Helper()
	return m.property(stream, "PID")
}

// cgroups is the directory of the streams' control groups.
func (m *machine) cgroups() string {
	m.t.Helper()
	return "/sys/fs/cgroup" + m.Property("ffkeeper-streams.service", "ControlGroup")
}

// cgroup is a file in a stream's control group, without the last newline.
func (m *machine) cgroup(stream, file string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.cgroups(), stream+".stream", file))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "\n")
}

// counter is a line "KEY NUMBER" of such a file.
func (m *machine) counter(stream, file, key string) string {
	m.t.Helper()
	for line := range strings.Lines(m.cgroup(stream, file)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			return f[1]
		}
	}
	m.t.Fatalf("no %s in %s of %s", key, file, stream)
	return ""
}

// onlyCgroups checks that there are control groups for these streams and no
// others, and waits for those that are just being removed.
func (m *machine) onlyCgroups(streams ...string) {
	m.t.Helper()
	want := []string{"shim"}
	for _, name := range streams {
		want = append(want, name+".stream")
	}
	slices.Sort(want)
	m.Eventually(patience, "control groups "+strings.Join(want, " "), func() string {
		entries, err := os.ReadDir(m.cgroups())
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, e := range entries {
			if e.IsDir() {
				got = append(got, e.Name())
			}
		}
		if slices.Equal(got, want) {
			return ""
		}
		return "there are " + strings.Join(got, " ")
	})
}

// processes are the pids of a command line of the streams' user.
func (m *machine) processes(commandLine string) []string {
	m.t.Helper()
	return strings.Fields(m.Exec("pgrep", "-u", "ffkeeper-streams", "-x", "-f", commandLine).Stdout)
}

// playable checks that a recording was finished.
func playable(t *testing.T, file string) {
	t.Helper()
	got := systemtest.Here(t).Run("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", file)
	if got != "mpeg4" {
		t.Errorf("ffprobe on %s says %q", file, got)
	}
}

// glob is the only file that matches.
func glob(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files[0]
}
