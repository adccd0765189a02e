package wire

import (
	"bufio"
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

func text(s string) dbus.Variant { return dbus.MakeVariant(s) }

// known are bodies that are encoded without godbus; of a dictionary no more
// than one entry, for their order is free.
func known(s, t string, n uint64, f float64) [][]any {
	v := dbus.MakeVariant
	return [][]any{
		{},
		{s},
		{s, t, s},
		{n%2 == 0, s, n%2 == 1},
		{int32(n), n, uint32(n), int64(n), f, s},
		{[]string{}, s, []string{s, t, s}, []int32{}, s, []int32{int32(n), -1}},
		{s, map[string]dbus.Variant{}, t},
		{s, map[string]dbus.Variant{t: v(n)}, []string{}},
		{map[string]dbus.Variant{t: v([]string{s, t})}, s},
		{v(s), v(f), v(v(n)), v(map[string]dbus.Variant{s: v(int32(n))})},
		{map[string]map[string]dbus.Variant{s: {t: v(f)}}, s, map[string]map[string]dbus.Variant{}, map[string]map[string]dbus.Variant{t: {}}},
		{dbus.ObjectPath("/org/ffkeeper1"), dbus.ObjectPath("/")},
	}
}

// unknown are bodies for godbus, the last ones to refuse.
func unknown(s string) [][]any {
	return [][]any{
		{[]struct {
			Name string
			PID  uint32
		}{{s, 7}}},
		{dbus.UnixFD(0)},
		{dbus.ObjectPath("no path")},
		{"not \xff UTF-8"},
		{"\x00"},
		{[]string{"\xff"}},
		{map[string]dbus.Variant{"\x00": dbus.MakeVariant(s)}},
		{map[string]map[string]dbus.Variant{"\xff": {}}},
	}
}

// compare holds our encoding against godbus's: the header, whose fields godbus
// sends in any order, as it is read, the body byte by byte.
func compare(t *testing.T, o *outgoing) (fast bool) {
	t.Helper()
	const serial, fds = 77, 1
	want, wantErr := o.encodeByGodbus(serial, fds)
	got, err := o.encode(serial, fds)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%v: error %v, godbus's is %v", o.body, err, wantErr)
	}
	if err != nil {
		if err.Error() != wantErr.Error() {
			t.Errorf("%v: error %v, godbus's is %v", o.body, err, wantErr)
		}
		return false
	}
	read := func(data []byte) *Message {
		m, err := readMessage(bufio.NewReader(bytes.NewReader(data)))
		if err != nil || m == nil {
			t.Fatalf("%v: unreadable (%v): %q", o.body, err, data)
		}
		return m
	}
	ours, theirs := read(got), read(want)
	if len(got) != len(want) || !bytes.Equal(ours.Body, theirs.Body) {
		t.Errorf("%v:\n%q, godbus has\n%q", o.body, got, want)
	}
	ours.raw, theirs.raw = nil, nil
	if d := cmp.Diff(theirs, ours, cmp.AllowUnexported(Message{})); d != "" {
		t.Errorf("%v: header %s", o.body, d)
	}
	_, fast = o.encodeKnown(serial, fds)
	return fast
}

