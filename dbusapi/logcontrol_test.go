package dbusapi

import (
	"errors"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
)

// testLog is a log that can be set to anything but "bad".
type testLog struct {
	mu            sync.Mutex
	level, target string
}

func (l *testLog) values() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level + " " + l.target
}

func (l *testLog) control() *LogControl {
	get := func(field *string) func() string {
		return func() string {
			l.mu.Lock()
			defer l.mu.Unlock()
			return *field
		}
	}
	set := func(field *string) func(string) error {
		return func(value string) error {
			if value == "bad" {
				return errors.New("there is no bad")
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			*field = value
			return nil
		}
	}
	return &LogControl{
		Level: get(&l.level), SetLevel: set(&l.level),
		Target: get(&l.target), SetTarget: set(&l.target),
		Identifier: "ffkeeperd",
	}
}

func startWithLog(t *testing.T) (*running, *testLog) {
	l := &testLog{level: "info", target: "journal"}
	return start(t, fakekeeper.New("cam1"), func(o *Options) { o.LogControl = l.control() }), l
}

func TestLogControlIntrospectionIsTheContract(t *testing.T) {
	r, _ := startWithLog(t)
	c := r.connect(t)
	if _, children := introspection(t, c, "/org"); !cmp.Equal(children, []string{"ffkeeper1", "freedesktop"}) {
		t.Errorf("/org has children %v", children)
	}
	if _, children := introspection(t, c, "/org/freedesktop"); !cmp.Equal(children, []string{"LogControl1"}) {
		t.Errorf("/org/freedesktop has children %v", children)
	}
	got, _ := introspection(t, c, logControlPath)
	if _, ours := got[managerInterface]; ours || len(got) != 4 {
		t.Errorf("%s has %d interfaces", logControlPath, len(got))
	}
	want := byName(t, logControlXML)[logControlInterface]
	if d := cmp.Diff(want, got[logControlInterface], cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	all := (&testLog{}).control().properties()
	for _, p := range want.Properties {
		if v, ok := all[p.Name]; !ok || v.Signature().String() != p.Type {
			t.Errorf("the code has no %s of type %s", p.Name, p.Type)
		}
		if writable := r.opts.LogControl.setter(p.Name) != nil; writable != (p.Access == "readwrite") {
			t.Errorf("%s can be set: %v", p.Name, writable)
		}
		delete(all, p.Name)
	}
	for name := range all {
		t.Errorf("%s is not in the XML", name)
	}
}

func TestLogControlIsReadAndSet(t *testing.T) {
	r, l := startWithLog(t)
	o := r.connect(t).Object(busName, logControlPath)
	set := func(name string, value any) error {
		return o.Call(propertiesInterface+".Set", 0, logControlInterface, name, dbus.MakeVariant(value)).Err
	}
	if err := errors.Join(set("LogLevel", "debug"), set("LogTarget", "console")); err != nil {
		t.Fatal(err)
	}
	if got := l.values(); got != "debug console" {
		t.Errorf("set to %s", got)
	}
	var all map[string]dbus.Variant
	if err := o.Call(propertiesInterface+".GetAll", 0, logControlInterface).Store(&all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all["LogLevel"].Value() != "debug" || all["LogTarget"].Value() != "console" || all["SyslogIdentifier"].Value() != "ffkeeperd" {
		t.Error(all)
	}
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"LogLevel", "bad", errInvalidArgs},
		{"LogTarget", "bad", errInvalidArgs},
		{"LogLevel", uint32(7), errInvalidArgs},
		{"SyslogIdentifier", "x", errPropertyReadOnly},
		{"Nothing", "x", errUnknownProperty},
	} {
		if got := errorOf(t, set(c.name, c.value)); got != c.want {
			t.Errorf("%s = %v: %q", c.name, c.value, got)
		}
	}
	if got := l.values(); got != "debug console" {
		t.Errorf("a refused value was set: %s", got)
	}
}

// polkit would allow everything, and is not asked.
func TestLogControlIsSetByRootAndTheKeeperAlone(t *testing.T) {
	bus := bustest.Start(t)
	l := &testLog{level: "info", target: "journal"}
	polkit := startPolkit(t, bus, func(question) (polkitResult, *dbus.Error) { return polkitResult{Authorized: true}, nil })
	startOn(t, bus, fakekeeper.New(), func(o *Options) { o.Polkit, o.LogControl = true, l.control() })
	call := func(method string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "gdbus", append([]string{"call", "--address", bus.Address, "--dest", busName,
			"--object-path", string(logControlPath), "--method", propertiesInterface + "." + method, logControlInterface}, args...)...)
		asUserNobody(t, cmd)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := call("Get", "LogLevel"); err != nil || !strings.Contains(out, "'info'") {
		t.Errorf("reading: %v: %s", err, out)
	}
	if out, err := call("Set", "LogLevel", "<'debug'>"); err == nil || !strings.Contains(out, errAccessDenied) {
		t.Errorf("setting: %v: %s", err, out)
	}
	if got := l.values(); got != "info journal" {
		t.Errorf("nobody has set it to %s", got)
	}
	if asked := polkit.questions(); len(asked) > 0 {
		t.Errorf("polkit was asked: %v", asked)
	}
}

func TestNoLogControlNoObject(t *testing.T) {
	r := start(t, fakekeeper.New())
	c := r.connect(t)
	for _, path := range []dbus.ObjectPath{logControlPath, "/org/freedesktop"} {
		for _, call := range [][]any{
			{introspectInterface + ".Introspect"},
			{propertiesInterface + ".GetAll", logControlInterface},
			{propertiesInterface + ".Set", logControlInterface, "LogLevel", dbus.MakeVariant("x")},
		} {
			err := c.Object(busName, path).Call(call[0].(string), 0, call[1:]...).Err
			if name := errorOf(t, err); name != errUnknownObject {
				t.Errorf("%s %s: %q", path, call[0], name)
			}
		}
	}
}
