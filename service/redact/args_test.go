package redact

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArgsHidesSecretsAndKeepsTheRest(t *testing.T) {
	r := New()
	for _, tt := range []struct {
		name     string
		in, want []string
	}{
		{"rtmp",
			[]string{"ffmpeg", "-re", "-i", "x y.mp4", "-c", "copy", "-f", "flv", "rtmp://a.example/live/KEY WITH BLANK"},
			[]string{"ffmpeg", "-re", "-i", "x y.mp4", "-c", "copy", "-f", "flv", "rtmp://a.example/live/[redacted]"}},
		{"options",
			[]string{"ffmpeg", "-headers", "Authorization: x\r\nReferer: y", "-cookies", "a=b", "-passphrase", "p q", "-rtmp_playpath", "K", "-rtmp_conn", "S:x",
				"-decryption_key", "ff00", "-encryption_key", "ff00", "-hls_enc_key", "ff00", "-hls_key_info_file", "/etc/k.info", "-user", "me", "-password", "p", "-key", "k"},
			[]string{"ffmpeg", "-headers", "[redacted]", "-cookies", "[redacted]", "-passphrase", "[redacted]", "-rtmp_playpath", "[redacted]", "-rtmp_conn", "[redacted]",
				"-decryption_key", "[redacted]", "-encryption_key", "[redacted]", "-hls_enc_key", "[redacted]", "-hls_key_info_file", "/etc/k.info", "-user", "[redacted]", "-password", "[redacted]", "-key", "[redacted]"}},
		{"key as the whole path",
			[]string{"ffmpeg", "-f", "flv", "-rtmp_app", "live", "rtmp://me:P@a.example/KEY"},
			[]string{"ffmpeg", "-f", "flv", "-rtmp_app", "live", "rtmp://[redacted]@a.example/[redacted]"}},
		{"application as the whole path",
			[]string{"ffmpeg", "-f", "flv", "-rtmp_playpath", "KEY", "rtmp://a.example/live"},
			[]string{"ffmpeg", "-f", "flv", "-rtmp_playpath", "[redacted]", "rtmp://a.example/live"}},
		{"tee",
			[]string{"ffmpeg", "-f", "tee", "[f=flv]rtmp://a/live/K Y|[f=mpegts]srt://b:9?passphrase=P P&x=1|x.mp4"},
			[]string{"ffmpeg", "-f", "tee", "[f=flv]rtmp://a/live/[redacted]|[f=mpegts]srt://b:9?passphrase=[redacted]&x=1|x.mp4"}},
		{"a shell's script",
			[]string{"sh", "-c", "PASS=abc ffmpeg -i 'rtsp://me:P@10.0.0.1/x' -f flv rtmp://a/live/KEY | tee y"},
			[]string{"sh", "-c", "PASS=[redacted] ffmpeg -i 'rtsp://[redacted]@10.0.0.1/x' -f flv rtmp://a/live/[redacted] | tee y"}},
		{"assignment",
			[]string{"prog", "--token=a b c", "secret=a b c", "name=a b c"},
			[]string{"prog", "--token=[redacted]", "secret=[redacted]", "name=a b c"}},
		{"curl",
			[]string{"/usr/bin/curl", "-u", "me:P", "-H", "Authorization: Bearer x y", "https://a/"},
			[]string{"/usr/bin/curl", "-u", "[redacted]", "-H", "Authorization: [redacted]", "https://a/"}},
		{"no secrets",
			[]string{"ffmpeg", "-pass", "1", "-streamid", "0:33", "-f", "lavfi", "-i", "sine", "-metadata", "title=a=b", ""},
			[]string{"ffmpeg", "-pass", "1", "-streamid", "0:33", "-f", "lavfi", "-i", "sine", "-metadata", "title=a=b", ""}},
		{"nothing", nil, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := slices.Clone(tt.in)
			if diff := cmp.Diff(tt.want, r.Args(in)); diff != "" {
				t.Errorf("Args (-want +got):\n%s", diff)
			}
			if !slices.Equal(in, tt.in) {
				t.Errorf("Args changed what it was given: %q", in)
			}
			if again := r.Args(r.Args(in)); !slices.Equal(again, r.Args(in)) {
				t.Errorf("Args is not idempotent: %q", again)
			}
		})
	}
}

func TestEnvHidesSecretsAndKeepsTheRest(t *testing.T) {
	r := New()
	in := []string{
		"PATH=/usr/local/bin:/usr/bin", "HOME=/root", "PWD=/srv", "RTMP_KEY=a b", "AWS_SECRET_ACCESS_KEY=x", "API_TOKEN=x", "PGPASSWORD=x",
		"INPUT=rtsp://me:P@10.0.0.1/x", "OUT=rtmp://a/live/K Y", "EMPTY_TOKEN=", "FFKEEPER_STREAM=cam1", "broken", "SSH_AUTH_SOCK=/tmp/x",
	}
	want := []string{
		"PATH=/usr/local/bin:/usr/bin", "HOME=/root", "PWD=/srv", "RTMP_KEY=[redacted]", "AWS_SECRET_ACCESS_KEY=[redacted]", "API_TOKEN=[redacted]", "PGPASSWORD=[redacted]",
		"INPUT=rtsp://[redacted]@10.0.0.1/x", "OUT=rtmp://a/live/[redacted]", "EMPTY_TOKEN=", "FFKEEPER_STREAM=cam1", "broken", "SSH_AUTH_SOCK=/tmp/x",
	}
	if diff := cmp.Diff(want, r.Env(in)); diff != "" {
		t.Errorf("Env (-want +got):\n%s", diff)
	}
}
