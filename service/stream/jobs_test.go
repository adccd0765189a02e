package stream

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/shim"
)

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{`["ffmpeg","-i","x"]`, `[]`, `[""]`, `{}`, `"x"`, `[1]`, ``, "[\"a\\u0000b\"]", `["a"] x`, `["a",null]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		argv, err := parseCommand(out, redact.New())
		if (err == nil) == (len(argv) == 0) {
			t.Fatalf("%q: %q, %v", out, argv, err)
		}
		if err != nil {
			return
		}
		for _, a := range argv {
			if strings.ContainsRune(a, 0) {
				t.Fatalf("%q: NUL in %q", out, a)
			}
		}
		again, err := json.Marshal(argv)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseCommand(again, redact.New()); err != nil || len(back) != len(argv) {
			t.Fatalf("%q does not come back: %q, %v", again, back, err)
		}
	})
}

// What a builder printed is quoted in part, and the part ends within a secret.
func TestExcerptOfABuilderCutsNoSecretInTwo(t *testing.T) {
	r := redact.New()
	r.Learn("cam1", nil, []string{"KEY=s3cret-0123456789-0123456789"})
	for _, out := range []string{
		"http://s3cret" + strings.Repeat("x", 60) + "@127.0.0.1/stream",
		strings.Repeat("x", 50) + " s3cret-0123456789-0123456789",
	} {
		_, err := parseCommand([]byte(out), r)
		if text := r.String(err.Error()); strings.Contains(text, "s3cret") || !strings.Contains(text, "did not print") || !strings.Contains(text, "[redact") {
			t.Errorf("%s: %s", out, text)
		}
	}
}

func TestOwnerOfNamesTheStreamOfAJob(t *testing.T) {
	for name, want := range map[string]string{"cam1": "cam1", "cam1!hook": "cam1", "a@b!builder": "a@b"} {
		if got := OwnerOf(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestEventTableIsCompleteAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range EventKinds() {
		if len(k.MessageID) != 32 || seen[k.MessageID] || seen[string(k.Kind)] {
			t.Errorf("%s: message id %q", k.Kind, k.MessageID)
		}
		seen[k.MessageID], seen[string(k.Kind)] = true, true
		if !strings.HasSuffix(k.Meaning, ".") || k.Priority < 0 || k.Priority > 7 {
			t.Errorf("%s: %q, priority %d", k.Kind, k.Meaning, k.Priority)
		}
	}
}

// TestABuilderWhoseStatusWasLostHasNotSucceeded, whatever it has printed.
func TestABuilderWhoseStatusWasLostHasNotSucceeded(t *testing.T) {
	j := &job{out: []byte(`["ffmpeg"]`)}
	if argv, err := builtCommand(j, shim.Exited{Unknown: true}); err == nil || !strings.Contains(err.Error(), "status") {
		t.Errorf("%q, %v", argv, err)
	}
}
