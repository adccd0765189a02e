package dbusapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// Clients that are not ours, as people use them.

func (r *running) tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LANG=C", "DBUS_SESSION_BUS_ADDRESS="+r.bus.Address)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (r *running) busctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return r.tool(t, "busctl", append([]string{"--address=" + r.bus.Address, "--no-pager"}, args...)...)
}

func (r *running) gdbus(t *testing.T, path, method string, args ...string) (string, error) {
	t.Helper()
	return r.tool(t, "gdbus", append([]string{"call", "--address", r.bus.Address, "--dest", busName, "--object-path", path, "--method", method}, args...)...)
}

func TestBusctl(t *testing.T) {
	k := fakekeeper.New("cam-1")
	r := start(t, k)
	for _, c := range []struct {
		args string
		want string
		fail bool
	}{
		{"call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager Start sa{sv} cam-1 0", "u 1001", false},
		{"call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager ListStreams", `a(ssssuo) 1 "cam-1" "running" "ok" "test stream cam-1" 1001 "/org/ffkeeper1/stream/cam_2d1"`, false},
		{"call org.ffkeeper1 /org/ffkeeper1/stream/cam_2d1 org.ffkeeper1.Stream Restart a{sv} 2 wait s done timeout_usec t 5000000", "u 1002", false},
		{"call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager WriteStdin say cam-1 3 1 2 3", "u 3", false},
		{"call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager Start sa{sv} cam-1 1 wiat s ok", `unknown option "wiat"; known: wait`, true},
		{"call org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager GetHealth s nope", `there is no stream "nope"`, true},
		{"get-property org.ffkeeper1 /org/ffkeeper1 org.ffkeeper1.Manager AllHealthy NStreams Version", "b true\nu 1\ns \"1.2.3\"", false},
		{"get-property org.ffkeeper1 /org/ffkeeper1/stream/cam_2d1 org.ffkeeper1.Stream State PID Command", "s \"running\"\nu 1002\nas 3 \"ffmpeg\" \"-i\" \"rtmp://host/app/[redacted]\"", false},
		{"set-property org.ffkeeper1 /org/ffkeeper1/stream/cam_2d1 org.ffkeeper1.Stream State s x", "property State cannot be set", true},
		{"tree --list org.ffkeeper1", "/\n/org\n/org/ffkeeper1\n/org/ffkeeper1/stream\n/org/ffkeeper1/stream/cam_2d1", false},
	} {
		out, err := r.busctl(t, strings.Fields(c.args)...)
		if (err != nil) != c.fail || !strings.Contains(out, c.want) {
			t.Errorf("busctl %s: %v\n%s", c.args, err, out)
		}
	}
	out, err := r.busctl(t, "introspect", "org.ffkeeper1", "/org/ffkeeper1/stream/cam_2d1")
	if err != nil {
		t.Fatal(err, out)
	}
	for _, want := range []string{".GetHealth ", ".Name ", "const", ".State ", "emits-change", `"running"`, ".PropertiesChanged "} {
		if !strings.Contains(out, want) {
			t.Errorf("busctl introspect does not show %s:\n%s", want, out)
		}
	}
	out, err = r.busctl(t, "--json=short", "call", "org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "GetHealthReport")
	var report struct {
		Data []map[string]map[string]struct {
			Type string
			Data any
		}
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &report)
	}
	if err != nil || report.Data[0]["cam-1"]["state"].Data != "running" {
		t.Error(err, out)
	}
}

func TestGDBus(t *testing.T) {
	k := fakekeeper.New("cam1")
	r := start(t, k)
	for _, c := range []struct {
		path, method string
		args         []string
		want         string
		fail         bool
	}{
		{"/org/ffkeeper1", "org.ffkeeper1.Manager.Start", []string{"cam1", "{'wait': <'done'>}"}, "(uint32 1001,)", false},
		{"/org/ffkeeper1", "org.ffkeeper1.Manager.Stop", []string{"cam1", "{'timeout_usec': <uint64 1>}"}, "()", false},
		{"/org/ffkeeper1/stream/cam1", "org.ffkeeper1.Stream.Start", []string{"{}"}, "(uint32 1002,)", false},
		{"/org/ffkeeper1", "org.ffkeeper1.Manager.GetStreamByPID", []string{"1002"}, "(objectpath '/org/ffkeeper1/stream/cam1',)", false},
		{"/org/ffkeeper1", "org.freedesktop.DBus.Properties.GetAll", []string{"org.ffkeeper1.Manager"}, "'NRunning': <uint32 1>", false},
		{"/org/ffkeeper1", "org.freedesktop.DBus.ObjectManager.GetManagedObjects", nil, "objectpath '/org/ffkeeper1/stream/cam1': {'org.ffkeeper1.Stream'", false},
		{"/org/ffkeeper1", "org.ffkeeper1.Manager.Kill", []string{"cam1", "99"}, "GDBus.Error:org.freedesktop.DBus.Error.InvalidArgs", true},
		{"/org/ffkeeper1", "org.ffkeeper1.Manager.OpenStdin", []string{"cam1"}, "GDBus.Error:org.ffkeeper1.Error.StdinClosed: cam1 has no stdin for data", true},
		{"/org/ffkeeper1/stream/nope", "org.ffkeeper1.Stream.GetHealth", nil, "org.freedesktop.DBus.Error.UnknownObject", true},
	} {
		out, err := r.gdbus(t, c.path, c.method, c.args...)
		if (err != nil) != c.fail || !strings.Contains(out, c.want) {
			t.Errorf("gdbus %s %s: %v\n%s", c.method, c.args, err, out)
		}
	}
	if out, err := r.tool(t, "gdbus", "introspect", "--address", r.bus.Address, "--dest", busName, "--object-path", "/", "--recurse"); err != nil || !strings.Contains(out, "node /org/ffkeeper1/stream/cam1") {
		t.Error(err, out)
	}
}

