package systemtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exampleDir is where the examples are installed.
const exampleDir = "/usr/share/doc/ffkeeper/examples/"

// What the examples are given that they do not bring along.
const (
	channelKey    = "s3cret-channel-81d0"
	radioPassword = "s3cret-radio-5b27"
)

const iceCast = `<icecast>
<limits><sources>2</sources></limits>
<authentication><source-password>` + radioPassword + `</source-password><admin-user>admin</admin-user><admin-password>other</admin-password></authentication>
<listen-socket><port>8000</port><bind-address>127.0.0.1</bind-address></listen-socket>
<paths><basedir>/usr/share/icecast2</basedir><logdir>/var/log/icecast2</logdir><webroot>/etc/icecast2/web</webroot><adminroot>/etc/icecast2/admin</adminroot></paths>
<logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>3</loglevel></logging>
</icecast>
`

// The examples, as they are installed, do what they say: against an RTSP
// server, an RTMP server and Icecast, and with a program that feeds frames.
func TestExamplesStreamToRealServers(t *testing.T) {
	h := installed(t, map[string]string{
		"/etc/ffkeeper/camera-127.0.0.1.env": "PASSWORD=x\nTRANSPORT=udp\n",
		"/etc/ffkeeper/camera.env":           "PASSWORD=x\nTRANSPORT=udp\n",
		"/etc/hosts":                         "127.0.0.1 localhost\n127.0.0.2 live.example.com\n",
		"/srv/icecast.xml":                   iceCast,
	})
	h.Run("sh", "-c", "cp "+exampleDir+"*.stream /etc/ffkeeper/streams.d/ && cd /etc/ffkeeper/streams.d && for c in camera camera-hls; do ln -s $c@.stream $c@127.0.0.1.stream; done")
	h.put(t, channelKey+"\n", "install", "-D", "-m", "0600", "-o", "ffkeeper", "/dev/stdin", "/etc/ffkeeper/credentials/channel-key")
	h.put(t, radioPassword+"\n", "install", "-D", "-m", "0600", "-o", "ffkeeper", "/dev/stdin", "/etc/ffkeeper/credentials/radio-password")
	const encoded = "-c:v libx264 -preset ultrafast -tune zerolatency -g 10 "
	h.Run("install", "-d", "-o", "ffkeeper-streams", "-g", "ffkeeper-streams", "/var/lib/ffkeeper-streams")
	h.Run("sh", "-c", "ffmpeg -v error -f lavfi -i testsrc2=size=160x90:rate=10 -t 1 "+encoded+"/var/lib/ffkeeper-streams/channel.mp4")

	// Icecast does not run as root.
	h.listenTo(t, "runuser", "-u", "icecast2", "--", "icecast2", "-c", "/srv/icecast.xml")
	channel := h.listenTo(t, "ffmpeg", "-nostdin", "-v", "error", "-stats_period", "0.2", "-progress", "pipe:1",
		"-listen", "1", "-analyzeduration", "200000", "-i", "rtmp://127.0.0.1/app/"+channelKey, "-c", "copy", "-f", "null", "-")
	fromCamera := h.listen(t, "-listen", "1", "-i", "rtmp://127.0.0.2/app/127.0.0.1")
	h.listenTo(t, "rtsp-server-perl", "--rtp_start_port", "21000")
	h.Eventually(20*time.Second, "the servers listen", func() string {
		sockets := h.Run("cat", "/proc/net/tcp")
		for _, address := range []string{"00000000:022A", "00000000:15A9", "0100007F:078F", "0200007F:078F", "0100007F:1F40"} {
			if !strings.Contains(sockets, address+" 00000000:0000 0A") {
				return "not on " + address
			}
		}
		return ""
	})
	camera := append([]string{"ffmpeg", "-nostdin", "-v", "error"}, strings.Fields(picture+" "+encoded+"-progress pipe:1 -f rtsp rtsp://127.0.0.1:5545/stream1")...)
	h.listenTo(t, camera...).wait("frame=")

	h.Run("systemctl", "start", "ffkeeper")
	h.Run("ffkeeperctl", "start", "--no-block", "channel", "radio", "feeder")
	h.Run("useradd", "--system", "--groups", "ffkeeper", "feeder")
	feeder := h.listenTo(t, "runuser", "-u", "feeder", "--", exampleDir+"feeder.py")
	feeder.wait("feeder: feeding")
	h.waitHealthy("camera@127.0.0.1", "camera-hls@127.0.0.1", "channel", "radio", "feeder")

	fromCamera.wait("Input #0, flv")
	h.waitVideo(t, "camera-hls@127.0.0.1", "h264,160")
	// The file has a second; what the server gets has more.
	channel.wait("out_time_ms=2")
	h.Eventually(20*time.Second, "a listener hears the radio", func() string {
		r := h.Exec("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", "http://127.0.0.1:8000/radio.ogg")
		if !strings.Contains(r.Stdout, "vorbis") {
			return r.String()
		}
		return ""
	})

	processes := h.Run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
	journal := h.Run("journalctl", "--no-pager", "--all", "-o", "export")
	if !strings.Contains(processes, "-fpre /dev/fd/4") {
		t.Error("no preset in any command line: has anything been searched?")
	}
	for _, secret := range []string{channelKey, radioPassword} {
		// The RTMP server of this test has it in its own.
		if strings.Contains(strings.Replace(processes, "rtmp://127.0.0.1/app/"+channelKey, "", 1), secret) || strings.Contains(journal, secret) {
			t.Errorf("%s is in a command line or the journal", secret)
		}
	}
	h.feederGoesOn(t, feeder)
}

