package redact

import (
	"strings"
	"testing"
)

func TestStringHidesSecretsAndKeepsTheRest(t *testing.T) {
	r := New()
	for _, tt := range []struct{ name, in, want string }{
		// URLs
		{"key of rtmp", "rtmp://a.example/live/KEY123", "rtmp://a.example/live/[redacted]"},
		{"key of rtmps with port and query", "rtmps://a.example:443/rtmp/KEY123?x=1&y=2", "rtmps://a.example:443/rtmp/[redacted]"},
		{"instance before the key", "rtmpt://a.example/live/inst/KEY123", "rtmpt://a.example/live/[redacted]"},
		{"empty application", "rtmp://a.example//KEY123", "rtmp://a.example//[redacted]"},
		{"query after the application", "rtmp://a.example/live?KEY123", "rtmp://a.example/live?[redacted]"},
		{"application alone", "rtmp://a.example/live", "rtmp://a.example/live"},
		{"application with a slash", "rtmp://a.example/live/", "rtmp://a.example/live/"},
		{"capital letters", "RTMP://a.example/live/KEY123", "RTMP://a.example/live/[redacted]"},
		{"one slash", "rtmp:/a.example/live/KEY123", "rtmp:/a.example/live/[redacted]"},
		{"no slash", "rtmp:a.example/live/KEY123", "rtmp:a.example/live/[redacted]"},
		{"ffmpeg's inner rtmp", "ffrtmphttp://a.example/live/KEY123", "ffrtmphttp://a.example/live/[redacted]"},
		{"librtmp's parameters", "rtmp://a.example/live/KEY123 pubUser=me pubPasswd=KEY456 live=1", "rtmp://a.example/live/[redacted] pubUser=me pubPasswd=[redacted] live=1"},
		{"user and password", "http://me:PASS@a.example:8080/x/y.m3u8", "http://[redacted]@a.example:8080/x/y.m3u8"},
		{"token as user", "https://TOKEN@a.example/x", "https://[redacted]@a.example/x"},
		{"user and password before the key", "rtmp://me:PASS@a.example/live/KEY123", "rtmp://[redacted]@a.example/live/[redacted]"},
		{"at sign in a password", "rtsp://me:P@SS@10.0.0.1/x", "rtsp://[redacted]@10.0.0.1/x"},
		{"slash in a password", "rtsp://me:P/SS@10.0.0.1/x", "rtsp://[redacted]@10.0.0.1/x"},
		{"slash in a numeric password", "rtsp://me:12/34@10.0.0.1:554/x", "rtsp://[redacted]@10.0.0.1:554/x"},
		{"question mark in a password", "rtsp://me:P?SS@10.0.0.1/x", "rtsp://[redacted]@10.0.0.1/x"},
		{"hash in a password", "rtsp://me:P#SS@10.0.0.1/x", "rtsp://[redacted]@10.0.0.1/x"},
		{"blank in a password", "[error] rtsp://me:P SS@10.0.0.1/x: no", "[error] rtsp://[redacted]@10.0.0.1/x: no"},
		{"at sign and slash in a password", "rtsp://me:P@S/S@10.0.0.1/x", "rtsp://[redacted]@10.0.0.1/x"},
		{"no password", "icecast://source@a.example/m", "icecast://[redacted]@a.example/m"},
		{"password cut off", "[error] http://me:PAS", "[error] http://[redacted]"},
		{"srt", "srt://a.example:9000?mode=caller&passphrase=PASS&streamid=#!::u=me,r=x&latency=20", "srt://a.example:9000?mode=caller&passphrase=[redacted]&streamid=[redacted]&latency=20"},
		{"rist", "rist://a.example:9000?secret=PASS&aes-type=128", "rist://a.example:9000?secret=[redacted]&aes-type=128"},
		{"punctuation in a parameter", "srt://a:9?passphrase=P,A:S;S&x=1: failed", "srt://a:9?passphrase=[redacted]&x=1: failed"},
		{"signed URL", "https://b.s3.example/x.mp4?X-Amz-Credential=AK&X-Amz-Date=2026&X-Amz-Signature=abc", "https://b.s3.example/x.mp4?X-Amz-Credential=[redacted]&X-Amz-Date=2026&X-Amz-Signature=[redacted]"},
		{"YouTube's HLS", "https://a.example/http_upload_hls?cid=KEY&copy=0&file=x.m3u8", "https://a.example/http_upload_hls?cid=[redacted]&copy=0&file=x.m3u8"},
		{"nginx secure_link", "http://a.example/x?st=abcd&e=1234&md5=ff00", "http://a.example/x?st=[redacted]&e=1234&md5=[redacted]"},
		{"a camera's path", "rtsp://10.0.0.1:554/user=admin_password=PASS_channel=1_stream=0.sdp", "rtsp://10.0.0.1:554/user=admin_password=[redacted]"},
		{"URL in a query", "http://a.example/p?u=http://me:PASS@b.example/&n=1", "http://a.example/p?u=http://[redacted]@b.example/&n=1"},
		{"URL in a URL", "cache:http://me:PASS@a.example/x", "cache:http://[redacted]@a.example/x"},
		{"URL as authority", "cache://http://me:PASS@a.example/x", "cache://http://[redacted]@a.example/x"},
		{"crypto+http", "crypto+https://me:PASS@a.example/x", "crypto+https://[redacted]@a.example/x"},
		{"concat", "concat:http://me:PASS@a.example/x|rtmp://b/live/KEY", "concat:http://[redacted]@a.example/x|rtmp://b/live/[redacted]"},
		{"tee", "[f=flv:onfail=ignore]rtmp://a/live/KEY|[f=mpegts]srt://b:9?passphrase=PASS", "[f=flv:onfail=ignore]rtmp://a/live/[redacted]|[f=mpegts]srt://b:9?passphrase=[redacted]"},
		{"options of tee", "[f=flv:rtmp_playpath=KEY:onfail=ignore]rtmp://a/live|[f=mpegts:passphrase=PASS]srt://b:9", "[f=flv:rtmp_playpath=[redacted]:onfail=ignore]rtmp://a/live|[f=mpegts:passphrase=[redacted]]srt://b:9"},
		{"filter graph", `movie=http\\://me\\:PASS@a.example\\:9/x[b]`, `movie=http\\://[redacted]@a.example\\:9/x[b]`},
		{"JSON's slashes", `{"url":"http:\/\/me:PASS@a.example\/x"}`, `{"url":"http:\/\/[redacted]@a.example\/x"}`},
		{"JSON's slashes, rtmp", `{"url":"rtmp:\/\/a.example\/live\/KEY","n":1}`, `{"url":"rtmp:\/\/a.example\/live\/[redacted]","n":1}`},
		{"percent-encoded URL", "http://a.example/p?u=rtmp%3A%2F%2Fb.example%2Flive%2FKEY", "http://a.example/p?u=rtmp%3A%2F%2Fb.example%2Flive%2F[redacted]"},
		{"percent-encoded twice", "u=http%253A%252F%252Fme%253APASS%2540b.example%252Fx", "u=http%253A%252F%252F[redacted]%2540b.example%252Fx"},
		{"percent-encoded parameter", "http://a.example/p?n=%2Fx%3Ftoken%3DABC%26y%3D1", "http://a.example/p?n=%2Fx%3Ftoken%3D[redacted]%26y%3D1"},
		{"quoted", `Opening 'rtmp://a/live/KEY' for writing`, `Opening 'rtmp://a/live/[redacted]' for writing`},
		{"quote in a key", `to 'rtmp://a/live/K'EY':`, `to 'rtmp://a/live/[redacted]':`},
		{"Go's list", `["ffmpeg" "-passphrase" "P A\"SS" "rtmp://a/live/KEY"]`, `["ffmpeg" "-passphrase" "[redacted]" "rtmp://a/live/[redacted]"]`},
		{"Python's list", `['ffmpeg', '-passphrase', 'PASS', '-i', 'x']`, `['ffmpeg', '-passphrase', '[redacted]', '-i', 'x']`},
		{"two lines", "rtmp://a/live/KEY\nnext", "rtmp://a/live/[redacted]\nnext"},

		// options, parameters, headers
		{"option", "ffmpeg -passphrase PASS -i x", "ffmpeg -passphrase [redacted] -i x"},
		{"option with a stream specifier", "ffmpeg -encryption_key:v PASS -i x", "ffmpeg -encryption_key:v [redacted] -i x"},
		{"option with an equals sign", "x --password=PASS y", "x --password=[redacted] y"},
		{"header", "Authorization: Basic QUJD", "Authorization: [redacted]"},
		{"header in quotes", "curl -H 'Authorization: Bearer QUJD' http://a/", "curl -H 'Authorization: [redacted]' http://a/"},
		{"digest", `Authorization: Digest username="me", realm="x", response="ff00"`, "Authorization: [redacted]"},
		{"cookies", "Cookie: a=b; c=d\r\nHost: x", "Cookie: [redacted]\r\nHost: x"},
		{"own header", "X-Api-Key: ABC def", "X-Api-Key: [redacted] def"},
		{"request line", "GET /x?token=ABC&st=DEF HTTP/1.1", "GET /x?token=[redacted]&st=[redacted] HTTP/1.1"},
		{"JSON", `{"key":"K E Y","name":"x","password": "PASS","auth":{"a":"b"},"tokens":["x","y"],"n":1}`, `{"key":"[redacted]","name":"x","password": "[redacted]","auth":[redacted],"tokens":[redacted],"n":1}`},
		{"JSON in JSON", `{"x":"{\"password\":\"PASS\",\"n\":1}"}`, `{"x":"{\"password\":\"[redacted]\",\"n\":1}"}`},
		{"assignment in quotes", `password="P A SS" x`, `password="[redacted]" x`},
		{"a sentence's end", "bad passphrase=PASS.", "bad passphrase=[redacted]."},

		// what is none
		{"a listener", "srt://:9000?mode=listener", "srt://:9000?mode=listener"},
		{"multicast", "udp://@239.0.0.1:1234?localaddr=10.0.0.1", "udp://@239.0.0.1:1234?localaddr=10.0.0.1"},
		{"IPv6", "rtsp://[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"},
		{"bare IPv6", "rtsp://fe80::1/x", "rtsp://fe80::1/x"},
		{"at sign in a path", "https://a.example/@me/x@y", "https://a.example/@me/x@y"},
		{"at sign in a path after a port", "http://a.example:80/@me", "http://a.example:80/@me"},
		{"at sign in a path, local", "http://localhost:80/me@b.example", "http://localhost:80/me@b.example"},
		{"file", "file:///srv/x y.mp4", "file:///srv/x y.mp4"},
		{"PATH", "/usr/local/bin:/usr/bin:/bin", "/usr/local/bin:/usr/bin:/bin"},
		{"multicast port", "tcp://nosuch.invalid:1935?tcp_nodelay=0", "tcp://nosuch.invalid:1935?tcp_nodelay=0"},
		{"filters", "lowpass=f=3000,fade=t=in:st=0:d=3,colorkey=0x00ff00:0.1", "lowpass=f=3000,fade=t=in:st=0:d=3,colorkey=0x00ff00:0.1"},
		{"two passes", "ffmpeg -pass 1 -passlogfile x", "ffmpeg -pass 1 -passlogfile x"},
		{"stream identifiers", "ffmpeg -streamid 0:257 -i x", "ffmpeg -streamid 0:257 -i x"},
		{"x264", "options: cabac=1 keyint=250 keyint_min=5 pass=1 key=1", "options: cabac=1 keyint=250 keyint_min=5 pass=1 key=1"},
		{"author", "    author          : me", "    author          : me"},
		{"authentication", "[rtsp] authentication: failed", "[rtsp] authentication: failed"},
		{"HLS key line", `#EXT-X-KEY:METHOD=AES-128,URI="https://a.example/k.bin"`, `#EXT-X-KEY:METHOD=AES-128,URI="https://a.example/k.bin"`},
		{"last line of ffmpeg", "video:5kB audio:0kB global headers:0kB muxing overhead: unknown", "video:5kB audio:0kB global headers:0kB muxing overhead: unknown"},
		{"framehash", "MD5=9e107d9d372bb6826bd81d3542a419d6", "MD5=9e107d9d372bb6826bd81d3542a419d6"},
		{"nothing", "", ""},
		{"marker", Marker, Marker},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := r.String(tt.in)
			if got != tt.want {
				t.Errorf("String(%q)\n got %q\nwant %q", tt.in, got, tt.want)
			}
			if again := r.String(got); again != got {
				t.Errorf("String is not idempotent: %q becomes %q", got, again)
			}
		})
	}
}