func messages(body []any) []*outgoing {
	return []*outgoing{
		{typ: dbus.TypeMethodReply, replySerial: math.MaxUint32, dest: ":1.7", body: body},
		{typ: dbus.TypeError, errorName: "org.ffkeeper1.Error.NoSuchStream", replySerial: 3, dest: ":1.7", body: body},
		{typ: dbus.TypeSignal, flags: dbus.FlagNoReplyExpected, path: "/org/ffkeeper1/stream/cam", iface: "org.ffkeeper1.Stream", member: "X", body: body},
		{typ: dbus.TypeMethodCall, dest: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", iface: "org.freedesktop.DBus", member: "Hello", body: body},
	}
}

func TestMessagesAreEncodedAsGodbusDoes(t *testing.T) {
	for _, body := range known("cam1", "ä", 1<<63+5, math.Inf(1)) {
		for _, o := range messages(body) {
			if !compare(t, o) {
				t.Errorf("%v was left to godbus", body)
			}
		}
	}
	for _, body := range unknown("cam1") {
		for _, o := range messages(body) {
			if compare(t, o) {
				t.Errorf("%v was not left to godbus", body)
			}
		}
	}
}

// TestHeadersThatGodbusRefusesAreRefused: the bus would end the connection for
// them.
func TestHeadersThatGodbusRefusesAreRefused(t *testing.T) {
	const path, name = "/a", "b.c"
	for _, o := range []*outgoing{
		{typ: dbus.TypeError, errorName: "", replySerial: 1},
		{typ: dbus.TypeError, errorName: "one", replySerial: 1},
		{typ: dbus.TypeError, errorName: "a..b", replySerial: 1},
		{typ: dbus.TypeError, errorName: "a.1b", replySerial: 1},
		{typ: dbus.TypeError, errorName: "a.b c", replySerial: 1},
		{typ: dbus.TypeError, errorName: "a." + strings.Repeat("b", 254), replySerial: 1},
		{typ: dbus.TypeError, errorName: name},
		{typ: dbus.TypeMethodReply},
		{typ: dbus.TypeSignal, path: path, iface: name},
		{typ: dbus.TypeSignal, path: path, member: "D"},
		{typ: dbus.TypeSignal, iface: name, member: "D"},
		{typ: dbus.TypeSignal, path: "a", iface: name, member: "D"},
		{typ: dbus.TypeSignal, path: path, iface: "b", member: "D"},
		{typ: dbus.TypeSignal, path: path, iface: name, member: "D.E"},
		{typ: dbus.TypeSignal, path: path, iface: name, member: "4"},
		{typ: dbus.TypeSignal, path: path, iface: name, member: "ä"},
		{typ: dbus.TypeMethodCall, path: path},
		{typ: dbus.TypeMethodCall, member: "D"},
		{typ: 9, replySerial: 1},
		{typ: dbus.TypeMethodReply, replySerial: 1, flags: 1 << 6},
	} {
		if b, err := o.encode(7, 0); err == nil {
			t.Errorf("%+v is sent as %q", o, b)
		}
	}
}

// TestDictionariesAreEncodedWhole: entries come in any order, so they are
// decoded to be compared.
func TestDictionariesAreEncodedWhole(t *testing.T) {
	v := dbus.MakeVariant
	dict := map[string]dbus.Variant{
		"state": v("running"), "pid": v(uint32(7)), "fps": v(25.0), "exit_codes": v([]int32{1, -9}),
		"recent_errors": v([]string{"a", ""}), "total_bytes": v(uint64(1) << 40), "Wanted": v(true), "": v(int64(-1)),
	}
	o := &outgoing{typ: dbus.TypeMethodReply, replySerial: 1, body: []any{"cam1", dict, []string{"x"}}}
	data, ok := o.encodeKnown(1, 0)
	if !ok {
		t.Fatal("left to godbus")
	}
	m, err := dbus.DecodeMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(o.body, m.Body, cmp.Comparer(func(a, b dbus.Variant) bool {
		return a.Signature() == b.Signature() && cmp.Equal(a.Value(), b.Value())
	})); d != "" {
		t.Error(d)
	}
}

func TestASignatureOf256TypesIsRefused(t *testing.T) {
	for n, fast := range map[int]bool{255: true, 256: false} {
		o := &outgoing{typ: dbus.TypeMethodReply, replySerial: 1}
		for range n {
			o.body = append(o.body, "")
		}
		if _, ok := o.encodeKnown(1, 0); ok != fast {
			t.Errorf("%d strings: %v", n, ok)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("cam1", "ä", uint64(7), 25.0)
	f.Add("", "\xff", uint64(1<<63), math.NaN())
	f.Add("org.ffkeeper1.Stream", "Changed_2", uint64(1), 0.0)
	f.Add("a..b", "1st", uint64(1), 0.0)
	f.Add("\x00", strings.Repeat("x", 300), uint64(0), math.Copysign(0, -1))
	f.Fuzz(func(t *testing.T, s, u string, n uint64, x float64) {
		for _, body := range known(s, u, n, x) {
			compare(t, &outgoing{typ: dbus.TypeMethodReply, replySerial: 3, dest: ":1.7", body: body})
		}
		compare(t, &outgoing{typ: dbus.TypeSignal, path: "/a", iface: s, member: u})
		compare(t, &outgoing{typ: dbus.TypeError, errorName: s, replySerial: uint32(n)})
	})
}
