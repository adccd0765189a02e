package redact

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzString holds what is promised for every text and every secret.
func FuzzString(f *testing.F) {
	for _, line := range readLines(f, "testdata/ffmpeg-5.1.txt") {
		f.Add(line, "PLANTEDKEY0001")
	}
	f.Add("key=\xff\xfe&b", "\xff\xfe\x00\x01")
	f.Add(`"a":"\"x\\","password":"\u0070ass%41"`, `pass"x`)
	f.Add("[redacted][redacted]", "d][r")
	f.Fuzz(func(t *testing.T, s, secret string) {
		r := New()
		registered := r.Register(secret) == nil
		got := r.String(s)
		if again := r.String(got); again != got {
			t.Errorf("not idempotent: %q, then %q, then %q", s, got, again)
		}
		if registered && strings.Contains(got, secret) {
			t.Errorf("%q is in %q", secret, got)
		}
		if len(got) > 10*len(s) {
			t.Errorf("%d bytes become %d", len(s), len(got))
		}
		if utf8.ValidString(s) && utf8.ValidString(secret) && !strings.ContainsAny(s, "%\\") && !utf8.ValidString(got) {
			t.Errorf("valid UTF-8 becomes %q", got)
		}
		r.Args([]string{s, "-i", s, "-key", s})
		r.Env([]string{s, "KEY=" + s})
		r.Learn(secret, []string{"ffmpeg", "-headers", s, s}, []string{s, "KEY=" + s})
		if got := r.String(s); r.String(got) != got {
			t.Errorf("not idempotent with what was learned: %q becomes %q", got, r.String(got))
		}
	})
}

// planted is what FuzzPlanted hides in a key and looks for in the result.
const planted = "zQ7sEcReT9"

// places are where a key may stand, each with the characters that end it there.
var places = []struct{ before, after, ends string }{
	{"rtmp://a.example/live/", "", ""},
	{"rtmps://a.example:443/live/inst/", "?x=1", ""},
	{"rtmp://me:pass@a.example/live/", "/more", ""},
	{"rtmp://a.example/live?k=", "", ""},
	{"rtmpt:a.example/live/", "", ""},
	{"RTMPE://a.example/live/", "", ""},
	{"[f=flv:onfail=ignore]rtmp://a.example/live/", "|[f=mpegts]x.ts", ""},
	{"to 'rtmp://a.example/live/", "':", ""},
	{`{"url":"rtmp://a.example/live/`, `","n":1}`, ""},
	{"http://me:", "@a.example:80/x", "/?#@"},
	{"https://", ":x@a.example:80/x", "/?#@"},
	{"rtsp://me:x", "@10.0.0.1/x", "@"}, // also with / ? # unencoded
	{"cache:ftp://me:", "@a.example:80/x", "/?#@"},
	{"icecast://source:", "@10.0.0.1:8000/m", "/?#@"},
	{"srt://a.example:9000?mode=caller&passphrase=", "&latency=20", "&"},
	{"srt://a.example:9000?streamid=", "", "&"},
	{"http://a.example/x?token=", "&x=1", "&"},
	{"http://a.example/x?cid=", "&x=1", "&"},
	{"u=http%3A%2F%2Fa.example%2Fx%3Fsig%3D", "%26x%3D1", "&%"},
	{"-passphrase ", " -i x", "&:,;]"},
	{`"-rtmp_playpath" "`, `" "x"`, ""},
	{"password=", "", "&:,;]"},
	{`{"secret":"`, `"}`, ""},
	{"Authorization: Bearer ", "\r\nHost: x", ""},
	{"X-Auth-Token: ", "", "&:,;]"},
}

func FuzzPlanted(f *testing.F) {
	for i := range places {
		f.Add(i, "[error] ", "a", "b", ": Connection refused")
		f.Add(i, "Opening '", "a-_~!$*+(", "ö%41", "' for writing")
	}
	f.Fuzz(func(t *testing.T, i int, before, a, b, after string) {
		place := places[uint(i)%uint(len(places))]
		clean := func(s string) string { // of what ends a word anywhere
			return strings.Map(func(r rune) rune {
				if r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune("\"'`|\\"+place.ends, r) {
					return -1
				}
				return r
			}, s)
		}
		key := clean(a) + planted + clean(b)
		if strings.Contains(before+after, planted[:4]) {
			t.Skip()
		}
		url := place.before + key + place.after
		line := before + " " + url + " " + after
		r := New()
		if got := r.String(line); strings.Contains(got, planted) {
			t.Errorf("String(%q) = %q", line, got)
		}
		for _, got := range r.Args([]string{"ffmpeg", "-f", "flv", url}) {
			if strings.Contains(got, planted) {
				t.Errorf("Args of %q: %q", url, got)
			}
		}
		if got := r.Value("x", url); strings.Contains(got, planted) {
			t.Errorf("Value of %q: %q", url, got)
		}
		r.Learn("cam1", []string{"ffmpeg", "-f", "flv", url}, nil)
		if got := r.String(line); strings.Contains(got, planted) {
			t.Errorf("String(%q) = %q", line, got)
		}
	})
}
