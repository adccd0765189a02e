package main

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// fill puts s into every string of a struct, whatever it is called and however
// deep, so that a field added later is not forgotten.
func fill(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), s)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), s)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), s)
			}
		}
	case reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	case reflect.Float64:
		v.SetFloat(3)
	}
}

func filled[T any](s string) (v T) {
	fill(reflect.ValueOf(&v).Elem(), s)
	return v
}

// A shell would put them on the command line as they are.
func TestOnlyNamesAreCompleted(t *testing.T) {
	for name, want := range map[string]bool{
		"cam1": true, "camera@192.168.7.21": true, "A_b-c.d": true,
		"": false, "$(reboot)": false, "a b": false, "a;b": false, "-n": false, "a\n": false, "ä": false, "../x": false, strings.Repeat("x", 101): false,
	} {
		if got := plausible(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Whatever a keeper sends, ours or that of another host, be it as a state,
// where only words are expected: none of it is for the terminal to act on.
func FuzzNothingOfAKeeperReachesTheTerminal(f *testing.F) {
	for _, s := range []string{"cam1", "", "\x1b[31mred", "\u009b2J", "\u202egnp.exe", "a\r\nb\tc\x00", "\xff\xfe", "unreachable", "running", "failed", "StateChanged"} {
		f.Add(s, "failed")
		f.Add("x", s)
	}
	f.Fuzz(func(t *testing.T, s, state string) {
		v := filled[view](s)
		v.State = state
		away := filled[view](s)
		away.State = unreachableState
		e := filled[event](s)
		e.Event = state
		c := filled[change](s)
		streams := []*view{&v, &away}
		g := utf8Glyphs
		o := overview{version: s, bus: s}
		model := &topModel{sort: sortName}
		model.update(streams)
		for what, lines := range map[string][]line{
			"list": renderList(streams, g), "health": renderHealth(streams, g), "top": model.lines(noon, s, g),
			"overview": renderOverview(o, streams, noon, g), "status": renderStatus(&v, noon, g), "away": renderStatus(&away, noon, g),
			"event": {renderEvent(e, noon.Location(), g)}, "change": renderChange(c), "lines": renderLines(v.Lines, noon),
			"progress": {progressLine("stopping", []string{s, s}, 1, &v, &v, g)},
		} {
			for _, width := range []int{0, 40} {
				var b strings.Builder
				if err := (printer{w: &b, glyphs: g, width: width}).print(lines...); err != nil {
					t.Fatal(err)
				}
				harmless(t, what, b.String())
				if n := strings.Count(b.String(), "\n"); n != len(lines) {
					t.Fatalf("%s: %d lines have become %d:\n%s", what, len(lines), n, b.String())
				}
			}
		}
		for what, value := range map[string]any{"views": streams, "event": e, "change": c} {
			var b bytes.Buffer
			if err := writeJSON(&b, value); err != nil {
				t.Fatal(err)
			}
			harmless(t, what+" as JSON", b.String())
		}
		var errs strings.Builder
		a := newApp(strings.NewReader(""), io.Discard, &errs)
		a.color = "never"
		a.complain(textError(s))
		harmless(t, "an error", errs.String())
		harmless(t, "a unit's status", unitView{state: state, health: s, reason: s, detail: s}.status())
	})
}

func harmless(t *testing.T, what, out string) {
	t.Helper()
	if !utf8.ValidString(out) {
		t.Fatalf("%s is no UTF-8: %q", what, out)
	}
	if i := firstUnsafe(strings.ReplaceAll(out, "\n", "")); i >= 0 {
		t.Fatalf("%s: %q", what, out)
	}
}
