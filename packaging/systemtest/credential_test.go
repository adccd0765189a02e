package systemtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The values of credentials in this test. All but the last are for ffmpeg's
// presets and descriptors; that is for an environment, which is another thing.
const (
	studioKey  = "s3cret-studio-4f1c9a"
	backupKey  = "s3cret-backup-77e02d"
	passphrase = "s3cret-passphrase-b51"
	filed      = "s3cret-in-a-file-0c4e"
	inEnviron  = "envs3cr3t-token-9d2b"
)

// Keys for RTMP and SRT, from each of the places where a credential may be,
// reach a real server and are found nowhere else.
func TestCredentialsReachTheServerAndAppearNowhere(t *testing.T) {
	tree, err := sourceTree()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(tree, "contrib/examples", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const source = "ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -c:v libx264 -preset ultrafast -g 10 "
	srt := func(credential, port string) string {
		return "[Stream]\nAutostart=no\nRestartSec=500ms\nOutputPreset=srt passphrase=${CREDENTIAL:" + credential + "} srt_streamid=${CREDENTIAL:backup-key}\n" +
			"ExecStart=" + source + "-fpre ${PRESET_srt} -f mpegts srt://127.0.0.1:" + port + "\n"
	}
	h := installed(t, map[string]string{
		"/etc/systemd/system/ffkeeper.service.d/credentials.conf": read("credentials.conf"),
		"/etc/systemd/system/ffkeeper.service.d/more.conf":        "[Service]\nLoadCredentialEncrypted=passphrase:/etc/ffkeeper/passphrase.cred\n",
		streamFile("studio"): read("studio.stream"),
		streamFile("backup"): "[Stream]\nAutostart=no\nOutputPreset=live rtmp_playpath=${CREDENTIAL:backup-key}\nExecStart=" + source + "-fpre ${PRESET_live} -f flv rtmp://127.0.0.1:1936/app\n",
		streamFile("srt"):    srt("passphrase", "9000"),
		streamFile("wrong"):  srt("backup-key", "9001"),
		streamFile("other"): "[Stream]\nAutostart=no\nType=simple\nEnvironmentCredential=TOKEN=token\n" +
			"ExecStart=sh -c 'cat <&4; echo \"it is $TOKEN\"; exec sleep 1000' sh ${CREDENTIAL_FD:filed}\n",
	})
	put := func(value string, argv ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), commandTime)
		defer cancel()
		cmd := h.Command(ctx, argv...)
		cmd.Stdin = strings.NewReader(value)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
	}
	own := []string{"install", "-D", "-m", "0600", "-o", "ffkeeper", "/dev/stdin"} // as the manual has it
	put(studioKey+"\n", "install", "-D", "-m", "0600", "/dev/stdin", "/etc/ffkeeper/studio-key")
	put(passphrase, "systemd-creds", "encrypt", "--with-key=host", "--name=passphrase", "-", "/etc/ffkeeper/passphrase.cred")
	for name, value := range map[string]string{"backup-key": backupKey, "filed": filed, "token": inEnviron} {
		put(value+"\n", append(own, "/etc/ffkeeper/credentials/"+name)...)
	}

	// Servers, of nobody's unit.
	studio := h.listen(t, "-listen", "1", "-i", "rtmp://127.0.0.1/app/"+studioKey)
	backup := h.listen(t, "-listen", "1", "-i", "rtmp://127.0.0.1:1936/app/another-key")
	srtServer := h.listen(t, "-i", "srt://127.0.0.1:9000?mode=listener&passphrase="+passphrase)
	wrongServer := h.listen(t, "-i", "srt://127.0.0.1:9001?mode=listener&passphrase="+passphrase)
	h.Eventually(20*time.Second, "servers listen", func() string {
		sockets := h.Run("cat", "/proc/net/tcp", "/proc/net/udp")
		for _, port := range []int{1935, 1936, 9000, 9001} {
			if !strings.Contains(sockets, fmt.Sprintf(":%04X ", port)) {
				return fmt.Sprint("not on port ", port)
			}
		}
		return ""
	})
	bus := h.listenTo(t, "busctl", "monitor", "--json=short")
	bus.wait("Monitoring bus")

	h.Run("systemctl", "start", "ffkeeper")
	h.Run("ffkeeperctl", "start", "--no-block", "studio", "backup", "srt", "wrong", "other")
	h.waitHealthy("studio", "backup", "srt")
	studio.wait("Input #0, flv")
	if strings.Contains(studio.text(), "Unexpected stream") {
		t.Errorf("the key that arrived is another: %s", studio.text())
	}
	backup.wait("Unexpected stream " + backupKey + ", expecting another-key")
	srtServer.wait("accept streamid [" + backupKey + "]")
	srtServer.wait("Input #0, mpegts")
	wrongServer.wait("BADSECRET")
	h.WaitJournal(30*time.Second, "FFKEEPER_STREAM=wrong", "FFKEEPER_EVENT=restarting")
	h.WaitJournal(30*time.Second, "-t", "other", "-g", "it is .redacted.")
	h.WaitJournal(30*time.Second, "-t", "wrong", "-g", "Input/output error")

	h.searchProcesses(t)

	// The next keeper knows what the last one knew, and starts anew with it.
	h.Run("systemctl", "restart", "ffkeeper")
	h.Run("ffkeeperctl", "restart", "other")
	h.Eventually(20*time.Second, "its second word", func() string {
		if n := len(h.Journal("-t", "other", "-g", "it is .redacted.")); n != 2 {
			return fmt.Sprint(n, " so far")
		}
		return ""
	})
	h.Run("ffkeeperctl", "is-active", "studio", "backup", "srt")
	h.searchProcesses(t)
	h.searchShown(t, bus)

	// The streams' user, which whoever takes an ffmpeg over is.
	as := func(argv ...string) Result {
		return h.Exec(append([]string{"runuser", "-u", "ffkeeper-streams", "--"}, argv...)...)
	}
	for _, file := range []string{"/etc/ffkeeper/credentials/backup-key", "/etc/ffkeeper/studio-key", "/run/credentials/ffkeeper.service/studio-key", "/run/credentials/ffkeeper.service/passphrase"} {
		h.Run("test", "-e", file)
		if r := as("cat", file); r.Code == 0 || !strings.Contains(r.Stderr, "Permission denied") {
			t.Errorf("the streams' user at %s: %v", file, r)
		}
	}
	for _, name := range []string{"studio", "backup", "srt", "other"} {
		fd := "/proc/" + h.pid(name) + "/fd/4"
		if r := as("timeout", "10", "cat", fd); r.Code != 0 || r.Stdout != "" {
			t.Errorf("the streams' user at what %s was given: %v", name, r)
		}
	}
	if r := as("cat", "/proc/"+h.pid("other")+"/environ"); !strings.Contains(r.Stdout, "TOKEN="+inEnviron) {
		t.Errorf("the manual warns that an environment can be read by other streams: %v", r)
	}

	// One that others can read is refused, by its mode and its line.
	h.Run("chmod", "0640", "/etc/ffkeeper/credentials/backup-key")
	r := h.Exec("ffkeeperctl", "verify", streamFile("backup"))
	const why = "backup.stream:3: OutputPreset=: cannot read the credential backup-key, as mode 0640 lets others read it; chmod 0600 /etc/ffkeeper/credentials/backup-key"
	if r.Code == 0 || !strings.Contains(r.Stderr, why) {
		t.Errorf("verify: %v", r)
	}
	h.Exec("ffkeeperctl", "restart", "backup")
	h.WaitJournal(10*time.Second, "FFKEEPER_STREAM=backup", "FFKEEPER_REASON=bad-setting", "-g", "mode 0640 lets others read it")
	h.Run("ffkeeperctl", "is-active", "studio", "srt")
}

