package systemtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// shown is what a path to the outside has shown. The marks are words that are
// there only if what is to be redacted has come by.
type shown struct {
	what, text string
	marks      []string
}

// searched fails the test where a secret is shown, and where nothing proves
// that there was one to be hidden.
func searched(t *testing.T, all []shown) {
	t.Helper()
	for _, s := range all {
		for _, mark := range s.marks {
			if !strings.Contains(s.text, mark) {
				t.Errorf("no %q in %s: has anything been tried? It begins\n%.2000s", mark, s.what, s.text)
			}
		}
		if len(s.marks) == 0 || strings.TrimSpace(s.text) == "" {
			t.Errorf("%s proves nothing: %q", s.what, s.text)
		}
		for line := range strings.Lines(s.text) {
			if strings.Contains(line, "s3cret") {
				t.Errorf("%s: %s", s.what, line)
			}
		}
	}
}

// both is all that a command writes, whether it succeeds or not.
func (h *Host) both(command string) string {
	h.t.Helper()
	return h.Exec("sh", "-c", "{ "+command+"; } 2>&1").Stdout
}

// One stream for each way in which what we run, or cannot run, tells of a
// secret. All fail for good at once.
var telling = map[string]string{
	// a hook that fails and tells all it knows
	"hook": `Type=simple
Description=to rtmp://127.0.0.1/app/s3cretDescription
Environment=URL=rtmp://127.0.0.1/app/s3cretHookKey
Environment=STREAM_KEY=s3cret-bare-4f1c
ExecStart=sh -c "echo publishing to ${URL} >&2; exit 1"
OnFailure=sh -c 'env >&2; echo "cannot tell of $$URL by $$STREAM_KEY and $$2: $$FFKEEPER_DETAIL" >&2; exit 1' sh --token s3cret-of-hook-77e0`,
	"builder": `CommandBuilder=sh -c 'echo "cannot ask http://viewer:s3cretBuilder@127.0.0.1/list with $$STREAM_KEY" >&2; exit 1'
Environment=STREAM_KEY=s3cret-bare-b51d`,
	// what it printed is quoted in part
	"printer": `CommandBuilder=echo ffmpeg -i http://s3cretPrinted` + filler + `@127.0.0.1/main`,
	// ffmpeg was forgotten
	"program": `CommandBuilder=echo '["http://s3cretProgram` + filler + `@127.0.0.1/main"]'`,
	// the shim cannot spawn it
	"spawn": `Type=simple
WorkingDirectory=/root/passphrase=s3cretDirectory
ExecStart=sleep 1000`,
}

