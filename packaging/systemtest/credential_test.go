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

	h.searchForCredentials(t, bus)

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
	h.searchForCredentials(t, bus)

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

// searchForCredentials looks through all that we write, show or leave.
func (h *Host) searchForCredentials(t *testing.T, bus *output) {
	t.Helper()
	manager := []string{"busctl", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager"}
	shown := map[string]string{
		"a command line": h.Run("sh", "-c", "for p in $(find /proc -mindepth 1 -maxdepth 1 '(' -user ffkeeper -o -user ffkeeper-streams ')'); do tr '\\0' ' ' <$p/cmdline; echo; done"),
		"the journal":    h.Run("journalctl", "--no-pager", "--all", "-o", "export"),
		"the report":     h.Run(append(manager, "GetHealthReport")...),
		"the objects":    h.Run("busctl", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
		"the bus":        bus.text(),
		"systemctl":      h.Run("sh", "-c", "systemctl status --no-pager -n 500 ffkeeper ffkeeper-streams; systemctl show ffkeeper ffkeeper-streams"),
		"list --json":    h.Run("ffkeeperctl", "--json", "list"),
		"the run files":  h.Run("sh", "-c", "find /run/ffkeeper /run/ffkeeper-streams /run/systemd/units /var/lib/ffkeeper-streams -type f -exec cat {} +"),
		"verify":         h.Exec("ffkeeperctl", "verify", "--all").Stderr,
	}
	for _, name := range []string{"studio", "backup", "srt", "wrong", "other"} {
		shown["cat "+name] = h.Run("ffkeeperctl", "cat", name)
		shown["cat --json "+name] = h.Run("ffkeeperctl", "--json", "cat", name)
		shown["status "+name] = h.Exec("ffkeeperctl", "status", name).Stdout
		shown["status --json "+name] = h.Exec("ffkeeperctl", "--json", "status", name).Stdout
		shown["logs "+name] = h.Exec("ffkeeperctl", "logs", name).Stdout
		shown["lines "+name] = h.Run(append(manager, "GetLines", "su", name, "50")...)
		shown["health "+name] = h.Run(append(manager, "GetHealth", "s", name)...)
	}
	for what, text := range shown {
		for _, secret := range []string{studioKey, backupKey, passphrase, filed, inEnviron} {
			for line := range strings.Lines(text) {
				if strings.Contains(line, secret) {
					t.Errorf("%s is in %s: %s", secret, what, line)
				}
			}
		}
		if strings.TrimSpace(text) == "" && what != "verify" && !strings.HasPrefix(what, "logs") && what != "the run files" {
			t.Errorf("%s is empty: has anything been searched?", what)
		}
	}
	if !strings.Contains(shown["a command line"], "-fpre /dev/fd/4") || !strings.Contains(shown["the journal"], "[redacted]") {
		t.Error("no preset in a command line, or nothing redacted: has anything been searched?")
	}
	// But for the one in its environment nobody's environment has one, and
	// what the shim holds, notes for the next keeper too, has none.
	environ := h.Run("sh", "-c", "for p in $(find /proc -mindepth 1 -maxdepth 1 '(' -user ffkeeper -o -user ffkeeper-streams ')'); do tr '\\0' ' ' <$p/environ; echo; done")
	shim := h.Property("ffkeeper-streams", "MainPID")
	memory := h.memory(t, shim)
	if !bytes.Contains(memory, []byte("/etc/ffkeeper/streams.d")) && !bytes.Contains(memory, []byte("studio.stream")) {
		t.Error("the shim's memory knows no stream: has it been read?")
	}
	for _, secret := range []string{studioKey, backupKey, passphrase, filed} {
		if strings.Contains(environ, secret) {
			t.Errorf("%s is in an environment", secret)
		}
		if bytes.Contains(memory, []byte(secret)) {
			t.Errorf("%s is in the shim's memory", secret)
		}
	}
	if strings.Count(environ, inEnviron) != 1 {
		t.Errorf("the one in an environment is in %d", strings.Count(environ, inEnviron))
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
		defer r.Close()
		defer close(o.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			o.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
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