// searchShown looks through all that we write, show or leave.
func (h *Host) searchShown(t *testing.T, bus *output) {
	t.Helper()
	shown := map[string]string{"the bus": bus.text()}
	for what, command := range map[string]string{
		"the journal":   "journalctl --no-pager --all -o export",
		"the objects":   "busctl call org.ffkeeper1 /org/ffkeeper1 org.freedesktop.DBus.ObjectManager GetManagedObjects",
		"the report":    "busctl call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager GetHealthReport",
		"systemctl":     "systemctl status --no-pager -n 500 ffkeeper ffkeeper-streams; systemctl show ffkeeper ffkeeper-streams",
		"the run files": "echo files:; find /run/ffkeeper /run/ffkeeper-streams /run/systemd/units /var/lib/ffkeeper-streams -type f -exec cat {} +",
		"list":          "ffkeeperctl --json list; ffkeeperctl list",
		"verify":        "ffkeeperctl verify --all 2>&1; echo verified",
		"cat":           "ffkeeperctl cat studio backup srt wrong other; ffkeeperctl --json cat studio backup srt wrong other",
		"status":        "ffkeeperctl status studio backup srt wrong other; ffkeeperctl --json status studio backup srt wrong other",
		"logs":          "ffkeeperctl logs -n 1000 studio backup srt wrong other",
		"lines":         "for s in studio backup srt wrong other; do busctl call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager GetLines su $s 50; done",
	} {
		shown[what] = h.Exec("sh", "-c", command).Stdout
	}
	for what, text := range shown {
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s is empty: has anything been searched?", what)
		}
		for line := range strings.Lines(text) {
			for _, secret := range []string{studioKey, backupKey, passphrase, filed, inEnviron} {
				if strings.Contains(line, secret) {
					t.Errorf("%s is in %s: %s", secret, what, line)
				}
			}
		}
	}
	for what, mark := range map[string]string{"the bus": "studio", "the journal": "[redacted]", "the objects": "/dev/fd/4", "cat": "${CREDENTIAL:studio-key}", "status": "/dev/fd/4"} {
		if !strings.Contains(shown[what], mark) {
			t.Errorf("no %s in %s: has anything been searched?", mark, what)
		}
	}
}

