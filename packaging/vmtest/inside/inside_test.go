//go:build vmtest

// Package inside tests ffkeeper as installed on a machine of its own, with what
// a test host on this machine's kernel cannot show: limits in force, a kernel
// that kills, and what becomes of both when keeper or shim die. The tests run
// there as root, one after the other; see the command vmtest.
package inside

import (
	"os"
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
	patience = 60 * time.Second
)

// machine is the one we are on, with ffkeeper running.
type machine struct {
	*systemtest.Host
	t      *testing.T
	cursor string // where the journal was when the test began
}

// serving starts the keeper on streams, the texts of stream files by name.
// After the test it is stopped, and nothing of it stays.
func serving(t *testing.T, streams map[string]string) *machine {
	t.Helper()
	m := &machine{Host: systemtest.Here(t), t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal of this test ends\n%s", m.Exec("journalctl", "--no-pager", "--after-cursor="+m.cursor, "-n", "80").Stdout)
		}
		m.Run("systemctl", "stop", "ffkeeper.service", "ffkeeper-streams.service")
		m.Run("find", streamDir, outDir, "-mindepth", "1", "-delete")
	})
	m.cursor = strings.TrimPrefix(m.Run("journalctl", "-n", "0", "--show-cursor", "-q"), "-- cursor: ")
	for name, text := range streams {
		m.write(name, text)
	}
	m.Run("systemctl", "start", "ffkeeper")
	return m
}

// write writes a stream file.
func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(streamDir+name+".stream", []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// event waits for a stream's event of this test, and answers its record.
func (m *machine) event(stream, event string, more ...string) systemtest.Record {
	m.t.Helper()
	return m.WaitJournal(patience, append([]string{"--after-cursor=" + m.cursor,
		"FFKEEPER_STREAM=" + stream, "FFKEEPER_EVENT=" + event}, more...)...)
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
	return value
}

func (m *machine) pid(stream string) string {
	m.t.Helper()
	return m.property(stream, "PID")
}

// recording is a stream that is only playable when it was stopped properly.
const recording = `[Stream]
ExecStart=ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -c:v libx264 -preset ultrafast \
    /var/lib/ffkeeper-streams/${NAME}-${START}.mp4
`