// What these and those of secrets say of themselves, by all that shows it.
func TestSecretsOfFailuresAppearNowhere(t *testing.T) {
	files := map[string]string{streamFile("probe"): "[Stream]\nType=simple\nAutostart=no\nExecStart=sleep 1000\n"}
	streams := maps.Clone(telling)
	maps.Copy(streams, secrets)
	for name, text := range streams {
		files[streamFile(name)] = "[Stream]\n" + text + "\nAutostart=no\nRestartSec=1s\nRestartMaxAttempts=1\n"
	}
	h := installed(t, files)
	h.Run("mkdir", "-p", "-m", "0700", "/root/passphrase=s3cretDirectory")
	bus := h.listenTo(t, "busctl", "monitor", "--json=short")
	bus.wait("Monitoring bus")
	h.Run("systemctl", "start", "ffkeeper")
	monitor, monitorJSON := h.listenTo(t, "ffkeeperctl", "monitor"), h.listenTo(t, "ffkeeperctl", "--json", "monitor")
	h.Eventually(20*time.Second, "both monitors listen", func() string {
		h.Run("ffkeeperctl", "restart", "probe")
		if !strings.Contains(monitor.text(), "probe") || !strings.Contains(monitorJSON.text(), "probe") {
			return "one has not seen the probe"
		}
		return ""
	})

	names := slices.Sorted(maps.Keys(streams))
	every := strings.Join(names, " ")
	var all []shown
	add := func(what, text string, marks ...string) { all = append(all, shown{what, text, marks}) }
	add("start", h.both("ffkeeperctl start "+every), "builder", "spawn", "[redacted]")
	for name := range streams {
		h.WaitJournal(60*time.Second, "FFKEEPER_STREAM="+name, "FFKEEPER_EVENT=failed")
	}
	h.WaitJournal(30*time.Second, "FFKEEPER_STREAM=hook", "FFKEEPER_EVENT=hook-failed")
	add("Start of D-Bus", h.both("busctl call org.ffkeeper1 /org/ffkeeper1/stream/spawn org.ffkeeper1.Stream Start 'a{sv}' 0"), "/root/passphrase=[redacted]")

	fails := []string{
		"cannot ask http://[redacted]@127.0.0.1/list with [redacted]",
		"rtmp://127.0.0.1/app/[redacted]",
		"http://[redacted]@127.0.0.1/main",
		"/root/passphrase=[redacted]",
	}
	hook := "cannot tell of rtmp://127.0.0.1/app/[redacted] by [redacted] and [redacted]: "
	add("the journal", h.Run("journalctl", "--no-pager", "--all", "-o", "export", "-u", "ffkeeper", "-u", "ffkeeper-streams"), slices.Concat(fails, []string{hook, "URL=rtmp://127.0.0.1/app/[redacted]", "FFKEEPER_DETAIL="})...)
	add("logs", h.both("ffkeeperctl logs -n 1000 "+every), slices.Concat(fails, []string{hook})...)
	add("status", h.both("ffkeeperctl status --full "+every), slices.Concat(fails, names)...)
	add("status --json", h.both("ffkeeperctl --json status "+every), slices.Concat(fails, names)...)
	add("health", h.both("ffkeeperctl health --full "+every), slices.Concat(names, []string{fails[0], fails[2], fails[3]})...)
	add("health --json", h.both("ffkeeperctl --json health "+every), slices.Concat(fails, names)...)
	add("list", h.both("ffkeeperctl list"), slices.Concat(names, []string{"to rtmp://127.0.0.1/app/[redacted]"})...)
	add("list --json", h.both("ffkeeperctl --json list"), slices.Concat(fails, names)...)
	add("top", h.both("ffkeeperctl top -n 1"), names...)
	add("top --json", h.both("ffkeeperctl --json top -n 1"), slices.Concat(fails, names)...)
	add("top on a terminal", h.both(`TERM=xterm script -qec 'stty rows 50 cols 300; ffkeeperctl top -n 1' /dev/null`), names...)
	add("the report", h.both("busctl call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager GetHealthReport"), slices.Concat(fails, names)...)
	add("the objects", h.both("busctl call org.ffkeeper1 /org/ffkeeper1 org.freedesktop.DBus.ObjectManager GetManagedObjects"), slices.Concat(fails, names)...)
	add("STATUS=", h.Property("ffkeeper", "StatusText"), "streams: ", "failed")
	add("systemctl status", h.both("systemctl status --no-pager --full -n 1000 ffkeeper ffkeeper-streams"), "ffkeeper.service", "[redacted]")
	for _, name := range []string{"hook", "echo", "rtmp"} {
		add("lines of "+name, h.both("busctl call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager GetLines su "+name+" 50"), "rtmp://127.0.0.1", "[redacted]")
	}
	add("cat with nobody's rights", h.both("chmod 0640 "+streamFile("hook")+"; runuser -u nobody -- ffkeeperctl cat hook"), "hook.stream", "permission denied")
	// Events have names and reasons, and nothing else to tell.
	monitor.wait("hook failed")
	monitorJSON.wait("restart-limit")
	add("monitor", monitor.text(), slices.Concat(names, []string{"builder-failed", "spawn-failed", "no-program"})...)
	add("monitor --json", monitorJSON.text(), slices.Concat(names, []string{"builder-failed", "spawn-failed", "no-program"})...)
	add("the signals", bus.text(), slices.Concat(fails, []string{"StateChanged", "StreamFailed", "PropertiesChanged", "spawn"})...)
	searched(t, all)
}

