package dbusapi

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service"
)

func TestWrongCallsGetStandardErrors(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	c := r.connect(t)
	const std = "org.freedesktop.DBus.Error."
	const own = "org.ffkeeper1.Error."
	v := dbus.MakeVariant
	for _, call := range []struct {
		path   dbus.ObjectPath
		method string
		args   []any
		name   string
		text   string
	}{
		{"/nowhere", managerInterface + ".ListStreams", nil, std + "UnknownObject", "/nowhere"},
		{"/org/ffkeeper1/stream/none", streamInterface + ".GetHealth", nil, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", streamInterface + ".Start", []any{options{}}, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", streamInterface + ".WriteStdin", []any{[]byte("x")}, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", streamInterface + ".Nothing", nil, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", "x.y.Z", nil, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", introspectInterface + ".Introspect", nil, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", propertiesInterface + ".GetAll", []any{streamInterface}, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", propertiesInterface + ".GetAll", []any{peerInterface}, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/none", propertiesInterface + ".Set", []any{streamInterface, "State", v("x")}, std + "UnknownObject", "stream/none"},
		{"/org/ffkeeper1/stream/cam_31", streamInterface + ".GetHealth", nil, std + "UnknownObject", "cam_31"},
		{managerPath, "x.y.Z", nil, std + "UnknownInterface", "x.y"},
		{managerPath, streamInterface + ".GetHealth", nil, std + "UnknownInterface", streamInterface},
		{StreamPath("cam1"), managerInterface + ".ListStreams", nil, std + "UnknownInterface", managerInterface},
		{StreamPath("cam1"), objectManagerInterface + ".GetManagedObjects", nil, std + "UnknownInterface", objectManagerInterface},
		{managerPath, managerInterface + ".listStreams", nil, std + "UnknownMethod", "listStreams"},
		{managerPath, peerInterface + ".Pong", nil, std + "UnknownMethod", "Pong"},
		{managerPath, managerInterface + ".GetHealth", nil, std + "InvalidArgs", `GetHealth takes arguments "s", not ""`},
		{managerPath, managerInterface + ".GetHealth", []any{uint32(1)}, std + "InvalidArgs", `not "u"`},
		{managerPath, managerInterface + ".GetHealth", []any{"cam1", "cam2"}, std + "InvalidArgs", `not "ss"`},
		{managerPath, managerInterface + ".ListStreams", []any{"x"}, std + "InvalidArgs", `not "s"`},
		{managerPath, managerInterface + ".Start", []any{"cam1"}, std + "InvalidArgs", `"sa{sv}"`},
		{managerPath, managerInterface + ".Start", []any{"cam1", map[string]string{"wait": "ok"}}, std + "InvalidArgs", `not "sa{ss}"`},
		{managerPath, managerInterface + ".Start", []any{"cam1", options{"waiit": v("ok")}}, std + "InvalidArgs", `unknown option "waiit"; known: wait`},
		{managerPath, managerInterface + ".Stop", []any{"cam1", options{"wait": v("ok")}}, std + "InvalidArgs", "none, done"},
		{managerPath, managerInterface + ".Start", []any{"cam1", options{"wait": v(strings.Repeat("x", 20<<10))}}, std + "LimitsExceeded", "16384"},
		{managerPath, managerInterface + ".GetHealth", []any{strings.Repeat("x", 3<<20)}, std + "LimitsExceeded", "16384"},
		{managerPath, managerInterface + ".WriteStdin", []any{strings.Repeat("x", 3<<20), []byte("x")}, std + "InvalidArgs", "cut off"},
		{managerPath, managerInterface + ".Kill", []any{"cam1", int32(-1)}, std + "InvalidArgs", "signal"},
		{managerPath, managerInterface + ".GetHealth", []any{"none"}, own + "NoSuchStream", `"none"`},
		{managerPath, managerInterface + ".GetHealth", []any{""}, own + "NoSuchStream", `""`},
		{managerPath, managerInterface + ".GetHealth", []any{"../../etc/passwd\x1b[31m"}, own + "NoSuchStream", "passwd"},
		{managerPath, managerInterface + ".Start", []any{"none", options{}}, own + "NoSuchStream", `"none"`},
		{managerPath, managerInterface + ".WriteStdin", []any{"none", []byte("x")}, own + "NoSuchStream", `"none"`},
		{managerPath, propertiesInterface + ".Get", []any{managerInterface, "Nothing"}, std + "UnknownProperty", "Nothing"},
		{managerPath, propertiesInterface + ".Get", []any{"x.y", "NStreams"}, std + "UnknownInterface", "x.y"},
		{managerPath, propertiesInterface + ".Get", []any{streamInterface, "Name"}, std + "UnknownInterface", streamInterface},
		{managerPath, propertiesInterface + ".GetAll", []any{"x.y"}, std + "UnknownInterface", "x.y"},
		{managerPath, propertiesInterface + ".Set", []any{managerInterface, "NStreams", v(uint32(1))}, std + "PropertyReadOnly", "NStreams"},
		{StreamPath("cam1"), propertiesInterface + ".Set", []any{streamInterface, "State", v("running")}, std + "PropertyReadOnly", "State"},
		{StreamPath("cam1"), propertiesInterface + ".Set", []any{streamInterface, "Nothing", v("x")}, std + "UnknownProperty", "Nothing"},
		{"/", propertiesInterface + ".Get", []any{managerInterface, "NStreams"}, std + "UnknownInterface", managerInterface},
		{"/", propertiesInterface + ".Get", []any{peerInterface, "X"}, std + "UnknownProperty", "X"},
	} {
		err := c.Object(busName, call.path).Call(call.method, 0, call.args...).Err
		if name := errorOf(t, err); name != call.name || !strings.Contains(fmt.Sprint(err), call.text) {
			t.Errorf("%s %s: %s: %v", call.path, call.method, name, err)
		}
	}
}

