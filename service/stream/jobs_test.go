package stream

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{`["ffmpeg","-i","x"]`, `[]`, `[""]`, `{}`, `"x"`, `[1]`, ``, "[\"a\\u0000b\"]", `["a"] x`, `["a",null]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		argv, err := parseCommand(out)
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
		if back, err := parseCommand(again); err != nil || len(back) != len(argv) {
			t.Fatalf("%q does not come back: %q, %v", again, back, err)
		}
	})
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