// pythonClient uses every feature of the bus that python3-dbus has: calls by
// proxy, properties, signals through a main loop, descriptors, errors.
const pythonClient = `
import os, sys
import dbus, dbus.bus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(sys.argv[1])
def say(*what): print(*what, flush=True)

manager = dbus.Interface(bus.get_object("org.ffkeeper1", "/org/ffkeeper1"), "org.ffkeeper1.Manager")
say("streams", [str(s[0]) for s in manager.ListStreams()])
path = manager.GetStream("cam1")
stream = bus.get_object("org.ffkeeper1", path)
say("pid", int(stream.Start({"wait": "done"}, dbus_interface="org.ffkeeper1.Stream")))
manager.Restart("cam1", {"timeout_usec": 5000000})  # a plain int: python-dbus makes an i of it

props = dbus.Interface(stream, "org.freedesktop.DBus.Properties")
say("state", props.Get("org.ffkeeper1.Stream", "State"), "name", props.GetAll("org.ffkeeper1.Stream")["Name"])
health = manager.GetHealth("cam1")
say("health", health["state"], int(health["restart_count"]))

w = os.fdopen(manager.OpenStdin("cam1").take(), "wb", buffering=0)
w.write(b"frames from python")
w.close()
r = os.fdopen(manager.OpenStdout("cam1").take(), "rb")
say("read", r.read().decode())
r.close()
say("took", int(manager.WriteStdin("cam1", dbus.ByteArray(b"x" * 1000))))

for call in (lambda: manager.GetHealth("nope"), lambda: manager.Start("cam1", {"nope": True}), lambda: props.Set("org.ffkeeper1.Stream", "State", "x")):
    try:
        call()
        say("no error")
    except dbus.DBusException as e:
        say("error", e.get_dbus_name())

loop = GLib.MainLoop()
def changed(interface, properties, invalidated, path):
    if interface == "org.ffkeeper1.Stream":
        say("changed", path, sorted(str(k) for k in properties))
def state(name, path, old, new, reason):
    say("state", name, old, new, reason)
    loop.quit()
bus.add_signal_receiver(changed, "PropertiesChanged", "org.freedesktop.DBus.Properties", "org.ffkeeper1", path_keyword="path")
bus.add_signal_receiver(state, "StateChanged", "org.ffkeeper1.Manager", "org.ffkeeper1")
say("listening")
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
`

func TestPythonDBus(t *testing.T) {
	k := fakekeeper.New("cam1")
	fromPython := make(chan string, 1)
	k.OnOpen = func(_ string, out bool) (*os.File, error) {
		pr, pw, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		if out {
			fmt.Fprint(pw, "pictures for python")
			pw.Close()
			return pr, nil
		}
		go func() {
			data, _ := io.ReadAll(pr)
			pr.Close()
			fromPython <- string(data)
		}()
		return pw, nil
	}
	r := start(t, k)
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", pythonClient, r.bus.Address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{
		"streams ['cam1']",
		"pid 1001",
		"state running name cam1",
		"health running 1",
		"read pictures for python",
		"took 1000",
		"error org.ffkeeper1.Error.NoSuchStream",
		"error org.freedesktop.DBus.Error.InvalidArgs",
		"error org.freedesktop.DBus.Error.PropertyReadOnly",
		"listening",
	} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("python says %q, not %q", lines.Text(), want)
		}
	}
	if got := <-fromPython; got != "frames from python" {
		t.Errorf("python wrote %q", got)
	}
	k.Change("cam1", func(s *stream.Snapshot) { s.State, s.Reason = stream.StateStopping, stream.ReasonRequested })
	for _, want := range []string{
		"changed /org/ffkeeper1/stream/cam1 ['Reason', 'State']",
		"state cam1 running stopping requested",
	} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("python says %q, not %q", lines.Text(), want)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// What ends godbus's own connection, or its process, in a real client's hands.
const hostilePython = `
import os, sys
import dbus, dbus.bus
bus = dbus.bus.BusConnection(sys.argv[1])
null = os.open("/dev/null", os.O_RDONLY)
fd = dbus.types.UnixFd(null)
for args in (
    (dbus.Array([fd, fd, fd], signature="h"),),
    (dbus.Dictionary({True: "x"}, signature="bs"),),
    (dbus.Dictionary({dbus.Signature("s"): "x"}, signature="gs"),),
    ("cam1", dbus.Dictionary({"wait": dbus.Array([fd], signature="h", variant_level=1)}, signature="sv")),
    ("cam1", dbus.Dictionary({"wait": dbus.Dictionary({True: fd}, signature="bh", variant_level=1)}, signature="sv")),
    ("cam1", dbus.Dictionary({"wait": dbus.String("ok", variant_level=30)}, signature="sv")),
):
    try:
        bus.call_blocking("org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "Start", None, args)
        print("no error")
    except dbus.DBusException as e:
        print(e.get_dbus_name())
`

func TestHostilePython(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	c := r.connect(t)
	before := openFDs(t)
	out, err := r.tool(t, "/usr/bin/python3", "-c", hostilePython, r.bus.Address)
	if want := strings.TrimSpace(strings.Repeat(errInvalidArgs+"\n", 6)); err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	if err := manager(c).Call(managerInterface+".GetHealth", 0, "cam1").Err; err != nil {
		t.Error(err)
	}
	if n := openFDs(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}
