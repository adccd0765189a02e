package systemtest

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// pack builds both packages of the sources as they are, once for each version.
func pack(t *testing.T, version string) (deb, rpm string) {
	t.Helper()
	build, _ := packs.LoadOrStore(version, sync.OnceValues(func() ([]string, error) {
		cmd := exec.Command("../nfpm/package", filepath.Join(work, version), version, "deb", "rpm")
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		paths := strings.Fields(string(out))
		if err != nil || len(paths) != 2 {
			return nil, fmt.Errorf("package: %q, %v\n%s", paths, err, errs.String())
		}
		return paths, nil
	}))
	paths, err := build.(func() ([]string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return paths[0], paths[1]
}

var packs sync.Map // of func() ([]string, error), by version

func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestDebIsWithoutFault(t *testing.T) {
	t.Parallel()
	deb, _ := pack(t, "v1.0.0")
	out, err := exec.Command("lintian", "--fail-on", "error,warning", deb).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// It says so of root, too.
		if strings.HasPrefix(line, "E:") || strings.HasPrefix(line, "W:") {
			t.Error(line)
		}
	}
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	if got := run(t, "dpkg-deb", "-f", deb, "Version"); got != "1.0.0-1" {
		t.Errorf("the version is %s", got)
	}
	info, err := os.Stat(deb)
	if err != nil {
		t.Fatal(err)
	}
	const most = 8 << 20
	t.Logf("%d bytes", info.Size())
	if info.Size() > most {
		t.Errorf("the package has %d bytes, more than %d", info.Size(), most)
	}

	root := t.TempDir()
	run(t, "dpkg-deb", "-x", deb, root)
	for _, program := range []string{"ffkeeperd", "ffkeeper-shim", "ffkeeperctl"} {
		f, err := elf.Open(filepath.Join(root, "usr/bin", program))
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := f.ImportedLibraries()
		if f.Type != elf.ET_DYN || len(libraries) > 0 || err != nil {
			t.Errorf("%s is %v with libraries %q (%v), want a position-independent one without", program, f.Type, libraries, err)
		}
		f.Close()
	}
	// Each module that is linked in is named with its license.
	copyright := run(t, "cat", filepath.Join(root, "usr/share/doc/ffkeeper/copyright"))
	for module := range strings.FieldsSeq(run(t, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "../../cmd/...")) {
		if short, _, _ := strings.Cut(module, "/v"); !strings.Contains(copyright, "Files: "+short+"/*") {
			t.Errorf("the copyright file says nothing of %s", module)
		}
	}
}

// Two formats, one content.
func TestRPMHasWhatTheDebHas(t *testing.T) {
	t.Parallel()
	deb, rpm := pack(t, "v1.0.0")
	root := t.TempDir()
	run(t, "dpkg-deb", "-x", deb, root)
	listed := map[string]bool{}
	for path := range strings.FieldsSeq(run(t, "rpm", "-qlp", rpm)) {
		listed[path] = true
	}
	n := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		path = strings.TrimPrefix(path, root)
		if err != nil || d.IsDir() || strings.Contains(path, "/share/doc/") || strings.Contains(path, "/share/lintian/") {
			return err
		}
		n++
		if path = strings.Replace(path, "vendor-completions", "site-functions", 1); !listed[path] {
			t.Errorf("the rpm lacks %s", path)
		}
		return nil
	})
	if err != nil || n < 15 {
		t.Fatalf("%d files found: %v", n, err)
	}
	if got := run(t, "rpm", "-qp", "--configfiles", rpm); got != "/etc/default/ffkeeper\n/etc/ffkeeper/streams.d/testcard.stream" {
		t.Errorf("configuration files are\n%s", got)
	}
	if got := run(t, "rpm", "-qp", "--qf", "%{VERSION}-%{RELEASE} %{LICENSE}", rpm); got != "1.0.0-1 Apache-2.0" {
		t.Errorf("the rpm is %s", got)
	}
	scripts := run(t, "rpm", "-qp", "--scripts", rpm)
	for _, want := range []string{"systemd-sysusers ffkeeper.conf", "preset ffkeeper.service", "try-restart ffkeeper.service", "ffkeeper-stream@*.service' ffkeeper.service || :"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("the scripts lack %q", want)
		}
	}
}

// packaged boots a host that packages can be installed on as on any other
// machine.
func packaged(t *testing.T) *Host {
	t.Helper()
	h := Boot(t, "")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the host's journal ends\n%s", h.Run("journalctl", "--no-pager", "-n", "60"))
		}
	})
	// What container images forbid: to start services, to install manuals.
	h.Run("sh", "-c", "rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/*")
	// What takes time on a machine with more on it than a server has: an index
	// of all manuals, lists of all packages there are.
	h.Run("sh", "-c", "rm -rf /var/lib/man-db/auto-update /var/lib/apt/lists/*")
	h.Run("mkdir", "-p", "/etc/ffkeeper/streams.d", "/srv/packages")
	return h
}

