package redact

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestRegisteredSecretIsHiddenInEveryForm(t *testing.T) {
	const secret = `Tr0ub/4dor & "3's"`
	r := New()
	if err := r.Register(secret); err != nil {
		t.Fatal(err)
	}
	inJSON, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"raw":                    secret,
		"query":                  strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"),
		"path":                   url.PathEscape(secret),
		"lower-case hexadecimal": "Tr0ub%2f4dor %26 %223's%22",
		"encoded twice":          url.PathEscape(url.PathEscape(secret)),
		"JSON":                   string(inJSON),
		"JSON of another kind":   `"Tr0ub\/4dor & \"3's\""`,
		"Go":                     strconv.Quote(secret),
		"sh, single quotes":      `'` + strings.ReplaceAll(secret, `'`, `'\''`) + `'`,
		"sh, the other way":      `'` + strings.ReplaceAll(secret, `'`, `'"'"'`) + `'`,
		"sh, backslashes":        `Tr0ub/4dor\ \&\ \"3\'s\"`,
	} {
		got := r.String("x " + form + " y")
		if !strings.HasPrefix(got, "x ") || !strings.HasSuffix(got, " y") || strings.Contains(got, "4dor") || !strings.Contains(got, Marker) {
			t.Errorf("%s: %q becomes %q", name, form, got)
		}
	}
}

func TestCutSecretIsHidden(t *testing.T) {
	const secret = "live_84736251_QwErTyUiOpAsDfGh"
	r := New()
	if err := r.Register(secret); err != nil {
		t.Fatal(err)
	}
	for cut := len(secret) / 2; cut <= len(secret); cut++ {
		for _, after := range []string{"", ": Connection refused", "' for writing"} {
			in := "Stream " + secret[:cut] + after
			if got, want := r.String(in), "Stream "+Marker+after; got != want {
				t.Errorf("String(%q) = %q, want %q", in, got, want)
			}
		}
	}
	// Where a buffer ends, less will do.
	long := strings.Repeat("x ", cutLength/2)
	for cut := block; cut < len(secret); cut++ {
		if got, want := r.String(long+secret[:cut]), long+Marker; got != want {
			t.Errorf("cut after %d bytes at the end of a long line: %q", cut, got[len(long):])
		}
	}
	if in := "live_84736251_QwErTyotherwise"; r.String(in) != in {
		t.Errorf("String(%q) = %q: another word that begins alike", in, r.String(in))
	}
}

func TestRegisterRefusesWhatIsTooShort(t *testing.T) {
	r := New()
	for _, secret := range []string{"", "abc", "[redacted]", "redacted", "acted]"} {
		if err := r.Register(secret); !errors.Is(err, ErrTooShort) {
			t.Errorf("Register(%q) = %v", secret, err)
		}
	}
	if got := r.String("abc redacted"); got != "abc redacted" {
		t.Errorf("a refused secret is hidden: %q", got)
	}
	if err := r.Register("abcd"); err != nil {
		t.Errorf("Register of %d bytes: %v", MinSecret, err)
	}
	if got := r.String("xabcdx"); got != "x[redacted]x" {
		t.Errorf("String = %q", got)
	}
}