func TestMarkerInAValueHidesNothing(t *testing.T) {
	for _, in := range []string{"key=[redacted]SECRET", "rtmp://a/b/[redacted]SECRET", "http://[redacted]:SECRET@a/", "[f=flv:key=[redacted]SECRET]x"} {
		if got := New().String(in); strings.Contains(got, "SECRET") {
			t.Errorf("String(%q) = %q", in, got)
		}
	}
}

// A line may be built to make each pass find something new; that must end,
// and in nothing secret.
func TestHostileTextTakesLinearTime(t *testing.T) {
	r := New()
	if err := r.Register("live_1234567_abcdef"); err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{
		"a://", "a:b", "a://b:c@", "http:x", "key=", "key=a&", "[rtmp", "'", "' with argument '", "%3A", "%25", "\\", "\\\\", "-key ",
		"rtmp://a/b/", "\"key\":[", "\"key\":\"", "live_12345", "[redacted]", "@", "a:1/", "key=a://", "key=a:/ ", "key=-", "-key -", "password: ", "=", ":", "a://b:1/c@d.e/",
	} {
		in := strings.Repeat(piece, 1<<20/len(piece))
		out := r.String(in)
		if len(out) > 10*len(in) {
			t.Errorf("%q many times: %d bytes become %d", piece, len(in), len(out))
		}
	}
}