// put runs a command with this input.
func (h *Host) put(t *testing.T, input string, argv ...string) {
	t.Helper()
	cmd := h.Command(t.Context(), argv...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
}

// waitVideo waits until a stream's playlist can be played, as that.
func (h *Host) waitVideo(t *testing.T, name, want string) {
	t.Helper()
	h.Eventually(30*time.Second, "the playlist of "+name, func() string {
		r := h.Exec("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=codec_name,width", "-of", "csv=p=0", "/var/lib/ffkeeper-streams/"+name+".m3u8")
		if r.Code != 0 || !strings.Contains(r.Stdout, want) {
			return r.String()
		}
		return ""
	})
}

// frames are those that a stream's ffmpeg has encoded in this run.
func (h *Host) frames(name string) (n int) {
	h.t.Helper()
	out := h.Run("ffkeeperctl", "--json", "health", name)
	if _, after, ok := strings.Cut(out, `"frame":`); ok {
		fmt.Sscan(after, &n)
	}
	return n
}

// feederGoesOn: over a restart of the keeper, which it need not notice, and
// over deaths and restarts of the stream, with whole frames each time.
func (h *Host) feederGoesOn(t *testing.T, feeder *output) {
	t.Helper()
	pid := h.pid("feeder")
	h.Run("systemctl", "restart", "ffkeeper")
	before := h.frames("feeder")
	h.Eventually(20*time.Second, "frames after a restart of the keeper", func() string {
		if n := h.frames("feeder"); n <= before {
			return fmt.Sprint(n, " as before")
		}
		return ""
	})
	if now := h.pid("feeder"); now != pid || strings.Count(feeder.text(), "feeding") != 1 {
		t.Errorf("the process was %s and is %s; the feeder says\n%s", pid, now, feeder.text())
	}
	for n, what := range [][]string{{"ffkeeperctl", "kill", "-s", "KILL", "feeder"}, {"ffkeeperctl", "restart", "--wait-ok", "feeder"}} {
		h.Run(what...)
		h.Eventually(20*time.Second, "the feeder feeds the next process", func() string {
			if got := strings.Count(feeder.text(), "feeder: feeding"); got < n+2 {
				return feeder.text()
			}
			return ""
		})
		h.Run("ffkeeperctl", "start", "--wait-ok", "feeder")
	}
	h.Run("ffkeeperctl", "stop", "feeder")
	// The line on top of each frame is white where frames begin at their
	// beginning.
	rows := h.Run("sh", "-c", "ffmpeg -v error -i /var/lib/ffkeeper-streams/feeder.m3u8 -vf crop=320:6:0:0,scale=1:1 -frames:v 3 -f rawvideo -pix_fmt gray - | od -An -tu1")
	for _, gray := range strings.Fields(rows) {
		if n, err := strconv.Atoi(gray); n < 200 || err != nil {
			t.Errorf("the tops of the frames are as bright as %s, not white", rows)
		}
	}
	if len(strings.Fields(rows)) != 3 {
		t.Errorf("of 3 frames there are only %q", rows)
	}
	// A keeper that is stopped is not started by who asks it.
	feeder.wait("the stream has ended")
	h.Run("systemctl", "stop", "ffkeeper")
	feeder.wait(`Name "org.ffkeeper1" does not exist`)
	if got := h.Property("ffkeeper.service", "ActiveState"); got != "inactive" {
		t.Errorf("with the feeder asking for it, the stopped keeper is %s", got)
	}
}

// notificationDaemon is the one of a desktop that shows nothing, but tells.
const notificationDaemon = `
import dbus.service, json
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

class Daemon(dbus.service.Object):
    @dbus.service.method("org.freedesktop.Notifications", in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, app, replaces, icon, summary, body, actions, hints, timeout):
        print("shown:", json.dumps([app, summary, body, int(hints["urgency"])]), flush=True)
        return 1

DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
daemon = Daemon(bus, "/org/freedesktop/Notifications")
name = dbus.service.BusName("org.freedesktop.Notifications", bus)
print("ready", flush=True)
GLib.MainLoop().run()
`

func TestNotifierSpeaksAndShowsWhatHasFailed(t *testing.T) {
	h := serving(t, map[string]string{
		"hall": "[Stream]\nType=simple\nExecStart=false\nAutostart=no\nRestart=no\n",
		"door": "[Stream]\nType=simple\nExecStart=false\nAutostart=no\nRestart=no\n",
		"fine": manualStream,
	}, map[string]string{
		"/usr/local/bin/spd-say": "#!/bin/sh\nexec systemd-cat -t speaker echo \"$@\"\n",
		"/srv/notifications.py":  notificationDaemon,
	})
	h.Run("chmod", "755", "/usr/local/bin/spd-say")
	h.Run("install", "-d", "-o", "nobody", "/run/desktop")
	const bus = "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/desktop/bus"
	desktop := func(argv ...string) *output {
		t.Helper()
		return h.listenTo(t, append([]string{"runuser", "-u", "nobody", "--", "env", bus}, argv...)...)
	}
	desktop("dbus-daemon", "--session", "--nofork", "--address=unix:path=/run/desktop/bus", "--print-address").wait("unix:path=")
	shown := desktop("/usr/bin/python3", "/srv/notifications.py")
	shown.wait("ready")
	notifier := desktop(exampleDir + "notifier.py")
	// What fails before it listens is not told; nothing says when it does.
	h.Eventually(20*time.Second, "a failure is shown", func() string {
		h.Exec("ffkeeperctl", "start", "hall")
		if text := shown.text(); !strings.Contains(text, `shown: ["ffkeeper", "Stream hall has failed", "exit code\nffkeeperctl status hall", 2]`) {
			return text + notifier.text()
		}
		return ""
	})
	h.WaitJournal(20*time.Second, "-t", "speaker", "-g", "^--wait -- Stream hall has failed: exit code$")
	// It goes on with the next keeper.
	h.Run("systemctl", "restart", "ffkeeper")
	h.Exec("ffkeeperctl", "start", "door")
	shown.wait(`"Stream door has failed"`)
	h.WaitJournal(20*time.Second, "-t", "speaker", "-g", "Stream door has failed")
	h.Run("ffkeeperctl", "stop", "fine")
	if text := shown.text(); strings.Count(text, "door has failed") != 1 || strings.Contains(text, "fine") {
		t.Errorf("shown was\n%s", text)
	}
}

// unitToImport has in it what systemd and a stream file may read in two ways.
const unitToImport = `[Unit]
Description=Records its start as %i
[Service]
Environment="RECORD_TO=/var/lib/ffkeeper-streams/record" 'QUOTED=one "two"  three' PERCENT=100%% EMPTY=
EnvironmentFile=-/srv/%i.env
WorkingDirectory=/srv
UMask=0027
ExecStart=:/srv/record
ExecStart=
ExecStart=/srv/record %i %p %n "two words" 'it''s' a\x20b \
    # a comment within
    ${QUOTED} $QUOTED $EMPTY "${EMPTY}" $NOTSET ${PERCENT} out%%03d.ts %- 50% $$HOME x$QUOTED \
    -vf "drawtext=text='a\:b'" -f \;
[Install]
WantedBy=multi-user.target
`

// A unit and the stream made of it start alike: same arguments, directory and
// variables, as systemd itself starts the one and the keeper the other.
func TestImportedUnitsStartAsSystemdStartsThem(t *testing.T) {
	record, err := os.ReadFile("../../cmd/ffkeeperctl/importer/testdata/record")
	if err != nil {
		t.Fatal(err)
	}
	h := installed(t, map[string]string{
		"/srv/record":                         string(record),
		"/srv/plain.env":                      "NOTSET=\"from the file\"\n",
		"/srv/own.env":                        "NOTSET='of its own'\n",
		"/etc/systemd/system/ffmpeg@.service": unitToImport,
		"/etc/systemd/system/ffmpeg@own.service.d/a.conf": "[Service]\nEnvironment=EMPTY=%i\nExecStart=\nExecStart=:-/srv/record %%i ${QUOTED} $$ %I $HOME\n",
	})
	h.Run("sh", "-c", "chmod 755 /srv/record; install -d -o ffkeeper-streams -g ffkeeper-streams /var/lib/ffkeeper-streams; systemctl daemon-reload; systemctl enable ffmpeg@plain ffmpeg@own")
	instances := []string{"plain", "own"}
	take := func() (parts []string) {
		t.Helper()
		h.Eventually(20*time.Second, "the record", func() string {
			parts = strings.Split(h.Exec("cat", "/var/lib/ffkeeper-streams/record").Stdout, "\n--\n")
			if len(parts) != 3 || !strings.Contains(parts[2], "\x00QUOTED=") {
				return fmt.Sprintf("%q", parts)
			}
			return ""
		})
		h.Run("rm", "/var/lib/ffkeeper-streams/record")
		var own []string
		for _, kv := range strings.Split(parts[2], "\x00") {
			for _, name := range []string{"QUOTED", "PERCENT", "EMPTY", "NOTSET"} {
				if strings.HasPrefix(kv, name+"=") {
					own = append(own, kv)
				}
			}
		}
		return append(strings.Split(parts[0], "\x00"), parts[1], strings.Join(own, "\n"))
	}
	theirs := map[string][]string{}
	for _, instance := range instances {
		h.Run("systemctl", "start", "ffmpeg@"+instance)
		theirs[instance] = take()
		h.Run("systemctl", "stop", "ffmpeg@"+instance)
	}

	out := h.Run("ffkeeperctl", "import", "-o", "/etc/ffkeeper/streams.d", "systemd", "/etc/systemd/system/ffmpeg@.service")
	if strings.Count(out, ": written") != 3 {
		t.Errorf("import: %s", out)
	}
	h.Run("ffkeeperctl", "verify", streamFile("ffmpeg@plain"), streamFile("ffmpeg@own"))
	// Enabled units are streams that start by themselves; here one at a time.
	h.Run("sh", "-c", "for f in "+streamFile("ffmpeg@")+" "+streamFile("ffmpeg@own")+"; do ! grep Autostart $f && echo Autostart=no >>$f; done")
	h.Run("systemctl", "start", "ffkeeper")
	for _, instance := range instances {
		h.Run("ffkeeperctl", "start", "ffmpeg@"+instance)
		ours := take()
		h.Run("ffkeeperctl", "stop", "ffmpeg@"+instance)
		if d := cmp.Diff(theirs[instance], ours); d != "" {
			t.Errorf("%s: systemd's start -, the stream's +:\n%s", instance, d)
		}
	}
}