func TestManySecretsAreAllFound(t *testing.T) {
	r := New()
	secret := func(i int) string { return fmt.Sprintf("key-%06d-%x", i, i*7919) }
	const n = 5000
	for i := range n {
		if err := r.Register(secret(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		for pad := range 6 { // at every offset of the stride
			in := strings.Repeat(".", pad) + secret(i) + "."
			if got, want := r.String(in), strings.Repeat(".", pad)+Marker+"."; got != want {
				t.Fatalf("String(%q) = %q", in, got)
			}
		}
	}
	if err := r.Register("tiny"); err != nil { // every offset counts from now on
		t.Fatal(err)
	}
	if got := r.String("a tiny " + secret(17)); got != "a [redacted] [redacted]" {
		t.Errorf("String = %q", got)
	}
}

func TestSecretsNextToEachOtherAndOverlapping(t *testing.T) {
	r := New()
	for _, s := range []string{"abcdefgh", "efghijkl", "ted]x", "d][r"} {
		if err := r.Register(s); err != nil {
			t.Fatal(err)
		}
	}
	for in, want := range map[string]string{
		"1abcdefghabcdefgh2": "1[redacted]2",
		"1abcdefghijkl2":     "1[redacted]2",
		"abcdefghx":          "[redacted]", // together with the marker it makes a secret
		"abcdefgh abcdefgh":  "[redacted] [redacted]",
	} {
		if got := r.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLearnHidesWhatTheCommandLineHolds(t *testing.T) {
	r := New()
	argv := []string{
		"ffmpeg", "-headers", "Authorization: Basic dXNlcjpwYXNzd29yZA==\r\nX-Plain: yes\r\n", "-i", "http://me:S3cr%20tPass@10.0.0.1/x",
		"-f", "flv", "-rtmp_app", "live", "rtmp://a.example/yt-abcd-1234-efgh?backup=1", "-passphrase", "open sesame 7",
		"-f", "flv", "rtmp://b.example/live/cam1",
	}
	r.Learn("cam1", argv, []string{"HOME=/root", "STREAM_TOKEN=tok-998877"})
	for in, want := range map[string]string{
		"Server error: yt-abcd-1234-efgh is publishing": "Server error: [redacted] is publishing",
		"password S3cr tPass refused":                   "password [redacted] refused",
		"password S3cr%20tPass refused":                 "password [redacted] refused",
		"> dXNlcjpwYXNzd29yZA== <":                      "> [redacted] <",
		"srt: open sesame 7 is wrong":                   "srt: [redacted] is wrong",
		"got tok-998877.":                               "got [redacted].",
		"cam1 lives":                                    "cam1 lives",
		"Basic X-Plain yes live":                        "Basic X-Plain yes live",
	} {
		if got := r.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLearnedSecretsDoNotPileUp(t *testing.T) {
	r := New()
	key := func(i int) string { return fmt.Sprintf("once-only-key-%d", i) }
	const n = 1000
	for i := range n {
		r.Learn("cam1", []string{"ffmpeg", "rtmp://a/live/" + key(i)}, nil)
		for range 3 { // the same again, at restarts
			r.Learn("cam1", []string{"ffmpeg", "rtmp://a/live/" + key(i)}, nil)
		}
	}
	if got := r.String(key(n-1) + " " + key(n-2)); got != "[redacted] [redacted]" {
		t.Errorf("the last two keys: %q", got)
	}
	if got := r.String(key(n - 3)); got != key(n-3) {
		t.Errorf("the key before: %q", got)
	}
	if n := len(r.secrets.refs); n > 2 {
		t.Errorf("%d secrets are kept", n)
	}
	r.Forget("cam1")
	if len(r.secrets.refs) != 0 || len(r.learned) != 0 || len(r.secrets.blocks) != 0 {
		t.Errorf("after Forget: %v, %v", r.secrets.refs, r.learned)
	}
	if got := r.String(key(n - 1)); got != key(n-1) {
		t.Errorf("after Forget: %q", got)
	}
}

func TestForgetKeepsWhatIsRegisteredOrAnothers(t *testing.T) {
	r := New()
	const mine, shared = "registered-key-1", "shared-key-22"
	if err := r.Register(mine); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{"a", "a" + PartMark + "hook", "b"} {
		r.Learn(owner, []string{"ffmpeg", "-key", mine, "-key", shared}, nil)
	}
	r.Learn("a"+PartMark+"hook", []string{"ffmpeg", "-key", "a-part's-key-3"}, nil)
	r.Forget("a")
	if got := r.String("a-part's-key-3"); got != "a-part's-key-3" {
		t.Errorf("of a part of it is kept: %q", got)
	}
	if got := r.String(mine + " " + shared); got != "[redacted] [redacted]" {
		t.Errorf("after one owner is forgotten: %q", got)
	}
	r.Forget("b")
	if got := r.String(mine + " " + shared); got != "[redacted] "+shared {
		t.Errorf("after both are forgotten: %q", got)
	}
}

func TestRegisterAndStringMayRunAtOnce(t *testing.T) {
	r := New()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				secret := fmt.Sprintf("secret-%d-%d", g, i)
				if i%2 == 0 {
					if err := r.Register(secret); err != nil {
						t.Error(err)
					}
				} else {
					r.Learn(fmt.Sprint(g), []string{"ffmpeg", "-key", secret}, nil)
				}
				if got := r.String("x " + secret + " y"); got != "x [redacted] y" {
					t.Errorf("String = %q", got)
				}
			}
		})
	}
	wg.Wait()
}