// searchProcesses looks at what others can see of the processes, and at what
// the shim holds, notes for the next keeper too.
func (h *Host) searchProcesses(t *testing.T) {
	t.Helper()
	all := func(file string) string {
		return h.Run("sh", "-c", "for p in $(find /proc -mindepth 1 -maxdepth 1 '(' -user ffkeeper -o -user ffkeeper-streams ')'); do tr '\\0' ' ' <$p/"+file+"; echo; done")
	}
	commands, environ := all("cmdline"), all("environ")
	if strings.Count(commands, "-fpre /dev/fd/4") < 3 || !strings.Contains(environ, "FFKEEPER_STREAM=studio") {
		t.Errorf("no presets in\n%s, or no stream in an environment: has anything been searched?", commands)
	}
	memory := h.memory(t, h.Property("ffkeeper-streams", "MainPID"))
	if !bytes.Contains(memory, []byte("studio.stream")) {
		t.Error("the shim's memory knows no stream: has it been read?")
	}
	for _, secret := range []string{studioKey, backupKey, passphrase, filed} {
		if strings.Contains(commands+environ, secret) || bytes.Contains(memory, []byte(secret)) {
			t.Errorf("%s is in a command line, an environment or the shim's memory", secret)
		}
	}
	if strings.Contains(commands, inEnviron) || strings.Count(environ, inEnviron) != 1 {
		t.Errorf("what is for one environment is in a command line, or in %d environments", strings.Count(environ, inEnviron))
	}
}

// memory is all that a process of the host can write to.
func (h *Host) memory(t *testing.T, pid string) []byte {
	t.Helper()
	maps, err := os.ReadFile(h.Path("/proc/" + pid + "/maps"))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(h.Path("/proc/" + pid + "/mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var all []byte
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights)
		if !strings.HasPrefix(rights, "rw") || to-from > 1<<28 {
			continue
		}
		part := make([]byte, to-from)
		n, _ := mem.ReadAt(part, from)
		all = append(all, part[:n]...)
	}
	return all
}

// output is what a command of the host has written so far.
type output struct {
	t     *testing.T
	lines chan string
	all   strings.Builder
}

// listen runs an ffmpeg of ours as a server that throws away what it gets.
func (h *Host) listen(t *testing.T, input ...string) *output {
	argv := append([]string{"ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+verbose"}, input...)
	return h.listenTo(t, append(argv, "-f", "null", "-")...)
}

// listenTo runs a command until the test ends and keeps all that it writes.
func (h *Host) listenTo(t *testing.T, argv ...string) *output {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := h.Command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	o := &output{t: t, lines: make(chan string, 1<<16)}
	go func() {
		defer close(o.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			o.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		r.Close() // a child of it may hold the other end
		for range o.lines {
		}
	})
	return o
}

// text is everything up to now.
func (o *output) text() string {
	for {
		select {
		case line, ok := <-o.lines:
			if ok {
				o.all.WriteString(line + "\n")
				continue
			}
		default:
		}
		return o.all.String()
	}
}

// wait returns when it has written what.
func (o *output) wait(what string) {
	o.t.Helper()
	limit := time.After(30 * time.Second)
	for !strings.Contains(o.all.String(), what) {
		select {
		case line, ok := <-o.lines:
			if !ok {
				o.t.Fatalf("ended without %q:\n%s", what, o.all.String())
			}
			o.all.WriteString(line + "\n")
		case <-limit:
			o.t.Fatalf("waited in vain for %q:\n%s", what, o.all.String())
		}
	}
}
