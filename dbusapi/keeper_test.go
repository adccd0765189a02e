package dbusapi

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/shim"
)

func TestMain(m *testing.M) {
	shim.ExecHelperMain()
	os.Exit(m.Run())
}

// realKeeper serves a real keeper with real processes.
func realKeeper(t *testing.T, files map[string]string) (*running, *service.Keeper, string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name+".stream"), []byte("[Stream]\n"+content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		write(name, content)
	}
	k, err := service.New(service.Options{Path: []string{dir}, Log: slog.DiscardHandler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.StopAll(within(t), service.CallOptions{Timeout: time.Second})
		k.Close()
	})
	return start(t, k), k, dir
}

func TestRealKeeperOnTheBus(t *testing.T) {
	r, _, dir := realKeeper(t, map[string]string{
		"picture": "Description=test picture\nExecStart=ffmpeg -re -f lavfi -i testsrc=size=64x64:rate=10 -f null -\n",
		"pipe":    "Type=simple\nExecStart=cat\nStandardInput=pipe\nStandardOutput=pipe\n",
		"broken":  "ExecStrat=ffmpeg\n",
	})
	c := r.connect(t)
	l := r.listen(t)
	m := manager(c)

	var pid uint32
	if err := m.Call(managerInterface+".Start", 0, "picture", options{"wait": dbus.MakeVariant("ok")}).Store(&pid); err != nil || pid == 0 {
		t.Fatal(pid, err)
	}
	var path dbus.ObjectPath
	if err := m.Call(managerInterface+".GetStreamByPID", 0, pid).Store(&path); err != nil || path != StreamPath("picture") {
		t.Error(path, err)
	}
	var h map[string]dbus.Variant
	if err := m.Call(managerInterface+".GetHealth", 0, "picture").Store(&h); err != nil || h["state"].Value() != "running" || h["health"].Value() != "ok" || h["pid"].Value() != pid {
		t.Error(h, err)
	}
	if out, ok := h["out_time_usec"]; !ok || out.Signature().String() != "x" {
		t.Error(h)
	}
	// Each transition is one PropertiesChanged of the stream, before the rest.
	last := ""
	for seen := ""; seen != "HealthChanged  picture /org/ffkeeper1/stream/picture starting ok"; {
		seen = l.next()
		if strings.HasPrefix(seen, "StateChanged") && !strings.HasPrefix(last, "PropertiesChanged") {
			t.Errorf("%q before %q", last, seen)
		}
		last = seen
	}

	// A stream whose file is broken is there, failed, and says why.
	err := m.Call(managerInterface+".Start", 0, "broken", options{}).Err
	if name := errorOf(t, err); name != "org.ffkeeper1.Error.BadSetting" || !strings.Contains(err.Error(), "ExecStrat") {
		t.Error(name, err)
	}
	if err := m.Call(managerInterface+".WriteStdin", 0, "pipe", []byte("x")).Err; err == nil {
		t.Error("a stream that does not run takes data")
	}

	if err := streamObject(c, "pipe").Call(streamInterface+".Start", 0, options{}).Store(&pid); err != nil {
		t.Fatal(err)
	}
	var in, out dbus.UnixFD
	if err := m.Call(managerInterface+".OpenStdin", 0, "pipe").Store(&in); err != nil {
		t.Fatal(err)
	}
	if err := m.Call(managerInterface+".OpenStdout", 0, "pipe").Store(&out); err != nil {
		t.Fatal(err)
	}
	w, rd := os.NewFile(uintptr(in), "in"), os.NewFile(uintptr(out), "out")
	defer w.Close()
	defer rd.Close()
	fmt.Fprint(w, "through cat")
	got := make([]byte, len("through cat"))
	if _, err := io.ReadFull(rd, got); err != nil || string(got) != "through cat" {
		t.Errorf("%q, %v", got, err)
	}

	// A new file, a changed one and a removed one.
	for name, content := range map[string]string{"new": "Type=simple\nExecStart=sleep 1000\nAutostart=no\n", "pipe": "Type=simple\nExecStart=cat -u\nStandardInput=pipe\nStandardOutput=pipe\n"} {
		if err := os.WriteFile(filepath.Join(dir, name+".stream"), []byte("[Stream]\n"+content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(dir, "broken.stream"))
	var changes []change
	if err := m.Call(managerInterface+".Reload", 0).Store(&changes); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, ch := range changes {
		kinds[ch.Name] = ch.Kind
	}
	if kinds["new"] != "added" || kinds["pipe"] != "changed" || kinds["broken"] != "removed" {
		t.Errorf("changes %v", changes)
	}
	want := map[string]bool{
		"StreamNew  new /org/ffkeeper1/stream/new":                                                  true,
		"StreamRemoved  broken /org/ffkeeper1/stream/broken":                                        true,
		"PropertiesChanged /stream/pipe org.ffkeeper1.Stream Command=[cat -u],NeedsRestart=true []": true,
		"PropertiesChanged /stream/pipe org.ffkeeper1.Stream NeedsRestart=true []":                  true,
	}
	for len(want) > 1 { // the command that runs is the old one, and may be shown as such
		delete(want, l.next())
	}

	var failed []failure
	if err := m.Call(managerInterface+".StopAll", 0, options{"timeout_usec": dbus.MakeVariant(uint64(2_000_000))}).Store(&failed); err != nil || len(failed) != 0 {
		t.Error(failed, err)
	}
	var running uint32
	if err := m.Call(propertiesInterface+".Get", 0, managerInterface, "NRunning").Store(&running); err != nil || running != 0 {
		t.Error(running, err)
	}
}
