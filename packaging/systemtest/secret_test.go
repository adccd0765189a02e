package systemtest

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// One key for each way a secret gets into a command line. None may be found in
// anything that we write or show.
var secrets = map[string]string{
	"rtmp": `ExecStart=ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -f flv rtmp://127.0.0.1:1/app/s3cretRTMPkey`,
	"http": `ExecStart=ffmpeg -i http://viewer:s3cretHTTPpass@127.0.0.1:1/stream -f null -`,
	"srt":  `ExecStart=ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -f mpegts "srt://127.0.0.1:1?passphrase=s3cretSRTpassphrase"`,
	"opts": `ExecStart=ffmpeg -headers "Authorization: Bearer s3cretHeader" -i http://127.0.0.1:1/?token=s3cretToken -f null -`,
	"tee":  `ExecStart=ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -c:v flv1 -map 0 -f tee "[f=flv]rtmp://127.0.0.1:1/app/s3cretTeeA|[f=flv:onfail=ignore]rtmp://127.0.0.1:1/app/s3cretTeeB"`,
	"echo": `Type=simple
Environment=URL=rtmp://127.0.0.1/app/s3cretEnvKey
ExecStart=sh -c "echo publishing to ${URL} >&2; exit 1"`,
}

func TestSecretsAppearNowhere(t *testing.T) {
	streams := map[string]string{}
	for name, text := range secrets {
		streams[name] = "[Stream]\n" + text + "\nRestartSec=1s\nRestartMaxAttempts=1\n"
	}
	h := serving(t, streams, nil)
	for name := range secrets {
		h.WaitJournal(30*time.Second, "FFKEEPER_STREAM="+name, "FFKEEPER_EVENT=failed")
	}
	manager := []string{"busctl", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager"}
	var all []shown
	add := func(what, text string, marks ...string) { all = append(all, shown{what, text, marks}) }
	names := slices.Collect(maps.Keys(secrets))
	urls := []string{"rtmp://127.0.0.1:1/app/[redacted]", "http://[redacted]@127.0.0.1:1/stream", "srt://127.0.0.1:1?passphrase=[redacted]", "http://127.0.0.1:1/?token=[redacted]"}
	add("the journal", h.Run("journalctl", "--no-pager", "--all", "-o", "export", "-u", "ffkeeper", "-u", "ffkeeper-streams"), urls...)
	add("the report", h.Run(append(manager, "GetHealthReport")...), urls...)
	add("the objects", h.Run("busctl", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"), urls...)
	add("systemctl", h.both("systemctl status --no-pager -n 500 ffkeeper"), urls...)
	add("list", h.Run("ffkeeperctl", "list"), names...)
	add("list --json", h.Run("ffkeeperctl", "--json", "list"), urls...)
	// As of now there are only sockets there.
	add("the run files", h.Run("sh", "-c", "find /run/ffkeeper /run/ffkeeper-streams /var/lib/ffkeeper-streams -print -type f -exec cat {} +"), "/run/ffkeeper-streams/")
	for name := range secrets {
		add("status "+name, h.Exec("ffkeeperctl", "status", name).Stdout, name, "[redacted]")
		add("logs "+name, h.Exec("ffkeeperctl", "logs", name).Stdout, name, "[redacted]")
		add("lines "+name, h.Run(append(manager, "GetLines", "su", name, "50")...), "[redacted]")
	}
	searched(t, all)
}