// What is wrong with a file is quoted of it, secrets and all.
const brokenStream = `[Stream]
Type=simple
RestartSec=http://viewer:s3cretSpan@127.0.0.1/
Documentation=ftp://viewer:s3cretAddress@127.0.0.1/
ExecStart=http://s3cretProgramOfAFile` + filler + `@127.0.0.1/main -f null -
`

// filler is longer than what is quoted of a line.
const filler = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

func TestSecretsOfBrokenFilesAppearNowhere(t *testing.T) {
	h := serving(t, map[string]string{"broken": "[Stream]\nType=simple\nExecStart=sleep 1000\n"}, map[string]string{
		"/root/supervisord.conf": "[program:a]\ncommand=sleep 1000 rtmp://127.0.0.1/app/s3cretImported\n-headers s3cret: 1\n[program:b]\ncommand=sleep 1000\nnumprocs=s3cretNumber\n",
		"/root/a.service":        "[Unit]\nDocumentation=ftp://viewer:s3cretUnit@127.0.0.1/\n[Service]\nExecStart=sleep 1000\n-i rtsp://viewer:s3cretLine@127.0.0.1/main\n",
	})
	bus := h.listenTo(t, "busctl", "monitor", "--json=short")
	bus.wait("Monitoring bus")
	h.write(streamFile("broken"), brokenStream) // which runs by its earlier text
	h.write(streamFile("new"), brokenStream)
	wrong := []string{
		`"http://[redacted]@127.0.0.1/" is not a time span`,
		`"ftp://[redacted]@127.0.0.1/" is not an address`,
		`the program "http://[redacted]@127.0.0.1/main" is a relative path`,
	}
	var all []shown
	add := func(what, text string, marks ...string) {
		all = append(all, shown{what, strings.ReplaceAll(text, `\"`, `"`), marks})
	}
	add("verify", h.both("ffkeeperctl verify "+streamFile("new")), wrong...)
	add("verify --all", h.both("ffkeeperctl verify --all"), wrong...)
	add("verify --json", h.both("ffkeeperctl --json verify --all"), wrong...)
	add("Reload of D-Bus", h.both("busctl call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager Reload"), wrong...)
	add("reload", h.both("ffkeeperctl reload"), wrong...)
	add("reload --json", h.both("ffkeeperctl --json reload"), wrong...)
	add("systemctl reload", h.both("systemctl reload ffkeeper"), "ffkeeper.service")
	h.Run("systemctl", "kill", "-s", "HUP", "--kill-whom=main", "ffkeeper")
	h.WaitJournal(20*time.Second, "-u", "ffkeeper", "FFKEEPER_STREAM=broken", "-g", "reload: ")
	add("the journal", h.Run("journalctl", "--no-pager", "--all", "-u", "ffkeeper"), slices.Concat(wrong, []string{"reload: ", "ffkeeperctl["})...)
	h.Run("ffkeeperctl", "stop", "broken")
	add("start", h.both("ffkeeperctl start broken"), wrong...)
	add("status", h.both("ffkeeperctl status --full new"), wrong...)
	add("status --json", h.both("ffkeeperctl --json status new"), wrong...)
	add("the objects", h.both("busctl call org.ffkeeper1 /org/ffkeeper1 org.freedesktop.DBus.ObjectManager GetManagedObjects"), wrong...)
	add("import of supervisord's", h.both("cd /root; ffkeeperctl import supervisord supervisord.conf; ffkeeperctl --json import supervisord supervisord.conf"),
		"supervisord.conf:3: ", "supervisord.conf:6: numprocs=", "supervisord.conf:2: command=: it holds what looks like a key")
	add("import of a unit", h.both("cd /root; ffkeeperctl import systemd a.service; ffkeeperctl --json import systemd a.service"), wrong[1], "a.service:5: ")
	bus.wait("is not a time span")
	add("the bus", bus.text(), wrong...)
	searched(t, all)
}
