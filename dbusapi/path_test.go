package dbusapi

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	systemd "github.com/coreos/go-systemd/v22/dbus"
)

func TestStreamPathIsEscapedAsSystemdDoes(t *testing.T) {
	for name, want := range map[string]dbus.ObjectPath{
		"cam1":         "/org/ffkeeper1/stream/cam1",
		"cam-1.hd_x@y": "/org/ffkeeper1/stream/cam_2d1_2ehd_5fx_40y",
		"9lives":       "/org/ffkeeper1/stream/_39lives",
		"":             "/org/ffkeeper1/stream/_",
		"ä":            "/org/ffkeeper1/stream/_c3_a4",
		"\n":           "/org/ffkeeper1/stream/_0a",
	} {
		if got := StreamPath(name); got != want {
			t.Errorf("%q is at %s", name, got)
		}
	}
}

func TestOnlyTheOneSpellingIsAStream(t *testing.T) {
	for _, path := range []dbus.ObjectPath{
		managerPath, streamsPath, "/org/ffkeeper1/stream/", "/org/ffkeeper1/streams/x", "/org/ffkeeper1/stream/a/b",
		"/org/ffkeeper1/stream/_61",     // a needs no escape
		"/org/ffkeeper1/stream/cam_2D1", // capitals
		"/org/ffkeeper1/stream/cam_",
		"/org/ffkeeper1/stream/cam_2",
		"/org/ffkeeper1/stream/cam_zz",
		"/org/ffkeeper1/stream/1", // a digit at the beginning needs one
	} {
		if name, ok := StreamName(path); ok {
			t.Errorf("%s is stream %q", path, name)
		}
	}
}

func FuzzStreamPath(f *testing.F) {
	for _, s := range []string{"", "cam1", "cam-1.hd", "9", "_", "ä\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		path := StreamPath(name)
		if !path.IsValid() {
			t.Fatalf("%q gives the invalid path %q", name, path)
		}
		if got, ok := StreamName(path); !ok || got != name {
			t.Fatalf("%q comes back as %q", name, got)
		}
		// go-systemd writes one digit for bytes below 16, which is a mistake.
		if !strings.ContainsFunc(name, func(r rune) bool { return r < 16 }) {
			if want := systemd.PathBusEscape(name); escapeLabel(name) != want {
				t.Fatalf("%q: %q, go-systemd says %q", name, escapeLabel(name), want)
			}
		}
	})
}

func FuzzStreamName(f *testing.F) {
	for _, s := range []string{"_", "cam1", "cam_2d1", "_39", "_2", "_zz", "a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, label string) {
		path := streamsPath + "/" + dbus.ObjectPath(label)
		if name, ok := StreamName(path); ok && StreamPath(name) != path {
			t.Fatalf("%q is stream %q, which is at %q", path, name, StreamPath(name))
		}
	})
}
