package redact

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.redacted anew")

func readLines(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// The lines are what ffmpeg 5.1 wrote, at -loglevel repeat+level+info and
// trace, when it was given secrets that all begin with PLANTED.
func TestMessagesOfFFmpegHideSecrets(t *testing.T) {
	const file = "testdata/ffmpeg-5.1.txt"
	r := New()
	var got []string
	for _, line := range readLines(t, file) {
		out := r.String(line)
		if strings.Contains(out, "PLANTED") {
			t.Errorf("String(%q)\n   = %q", line, out)
		}
		if r.String(out) != out {
			t.Errorf("not idempotent: %q", out)
		}
		got = append(got, out)
	}
	if *update {
		if err := os.WriteFile(file+".redacted", []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readLines(t, file+".redacted"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// commands make ffmpeg say something about a secret: nobody listens on these
// ports, no such file, no such option. %L is a directory with a playlist.
var commands = [][]string{
	{"-f", "flv", "rtmp://127.0.0.1:9/live/PLANTEDKEY"},
	{"-f", "flv", "rtmps://me:PLANTEDPASS@127.0.0.1:9/live/PLANTEDKEY?token=PLANTEDTOK"},
	{"-f", "flv", "rtmpt://127.0.0.1:9/live/inst/PLANTEDKEY"},
	{"-f", "flv", "rtmp:127.0.0.1:9/live/PLANTEDKEY"},
	{"-f", "flv", "-rtmp_app", "live", "rtmp://127.0.0.1:9/PLANTEDKEY"},
	{"-f", "flv", "-rtmp_playpath", "PLANTEDKEY", "-rtmp_conn", "S:PLANTEDCONN", "rtmp://127.0.0.1:9/live"},
	{"-f", "flv", "rtmp://127.0.0.1:9/live/PLANTEDKEY live=1 pubUser=me pubPasswd=PLANTEDPASS"},
	{"-f", "flv", "rtmp://127.0.0.1:9/live/PLANTEDKEY" + strings.Repeat("x", 1500)},
	{"-f", "flv", "rtmp://nosuch.invalid/live/PLANTEDKEY"},
	{"-f", "flv", "/nosuch/rtmp://127.0.0.1:9/live/PLANTEDKEY"},
	{"rtmp://127.0.0.1:9/live/PLANTEDKEY"},
	{"-i", "http://me:PLANTEDPASS@127.0.0.1:9/a/b.m3u8?token=PLANTEDTOK&x=1"},
	{"-i", "http://me:PLANTED/PASS@127.0.0.1:9/x"},
	{"-i", "http://me:PLANTED@PASS@127.0.0.1:9/x"},
	{"-i", "https://me:PLANTED%20PASS@127.0.0.1:9/x"},
	{"-headers", "Authorization: Basic PLANTEDTOK\r\n", "-cookies", "a=PLANTEDCOOKIE", "-i", "http://127.0.0.1:9/x"},
	{"-http_proxy", "http://me:PLANTEDPASS@127.0.0.1:9/", "-i", "http://127.0.0.1:10/x"},
	{"-i", "async:cache:http://me:PLANTEDPASS@127.0.0.1:9/x"},
	{"-i", "concat:http://me:PLANTEDPASS@127.0.0.1:9/x|http://me:PLANTEDPASS@127.0.0.1:9/y"},
	{"-rtsp_transport", "tcp", "-i", "rtsp://me:PLANTEDPASS@127.0.0.1:9/cam1"},
	{"-i", "rtsp://me:PLANTED PASS@127.0.0.1:9/cam1"},
	{"-i", "rtsp://127.0.0.1:9/user=admin_password=PLANTEDPASS_channel=1"},
	{"-i", "srt://127.0.0.1:9?passphrase=PLANTEDPASS&streamid=PLANTEDKEY&connect_timeout=200"},
	{"-passphrase", "PLANTEDPASS", "-i", "srt://127.0.0.1:9?connect_timeout=200"},
	{"-f", "mpegts", "srt://127.0.0.1:9?passphrase=PLANTEDPASS&pbkeylen=16&connect_timeout=200"},
	{"-f", "flv", "icecast://source:PLANTEDPASS@127.0.0.1:9/m.flv"},
	{"-f", "flv", "-password", "PLANTEDPASS", "icecast://source@127.0.0.1:9/m.flv"},
	{"-map", "0", "-f", "tee", "[f=flv:rtmp_playpath=PLANTEDKEY:onfail=ignore]rtmp://127.0.0.1:9/live|[f=flv:onfail=ignore]rtmp://127.0.0.1:9/live/PLANTEDKEY|" +
		"[f=mpegts:onfail=ignore]srt://127.0.0.1:9?passphrase=PLANTEDPASS&connect_timeout=200|[onfail=ignore]ftp://me:PLANTEDPASS@127.0.0.1:9/x.ts"},
	{"-map", "0", "-f", "fifo", "-fifo_format", "flv", "-format_opts", "rtmp_playpath=PLANTEDKEY:passphrase=PLANTEDPASS", "rtmp://127.0.0.1:9/live"},
	{"-f", "mpegts", "ftp://me:PLANTEDPASS@127.0.0.1:9/x.ts"},
	{"-f", "mpegts", "-ftp-user", "me", "-ftp-password", "PLANTEDPASS", "ftp://127.0.0.1:9/x.ts"},
	{"-f", "mpegts", "sftp://me:PLANTEDPASS@127.0.0.1:9/x.ts"},
	{"-f", "hls", "-method", "PUT", "http://me:PLANTEDPASS@127.0.0.1:9/x.m3u8?sig=PLANTEDTOK"},
	{"-f", "hls", "-hls_enc", "1", "-hls_enc_key", "504c414e5445440050lc414e54454400", "-hls_enc_key_url", "http://me:PLANTEDPASS@127.0.0.1:9/k", "/nosuch/x.m3u8"},
	{"-f", "hls", "-hls_key_info_file", "%L/key.info", "%L/out.m3u8"},
	{"-protocol_whitelist", "file,http,tcp,crypto,rtmp", "-allowed_extensions", "ALL", "-i", "%L/in.m3u8"},
	{"-decryption_key", "PLANTEDKEY", "-i", "crypto:http://me:PLANTEDPASS@127.0.0.1:9/x"},
	{"-vf", `movie=rtmp\\://127.0.0.1\\:9/live/PLANTEDKEY[a];[in][a]overlay`, "-f", "null", "-"},
	{"-i", "amqp://me:PLANTEDPASS@127.0.0.1:9/x"},
	{"-i", "mmsh://me:PLANTEDPASS@127.0.0.1:9/x"},
	{"-nosuchoption", "1", "-f", "flv", "rtmp://127.0.0.1:9/live/PLANTEDKEY"},
}

func TestRealFFmpegTellsNoSecret(t *testing.T) {
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("needs ffmpeg:", err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"key.info": "http://me:PLANTEDPASS@127.0.0.1:9/k\n/nosuch.key\nPLANTEDIV\n",
		"in.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI=\"http://me:PLANTEDPASS@127.0.0.1:9/k?token=PLANTEDTOK\"\n" +
			"#EXTINF:2,\nhttp://127.0.0.1:9/s.ts?token=PLANTEDTOK\n#EXTINF:2,\nhttp://127.0.0.1:9/t.ts?token=PLANTEDTOK\n#EXT-X-ENDLIST\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stranger, said := New(), 0
	for _, command := range commands {
		argv := []string{program, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+trace"}
		if !slices.Contains(command, "-i") {
			argv = append(argv, "-f", "lavfi", "-i", "testsrc=size=64x64:rate=5", "-t", "1", "-c:v", "flv")
		}
		for _, arg := range command {
			argv = append(argv, strings.ReplaceAll(arg, "%L", dir))
		}
		if slices.Contains(command, "-i") {
			argv = append(argv, "-f", "null", "-")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, _ := exec.CommandContext(ctx, program, argv[1:]...).CombinedOutput() // fails, as a rule
		cancel()
		r := New()
		r.Learn("cam1", argv, nil) // as for every stream
		for line := range strings.Lines(strings.ReplaceAll(string(out), "\r", "\n")) {
			line = strings.TrimSuffix(line, "\n")
			if strings.Contains(line, "PLANTED") {
				said++
			}
			got := r.String(line)
			if strings.Contains(got, "PLANTED") || strings.Contains(got, "PASS@") {
				t.Errorf("of %q, String(%q)\n    = %q", argv, line, got)
			}
			// All but this are known by their form alone: with -rtmp_app the
			// only part of a path is the key, else the application.
			if got := stranger.String(line); strings.Contains(got, "PLANTED") && !slices.Contains(command, "-rtmp_app") {
				t.Errorf("without Learn, of %q, String(%q)\n    = %q", argv, line, got)
			}
			if again := r.String(got); again != got {
				t.Errorf("not idempotent: %q becomes %q", got, again)
			}
		}
		if shown := strings.Join(r.Args(argv), " "); strings.Contains(shown, "PLANTED") {
			t.Errorf("Args: %q", shown)
		}
	}
	if said < 30 {
		t.Errorf("only %d lines held a secret: the test shows nothing", said)
	}
}