// apt runs apt-get; of changed configuration files it keeps the administrator's.
func (h *Host) apt(argv ...string) string {
	h.t.Helper()
	return h.Run(append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "--no-install-recommends",
		"-o", "APT::Sandbox::User=root", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Options::=--force-unsafe-io"}, argv...)...)
}

// recordingStream makes a new file at each start.
const recordingStream = `[Stream]
ExecStart=ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -c:v libx264 -preset ultrafast \
    /var/lib/ffkeeper-streams/${NAME}-${START}.mp4
`

// recordings fails unless there are some and all are playable.
func (h *Host) recordings() []string {
	h.t.Helper()
	files := strings.Fields(h.Run("find", "/var/lib/ffkeeper-streams", "-name", "*.mp4"))
	if len(files) == 0 {
		h.t.Error("there are no recordings")
	}
	for _, file := range files {
		if r := h.Exec("ffprobe", "-v", "error", "-show_entries", "format=duration", file); r.Code != 0 || r.Stderr != "" {
			h.t.Errorf("%s is not playable: %v", file, r)
		}
	}
	return files
}

// As an administrator does it with apt: install, upgrade, disable, remove,
// install again, purge, install again.
func TestDebOnRunningSystem(t *testing.T) {
	t.Parallel()
	first, _ := pack(t, "v1.0.0")
	second, _ := pack(t, "v1.1.0")
	second = withOtherConffiles(t, second)
	h := packaged(t)
	h.copyIn(first, "/srv/packages/first.deb")
	h.copyIn(second, "/srv/packages/second.deb")

	h.write(streamFile("cam1"), recordingStream)
	start := time.Now()
	h.apt("install", "/srv/packages/first.deb")
	installed := time.Since(start)
	delivering := h.WaitJournal(30*time.Second, "FFKEEPER_STREAM=cam1", "FFKEEPER_EVENT=delivering")
	usec, err := strconv.ParseInt(delivering["__REALTIME_TIMESTAMP"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("apt-get install took %v; %v after it began a stream delivered", installed.Round(time.Millisecond), time.UnixMicro(usec).Sub(start).Round(time.Millisecond))
	if got := h.Run("dpkg", "--verify", "ffkeeper"); got != "" {
		t.Errorf("dpkg --verify: %s", got)
	}
	for _, unit := range []string{"ffkeeper.service", "ffkeeper-streams.socket"} {
		if got := h.Run("systemctl", "is-enabled", unit); got != "enabled" {
			t.Errorf("%s is %s", unit, got)
		}
	}
	if got := h.Run("systemctl", "is-enabled", "dbus-org.ffkeeper1.service"); got != "alias" && got != "enabled" {
		t.Errorf("bus activation is %s", got)
	}
	if out := h.Run("systemd-analyze", "verify", "ffkeeper.service", "ffkeeper-stopped.service", "ffkeeper-streams.service", "ffkeeper-streams.socket"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	if out := h.Run("journalctl", "--no-pager", "-x", "FFKEEPER_EVENT=delivering"); !strings.Contains(out, "The whole story: ") {
		t.Errorf("journalctl -x does not explain the event:\n%s", out)
	}
	// As Tab does it, in a shell that has found the script by itself.
	complete := `. /usr/share/bash-completion/bash_completion; _completion_loader ffkeeperctl
COMP_WORDS=(ffkeeperctl status ca) COMP_CWORD=2 COMP_LINE="ffkeeperctl status ca" COMP_POINT=21; COMP_TYPE=9
__start_ffkeeperctl; echo "${COMPREPLY[*]}"`
	if got := h.Run("bash", "-c", complete); !strings.HasPrefix(got, "cam1") {
		t.Errorf("cam1 is completed to %q", got)
	}

	// The upgrade. The keeper is another one, the streams' processes are not.
	h.write(streamFile("testcard"), "# mine\n")
	mainPID := func(unit string) string { return h.Property(unit, "MainPID") }
	pid, shim, keeper := h.pid("cam1"), mainPID("ffkeeper-streams.service"), mainPID("ffkeeper.service")
	h.apt("install", "/srv/packages/second.deb")
	if got := h.pid("cam1"); got != pid {
		t.Errorf("the stream is process %s after the upgrade, was %s", got, pid)
	}
	if got := mainPID("ffkeeper-streams.service"); got != shim {
		t.Errorf("the shim is process %s after the upgrade, was %s", got, shim)
	}
	if got := mainPID("ffkeeper.service"); got == keeper {
		t.Error("the keeper is the old one after the upgrade")
	}
	if got := h.Run("busctl", "get-property", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "Version"); got != `s "v1.1.0"` {
		t.Errorf("the keeper's version is %s", got)
	}
	h.Eventually(20*time.Second, "the shim's upgrade in place", func() string {
		if exe := h.Run("readlink", "/proc/"+shim+"/exe"); exe != "/usr/bin/ffkeeper-shim" {
			return exe
		}
		return ""
	})
	h.Run("ffkeeperctl", "is-healthy", "cam1")
	if got := h.Run("cat", streamFile("testcard")); got != "# mine" {
		t.Errorf("the upgrade has overwritten a changed file:\n%s", got)
	}
	if got := h.Run("tail", "-n", "1", "/etc/default/ffkeeper"); got != "# of another version" {
		t.Errorf("the upgrade has not brought the new version of an unchanged file, which ends %q", got)
	}

	// What has been disabled stays so.
	h.Run("systemctl", "disable", "ffkeeper.service")
	h.apt("install", "--reinstall", "/srv/packages/second.deb")
	if got := h.Exec("systemctl", "is-enabled", "ffkeeper.service").Stdout; got != "disabled\n" {
		t.Errorf("after an upgrade a disabled ffkeeper.service is %s", got)
	}
	if got := h.pid("cam1"); got != pid {
		t.Errorf("the stream is process %s after a second upgrade, was %s", got, pid)
	}
	h.Run("systemctl", "enable", "ffkeeper.service")
	h.Run("systemctl", "enable", "--now", "ffkeeper-stream@cam1.service")

	h.apt("remove", "ffkeeper")
	if left := h.processes(); left != "" {
		t.Errorf("after the removal processes run on: %s", left)
	}
	if got := len(h.recordings()); got != 1 {
		t.Errorf("one run has left %d recordings", got)
	}
	for _, dir := range []string{"/usr/bin", "/usr/lib", "/usr/share"} {
		if left := h.Run("find", dir, "-name", "*ffkeeper*"); left != "" {
			t.Errorf("after the removal there is still\n%s", left)
		}
	}
	h.Run("test", "-e", "/etc/default/ffkeeper")

	h.apt("install", "/srv/packages/second.deb")
	h.Run("ffkeeperctl", "start", "--wait-ok", "cam1")
	if got := h.Run("cat", streamFile("testcard")); got != "# mine" {
		t.Errorf("installed again, a changed file is\n%s", got)
	}

	h.apt("purge", "ffkeeper")
	if left := h.Run("find", "/etc", "/var/lib/systemd", "/usr/lib/systemd", "-name", "*ffkeeper*"); left != "" {
		t.Errorf("after the purge there is still\n%s", left)
	}
	if got := len(h.recordings()); got != 2 {
		t.Errorf("after the purge there are %d recordings, want both", got)
	}

	h.apt("install", "/srv/packages/first.deb")
	h.Run("ffkeeperctl", "start", "--wait-ok", "testcard")
}

// withOtherConffiles is a package whose configuration files differ from those
// of the sources, as a later version's may.
func withOtherConffiles(t *testing.T, deb string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	run(t, "dpkg-deb", "-R", deb, root)
	for _, path := range []string{"/etc/default/ffkeeper", streamFile("testcard")} {
		f, err := os.OpenFile(filepath.Join(root, path), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(f, "# of another version")
		f.Close()
	}
	out := filepath.Join(t.TempDir(), "other.deb")
	run(t, "dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", root, out)
	return out
}

// rpm on a system that is not its own shows that the scripts do what they
// should; what packages it needs it cannot know there.
func TestRPMOnRunningSystem(t *testing.T) {
	t.Parallel()
	_, first := pack(t, "v1.0.0")
	_, second := pack(t, "v1.1.0")
	h := packaged(t)
	h.copyIn(first, "/srv/packages/first.rpm")
	h.copyIn(second, "/srv/packages/second.rpm")
	rpm := func(argv ...string) {
		t.Helper()
		h.Run(append([]string{"rpm", "--nodeps"}, argv...)...)
	}
	h.write(streamFile("cam1"), recordingStream)
	rpm("-i", "/srv/packages/first.rpm")
	if got := h.Property("ffkeeper.service", "ActiveState"); got != "inactive" {
		t.Errorf("after the installation alone ffkeeper.service is %s", got)
	}
	h.Run("systemctl", "enable", "--now", "ffkeeper.service")
	h.waitHealthy("cam1")
	h.write("/etc/default/ffkeeper", "# mine\n")

	pid, shim := h.pid("cam1"), h.Property("ffkeeper-streams.service", "MainPID")
	rpm("-U", "/srv/packages/second.rpm")
	if got := h.pid("cam1"); got != pid {
		t.Errorf("the stream is process %s after the upgrade, was %s", got, pid)
	}
	if got := h.Property("ffkeeper-streams.service", "MainPID"); got != shim {
		t.Errorf("the shim is process %s after the upgrade, was %s", got, shim)
	}
	if got := h.Run("busctl", "get-property", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "Version"); got != `s "v1.1.0"` {
		t.Errorf("the keeper's version is %s", got)
	}
	if got := h.Run("cat", "/etc/default/ffkeeper"); got != "# mine" {
		t.Errorf("the upgrade has overwritten a changed file:\n%s", got)
	}

	rpm("-e", "ffkeeper")
	if left := h.processes(); left != "" {
		t.Errorf("after the removal processes run on: %s", left)
	}
	h.recordings()
	if got := h.Exec("systemctl", "list-unit-files", "--no-legend", "ffkeeper*").Stdout; got != "" {
		t.Errorf("after the removal there is still\n%s", got)
	}
}