func TestCallWithoutInterfaceFindsTheMethod(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	c := r.connect(t)
	call := func(path dbus.ObjectPath, member string, args ...any) error {
		m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(busName),
			dbus.FieldPath:        dbus.MakeVariant(path),
			dbus.FieldMember:      dbus.MakeVariant(member),
		}, Body: args}
		if len(args) > 0 {
			m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
		}
		return (<-c.Send(m, make(chan *dbus.Call, 1)).Done).Err
	}
	if err := call(managerPath, "GetHealth", "cam1"); err != nil {
		t.Error(err)
	}
	if err := call(StreamPath("cam1"), "GetHealth"); err != nil {
		t.Error(err)
	}
	if err := call("/", "Introspect"); err != nil {
		t.Error(err)
	}
	if name := errorOf(t, call(managerPath, "Nothing")); name != errUnknownMethod {
		t.Error(name)
	}
}

func TestPeerAnswersOnEveryPath(t *testing.T) {
	r := start(t, fakekeeper.New())
	c := r.connect(t)
	for _, path := range []dbus.ObjectPath{"/", managerPath, "/org/ffkeeper1/stream/none", "/nowhere"} {
		var id string
		if err := c.Object(busName, path).Call(peerInterface+".Ping", 0).Err; err != nil {
			t.Error(path, err)
		}
		if err := c.Object(busName, path).Call(peerInterface+".GetMachineId", 0).Store(&id); err == nil && len(id) != 32 {
			t.Error(path, id)
		}
	}
}

