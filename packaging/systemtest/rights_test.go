package systemtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// probeProgram is ./probe, built without cgo.
var probeProgram = sync.OnceValues(func() (string, error) {
	program := filepath.Join(work, "probe")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./probe: %w\n%s", err, out)
	}
	return program, nil
})

// putProbe puts the probe on the host, as /usr/local/bin/probe.
func (h *Host) putProbe() {
	h.t.Helper()
	program, err := probeProgram()
	if err != nil {
		h.t.Fatal(err)
	}
	h.copyIn(program, "/usr/local/bin/probe")
}

// manualTable is the table of docs/security.md below a heading: its rows, the
// first of them its head.
func manualTable(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/security.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// A row of the manual's table each: what the probe tries. PIDs are filled in.
var sandboxAttempts = map[string]string{
	"write stream files":                                     "write /etc/ffkeeper/streams.d",
	"write programs (`/usr/bin`)":                            "write /usr/bin",
	"write settings (`/etc/default/ffkeeper`)":               "write /etc/default/ffkeeper",
	"write `/run/ffkeeper`, the keeper's state":              "write /run/ffkeeper",
	"write `/run/ffkeeper-streams`":                          "write /run/ffkeeper-streams",
	"write `/var/lib/ffkeeper-streams`, the streams' output": "write /var/lib/ffkeeper-streams",
	"write `/srv`":                                           "write /srv/open",
	"write `/tmp`, each its own that nobody else sees":       "write /tmp",
	"write the streams' control groups":                      "write /sys/fs/cgroup/ffkeeper.slice/ffkeeper-streams.service",
	"write other control groups":                             "write /sys/fs/cgroup/ffkeeper.slice",
	"write kernel settings (`/proc/sys`)":                    "write /proc/sys/kernel/hostname",
	"read `/etc/shadow`":                                     "read /etc/shadow",
	"read homes":                                             "read /home/open/file",
	"read a file of `root:ffkeeper`, mode 0640":              "read /etc/ffkeeper/private.env",
	"read the environment of another stream":                 "environ STREAM",
	"see the keeper's processes":                             "see KEEPER",
	"see root's processes":                                   "see 1",
	"signal the keeper":                                      "signal KEEPER",
	"signal the shim":                                        "signal SHIM",
	"signal another stream":                                  "signal STREAM",
	"trace the keeper":                                       "trace KEEPER",
	"trace the shim":                                         "trace SHIM",
	"trace another stream":                                   "trace STREAM",
	"give the shim orders":                                   "connect /run/ffkeeper-streams/control",
	"read a stream's health on the bus":                      "bus GetHealth",
	"reload on the bus":                                      "bus Reload",
	"own `org.ffkeeper1` on the bus":                         "bus own-name",
	"ask systemd on the bus":                                 "bus systemd",
	"have systemd start a unit":                              "bus start-unit",
	"reach a service on the network":                         "socket tcp:127.0.0.1:PORT",
	"raw packets":                                            "socket packet",
	"netlink":                                                "socket netlink",
	"a capability":                                           "kernel capability",
	"gain rights by a setuid program":                        "kernel setuid-program",
	"a device, but null, zero, random and ttys":              "kernel device",
	"`ptrace(2)`":                                            "kernel ptrace",
	"`bpf(2)`":                                               "kernel bpf",
	"`io_uring`":                                             "kernel io_uring",
	"`unshare(2)`":                                           "kernel unshare",
	"a namespace of its own by `clone3(2)`":                  "kernel clone3",
	"memory that is writable and executable":                 "kernel wx",
}

// The keeper's probe runs in its unit, as ExecStartPost=; a stream's is one.
func TestSandboxesAllowWhatTheManualSays(t *testing.T) {
	rows := manualTable(t, "From inside each sandbox")
	if want := []string{"attempt", "keeper", "stream"}; !slices.Equal(rows[0], want) {
		t.Fatalf("the table's head is %q", rows[0])
	}
	rows = rows[1:]
	if len(rows) != len(sandboxAttempts) {
		t.Errorf("the table has %d rows, there are %d attempts", len(rows), len(sandboxAttempts))
	}
	h := installed(t, map[string]string{
		streamFile("cam1"):          "[Stream]\nType=simple\nEnvironment=KEY=s3cret\nExecStart=sleep 1000\n",
		streamFile("http"):          "[Stream]\nType=simple\nExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 8093\n",
		streamFile("probe"):         "[Stream]\nType=simple\nAutostart=no\nRestart=no\nExecStart=/usr/local/bin/probe try /etc/probe.stream\n",
		"/etc/ffkeeper/private.env": "KEY=s3cret\n",
		"/home/open/file":           "for everybody\n",
		"/srv/open/file":            "for everybody\n",
	})
	h.putProbe()
	h.Run("chown", "root:ffkeeper", "/etc/ffkeeper/private.env")
	h.Run("chmod", "640", "/etc/ffkeeper/private.env")
	h.Run("chmod", "777", "/srv/open")
	h.Run("systemctl", "start", "ffkeeper")
	h.WaitJournal(10*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_EVENT=started")
	h.Eventually(10*time.Second, "there is a service on the network", func() string {
		return h.Exec("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8093").failure()
	})
	attempts := func(keeper string) string {
		var b strings.Builder
		fill := strings.NewReplacer("KEEPER", keeper, "SHIM", h.mainPID("ffkeeper-streams"), "STREAM", h.pid("cam1"), "PORT", "8093")
		for _, row := range rows {
			attempt, ok := sandboxAttempts[row[0]]
			if !ok {
				t.Fatalf("nobody attempts %q", row[0])
			}
			b.WriteString(fill.Replace(attempt) + "\n")
		}
		return b.String()
	}
	h.write("/etc/probe.stream", attempts(h.mainPID("ffkeeper")))
	h.Run("ffkeeperctl", "start", "probe")
	h.WaitJournal(30*time.Second, "-t", "probe", "-g", "probe: end")
	h.probeAnswers(rows, 2, "-t", "probe")

	h.write("/etc/probe.keeper", attempts("@KEEPER@"))
	h.Run("mkdir", "-p", "/etc/systemd/system/ffkeeper.service.d")
	h.write("/etc/systemd/system/ffkeeper.service.d/probe.conf", "[Service]\nExecStartPost=/bin/sh -c 'sed s/@KEEPER@/$MAINPID/ /etc/probe.keeper >/tmp/probe; exec /usr/local/bin/probe try /tmp/probe'\n")
	h.Run("systemctl", "daemon-reload")
	h.Run("systemctl", "restart", "ffkeeper")
	h.WaitJournal(30*time.Second, "-u", "ffkeeper", "_TRANSPORT=stdout", "-g", "probe: end")
	h.probeAnswers(rows, 1, "-u", "ffkeeper", "_TRANSPORT=stdout")
}

// probeAnswers compares what a probe has said, in order, with a column.
func (h *Host) probeAnswers(rows [][]string, column int, match ...string) {
	h.t.Helper()
	var said []string
	for _, r := range h.Journal(match...) {
		if line, ok := strings.CutPrefix(r["MESSAGE"], "probe: "); ok && line != "end" {
			said = append(said, line)
		}
	}
	if len(said) != len(rows) {
		h.t.Fatalf("the probe has said %d lines to %d attempts:\n%s", len(said), len(rows), strings.Join(said, "\n"))
	}
	for i, row := range rows {
		_, answer, _ := strings.Cut(said[i], " -> ")
		if got, _, _ := strings.Cut(answer, " "); got != row[column] {
			h.t.Errorf("%s: %s, the manual says %s", row[0], said[i], row[column])
		}
	}
}

// The figures of docs/security.md, on the units as systemd has loaded them.
func TestExposureIsAsTheManualSays(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	h := installed(t, nil)
	for unit, most := range map[string]float64{"ffkeeper.service": 1.0, "ffkeeper-streams.service": 2.2, "ffkeeper-stopped.service": 1.4} {
		out := h.Run("systemd-analyze", "security", "--no-pager", unit)
		_, figure, _ := strings.Cut(out, "Overall exposure level for "+unit+": ")
		figure, _, _ = strings.Cut(figure, " ")
		if got, err := strconv.ParseFloat(figure, 64); err != nil || got > most {
			t.Errorf("the exposure of %s is %s, at most %g is meant:\n%s", unit, figure, most, out)
		}
		if !strings.Contains(strings.ReplaceAll(string(text), "\n", " "), "`"+unit+"` "+figure) {
			t.Errorf("docs/security.md does not say that %s has %s", unit, figure)
		}
	}
	for _, unit := range []string{"ffkeeper.service", "ffkeeper-stopped.service", "ffkeeper-streams.service", "ffkeeper-streams.socket", "ffkeeper.slice"} {
		if r := h.Exec("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/"+unit); r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Errorf("systemd-analyze verify %s: %v", unit, r)
		}
	}
}
