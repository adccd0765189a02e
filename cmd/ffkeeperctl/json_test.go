package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestJSONIsHarmlessAndLosesNothing(t *testing.T) {
	in := []string{"\x1b[31m", "\u009b", "\x7f", "\u202e", "ä<>&", "a\tb\nc"}
	var b strings.Builder
	if err := writeJSON(&b, in); err != nil {
		t.Fatal(err)
	}
	s := strings.TrimSuffix(b.String(), "\n")
	if firstUnsafe(s) >= 0 {
		t.Errorf("not harmless: %q", s)
	}
	if !strings.Contains(s, "ä<>&") {
		t.Errorf("needlessly escaped: %s", s)
	}
	var out []string
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("got %q back, want %q", out, in)
	}
}

func TestJSONLeavesOutWhatIsNotKnown(t *testing.T) {
	var b strings.Builder
	v := &view{Name: "a", RecentErrors: []string{}, ExitCodes: []int32{}}
	if err := writeJSON(&b, []*view{v}); err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"a","description":"","state":"","health":"","reason":"","pid":0,"uptime_seconds":0,` +
		`"restart_count":0,"consecutive_failures":0,"recent_errors":[],"exit_codes":[]}]` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

func FuzzJSONRoundTrips(f *testing.F) {
	f.Add("\u009b\u2028\x00")
	f.Fuzz(func(t *testing.T, s string) {
		var b strings.Builder
		if err := writeJSON(&b, s); err != nil {
			t.Fatal(err)
		}
		if firstUnsafe(strings.TrimSuffix(b.String(), "\n")) >= 0 {
			t.Fatalf("not harmless: %q", b.String())
		}
		var out string
		if err := json.Unmarshal([]byte(b.String()), &out); err != nil {
			t.Fatal(err)
		}
		if out != strings.ToValidUTF8(s, "\ufffd") && !strings.Contains(out, "\ufffd") {
			t.Fatalf("%q came back as %q", s, out)
		}
	})
}