func TestPropertiesAreRead(t *testing.T) {
	k := fakekeeper.New("idle")
	k.Put(fakekeeper.Full("cam1", 4711))
	r := start(t, k)
	c := r.connect(t)
	get := func(o dbus.BusObject, iface, name string) any {
		var v dbus.Variant
		if err := o.Call(propertiesInterface+".Get", 0, iface, name).Store(&v); err != nil {
			t.Error(name, err)
			return nil
		}
		return v.Value()
	}
	for name, want := range map[string]any{"Version": "1.2.3", "AllHealthy": true, "NStreams": uint32(2), "NRunning": uint32(1), "NFailed": uint32(0)} {
		if got := get(manager(c), managerInterface, name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	for name, want := range map[string]any{
		"Name": "cam1", "Description": "test stream cam1", "State": "running", "Health": "ok", "Reason": "", "Wanted": true,
		"PID": uint32(4711), "RestartCount": uint32(3), "ConsecutiveFailures": uint32(1), "NeedsRestart": false,
		"SourceFile": "/etc/ffkeeper/streams.d/cam1.stream",
	} {
		if got := get(streamObject(c, "cam1"), streamInterface, name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	idle := streamObject(c, "idle")
	for name, want := range map[string]any{"StartTimestamp": uint64(0), "NextRestartTimestamp": uint64(0), "StateChangeTimestamp": uint64(1_700_000_000_000_001)} {
		if got := get(idle, streamInterface, name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	var all map[string]dbus.Variant
	for _, iface := range []string{streamInterface, ""} {
		if err := idle.Call(propertiesInterface+".GetAll", 0, iface).Store(&all); err != nil || len(all) != len(streamProperties()) {
			t.Errorf("%q: %d properties, %v", iface, len(all), err)
		}
	}
	all = nil
	if err := idle.Call(propertiesInterface+".GetAll", 0, peerInterface).Store(&all); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
}

func TestManagedObjectsAreTheStreams(t *testing.T) {
	k := fakekeeper.New("idle", "a-b")
	k.Put(fakekeeper.Full("cam1", 4711))
	r := start(t, k)
	var got map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	if err := manager(r.connect(t)).Call(objectManagerInterface+".GetManagedObjects", 0).Store(&got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"idle", "a-b", "cam1"} {
		p := got[StreamPath(name)][streamInterface]
		if p["Name"].Value() != name || len(p) != len(streamProperties()) {
			t.Errorf("%s: %v", name, p)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d objects", len(got))
	}
}

func TestPanicEndsTheCallOnly(t *testing.T) {
	k := fakekeeper.New("cam1")
	k.OnStart = func(context.Context, string, service.CallOptions) (int, error) { panic("of the test") }
	r := start(t, k)
	m := manager(r.connect(t))
	for range 3 {
		if name := errorOf(t, m.Call(managerInterface+".Start", 0, "cam1", options{}).Err); name != errFailed {
			t.Error(name)
		}
	}
	if err := m.Call(managerInterface+".GetHealth", 0, "cam1").Err; err != nil {
		t.Error(err)
	}
}

func TestUnaskedDescriptorsAreClosed(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	c := r.connect(t)
	m := manager(c)
	before := openFDs(t)
	for range 100 {
		m.Call(managerInterface+".GetHealth", 0, dbus.UnixFD(0))
		m.Call(managerInterface+".Start", 0, "cam1", options{"wait": dbus.MakeVariant(dbus.UnixFD(0))})
		m.Call(managerInterface+".Start", 0, "cam1", options{"wait": dbus.MakeVariant([]dbus.UnixFD{0, 1, 2})})
	}
	if n := openFDs(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	if name := errorOf(t, m.Call(managerInterface+".Start", 0, "cam1", options{"wait": dbus.MakeVariant([]dbus.UnixFD{0})}).Err); name != errInvalidArgs {
		t.Error(name)
	}
	if err := m.Call(managerInterface+".GetHealth", 0, "cam1").Err; err != nil {
		t.Error(err)
	}
}

func TestAnswerIsNotSentToWhoWantsNone(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	replies := make(chan *dbus.Message, 10)
	c := r.connect(t, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type == dbus.TypeMethodReply || m.Type == dbus.TypeError {
			replies <- m
		}
	}))
	<-replies // to Hello
	m := manager(c)
	m.Call(managerInterface+".GetHealth", dbus.FlagNoReplyExpected, "cam1")
	m.Call(managerInterface+".GetHealth", dbus.FlagNoReplyExpected, "none")
	m.Call(managerInterface+".Nothing", dbus.FlagNoReplyExpected)
	if err := m.Call(peerInterface+".Ping", 0).Err; err != nil {
		t.Fatal(err)
	}
	<-replies
	if len(replies) > 0 {
		t.Errorf("got %v", <-replies)
	}
}

func TestReplyOfAWrongTypeIsAnError(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	r.methods[managerInterface]["GetStream"].run = func(*call) (any, error) { return uint32(1), nil }
	r.methods[managerInterface]["GetHealth"].run = func(*call) (any, error) { return make(chan int), nil }
	m := manager(r.connect(t))
	for _, method := range []string{"GetStream", "GetHealth"} {
		if name := errorOf(t, m.Call(managerInterface+"."+method, 0, "cam1").Err); name != errFailed {
			t.Error(method, name)
		}
	}
}
