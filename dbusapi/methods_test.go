package dbusapi

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

type options = map[string]dbus.Variant

func TestListAndLookups(t *testing.T) {
	k := fakekeeper.New("idle")
	k.Put(fakekeeper.Full("cam-1", 4711))
	r := start(t, k)
	m := manager(r.connect(t))
	var rows []listed
	if err := m.Call(managerInterface+".ListStreams", 0).Store(&rows); err != nil {
		t.Fatal(err)
	}
	want := []listed{
		{"cam-1", "running", "ok", "test stream cam-1", 4711, "/org/ffkeeper1/stream/cam_2d1"},
		{"idle", "stopped", "none", "test stream idle", 0, "/org/ffkeeper1/stream/idle"},
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}
	var path dbus.ObjectPath
	if err := m.Call(managerInterface+".GetStream", 0, "cam-1").Store(&path); err != nil || path != StreamPath("cam-1") {
		t.Error(path, err)
	}
	if err := m.Call(managerInterface+".GetStreamByPID", 0, uint32(4711)).Store(&path); err != nil || path != StreamPath("cam-1") {
		t.Error(path, err)
	}
	for _, pid := range []uint32{0, 1} {
		if name := errorOf(t, m.Call(managerInterface+".GetStreamByPID", 0, pid).Err); name != "org.ffkeeper1.Error.NoSuchStream" {
			t.Error(pid, name)
		}
	}
}

// Every method that names a stream does the same on the manager and on the
// stream's object.
func TestMutatingCallsReachTheKeeper(t *testing.T) {
	k := fakekeeper.New("cam1", "cam2")
	asked := make(chan string, 4)
	k.OnStart = func(_ context.Context, name string, o service.CallOptions) (int, error) {
		if name == "cam2" {
			return 0, &service.Error{Kind: service.SpawnFailed, Text: "start cam2: exec /usr/bin/ffmpg: no such file"}
		}
		asked <- fmt.Sprint("start ", name, " ", o.Wait, " ", o.Timeout)
		return 42, nil
	}
	k.OnStop = func(_ context.Context, name string, o service.CallOptions) error {
		asked <- fmt.Sprint("stop ", name, " ", o.Wait, " ", o.Timeout)
		return nil
	}
	k.OnRestart = func(_ context.Context, name string, o service.CallOptions) (int, error) {
		asked <- fmt.Sprint("restart ", name, " ", o.Wait, " ", o.Timeout)
		return 43, nil
	}
	k.OnKill = func(name string, signal int) error {
		asked <- fmt.Sprint("kill ", name, " ", signal)
		return nil
	}
	r := start(t, k)
	c := r.connect(t)
	v := dbus.MakeVariant
	for _, call := range []struct {
		method string
		args   []any
		asked  string
		answer []any
	}{
		{"Start", []any{options{}}, "start cam1  0s", []any{uint32(42)}},
		{"Start", []any{options{"wait": v("ok")}}, "start cam1 ok 0s", []any{uint32(42)}},
		{"Stop", []any{options{"timeout_usec": v(uint64(2500000))}}, "stop cam1  2.5s", nil},
		{"Restart", []any{options{"wait": v("none"), "timeout_usec": v(uint64(1))}}, "restart cam1 none 1µs", []any{uint32(43)}},
		{"Kill", []any{int32(15)}, "kill cam1 15", nil},
	} {
		byName := manager(c).Call(managerInterface+"."+call.method, 0, append([]any{"cam1"}, call.args...)...)
		if byName.Err != nil {
			t.Error(call.method, byName.Err)
			continue
		}
		first := <-asked
		byPath := streamObject(c, "cam1").Call(streamInterface+"."+call.method, 0, call.args...)
		if byPath.Err != nil {
			t.Error(call.method, byPath.Err)
			continue
		}
		if second := <-asked; first != call.asked || second != call.asked {
			t.Errorf("%s asked %q and %q, not %q", call.method, first, second, call.asked)
		}
		if !slices.Equal(byName.Body, call.answer) || !slices.Equal(byPath.Body, call.answer) {
			t.Errorf("%s answers %v and %v", call.method, byName.Body, byPath.Body)
		}
	}
	var failed []failure
	if err := manager(c).Call(managerInterface+".StartAll", 0, options{}).Store(&failed); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]failure{{"cam2", "start cam2: exec /usr/bin/ffmpg: no such file"}}, failed); d != "" {
		t.Error(d)
	}
	<-asked
	failed = []failure{{"stale", ""}}
	if err := manager(c).Call(managerInterface+".StopAll", 0, options{}).Store(&failed); err != nil || len(failed) != 0 {
		t.Error(failed, err)
	}
	for _, o := range []dbus.BusObject{manager(c), streamObject(c, "cam1")} {
		args := []any{"cam1"}
		iface := managerInterface
		if o.Path() != managerPath {
			args, iface = nil, streamInterface
		}
		if err := o.Call(iface+".ResetFailed", 0, args...).Err; err != nil {
			t.Error(err)
		}
	}
}

func TestErrorsHaveTheNamesOfTheContract(t *testing.T) {
	k := fakekeeper.New("cam1")
	kinds := []service.Kind{service.NoSuchStream, service.BadSetting, service.SpawnFailed, service.StdinClosed, service.NotRunning, service.Busy}
	failures := make(chan error, 1)
	fail := func(kind service.Kind) {
		failures <- fmt.Errorf("wrapped: %w", &service.Error{Kind: kind, Text: "why"})
	}
	k.OnStart = func(context.Context, string, service.CallOptions) (int, error) { return 0, <-failures }
	r := start(t, k)
	m := manager(r.connect(t))
	for _, kind := range kinds {
		fail(kind)
		err := m.Call(managerInterface+".Start", 0, "cam1", options{}).Err
		if name := errorOf(t, err); name != "org.ffkeeper1.Error."+string(kind) || err.Error() != "wrapped: why" {
			t.Error(name, err)
		}
	}
	fail(service.InvalidArgs)
	if name := errorOf(t, m.Call(managerInterface+".Start", 0, "cam1", options{}).Err); name != "org.freedesktop.DBus.Error.InvalidArgs" {
		t.Error(name)
	}
	failures <- fmt.Errorf("bad line \xff\x00 here: %s", strings.Repeat("ä", 5000))
	err := m.Call(managerInterface+".Start", 0, "cam1", options{}).Err
	if name := errorOf(t, err); name != "org.freedesktop.DBus.Error.Failed" || !strings.HasPrefix(err.Error(), "bad line \uFFFD\uFFFD here: ä") {
		t.Error(name, err)
	}
}

// The keys and types stand in the comment of GetHealth in the XML; this is
// that comment as a table.
func TestHealthHasTheKeysOfTheContract(t *testing.T) {
	always := map[string]string{
		"state": "s", "health": "s", "reason": "s", "pid": "u", "uptime_seconds": "d", "restart_count": "u",
		"consecutive_failures": "u", "recent_errors": "as", "exit_codes": "ai",
	}
	known := map[string]string{
		"last_activity_ago": "d", "last_restart_usec": "t", "next_restart_usec": "t", "cpu_percent": "d", "rss_bytes": "t",
		"threads": "u", "read_bytes": "t", "write_bytes": "t", "frame": "t", "fps": "d", "speed": "d", "bitrate_bps": "t",
		"out_time_usec": "x", "total_bytes": "t", "dropped_frames": "t", "duplicated_frames": "t",
		"cgroup_memory_bytes": "t", "cgroup_cpu_percent": "d",
		"pressure_cpu_percent": "d", "pressure_memory_percent": "d", "pressure_io_percent": "d",
	}
	for key, typ := range known {
		if !strings.Contains(contractXML, key+" "+typ) {
			t.Errorf("the XML has no %s %s", key, typ)
		}
	}
	maps.Copy(known, always)

	k := fakekeeper.New("idle")
	k.Put(fakekeeper.Full("cam1", 4711))
	r := start(t, k)
	c := r.connect(t)
	for name, want := range map[string]map[string]string{"idle": always, "cam1": known} {
		var h map[string]dbus.Variant
		if err := manager(c).Call(managerInterface+".GetHealth", 0, name).Store(&h); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for key, v := range h {
			got[key] = v.Signature().String()
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		var byPath, fromReport map[string]dbus.Variant
		var report map[string]map[string]dbus.Variant
		if err := streamObject(c, name).Call(streamInterface+".GetHealth", 0).Store(&byPath); err != nil {
			t.Fatal(err)
		}
		if err := manager(c).Call(managerInterface+".GetHealthReport", 0).Store(&report); err != nil {
			t.Fatal(err)
		}
		fromReport = report[name]
		for _, other := range []map[string]dbus.Variant{byPath, fromReport} {
			if !slices.Equal(slices.Sorted(maps.Keys(other)), slices.Sorted(maps.Keys(h))) {
				t.Errorf("%s differs: %v", name, other)
			}
		}
	}
	var h map[string]dbus.Variant
	if err := manager(c).Call(managerInterface+".GetHealth", 0, "cam1").Store(&h); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"state": "running", "pid": uint32(4711), "restart_count": uint32(3), "frame": uint64(1234), "speed": 1.01,
		"bitrate_bps": uint64(2_500_000), "out_time_usec": int64(49_000_000), "total_bytes": uint64(1 << 40),
		"rss_bytes": uint64(50 << 20), "dropped_frames": uint64(7), "duplicated_frames": uint64(8),
		"cgroup_memory_bytes": uint64(60 << 20), "cgroup_cpu_percent": 13.5,
		"pressure_cpu_percent": 1.5, "pressure_memory_percent": 2.5, "pressure_io_percent": 3.5,
	} {
		if h[key].Value() != want {
			t.Errorf("%s is %v", key, h[key])
		}
	}
	if up := h["uptime_seconds"].Value().(float64); up < 90 || up > 150 {
		t.Errorf("up for %v s", up)
	}
	if d := cmp.Diff([]int32{0, 1, -9}, h["exit_codes"].Value()); d != "" {
		t.Error(d)
	}
}

func TestLinesAreTheNewestOldestFirst(t *testing.T) {
	k := fakekeeper.New()
	s := fakekeeper.Full("cam1", 1)
	s.Lines[49] = stream.Line{Time: time.UnixMicro(1_700_000_000_123_456), Priority: 3, Text: "[error] \xff\x00 broken"}
	k.Put(s)
	r := start(t, k)
	c := r.connect(t)
	for n, count := range map[uint32]int{0: 0, 1: 1, 2: 2, 50: 50, 51: 50, 1<<32 - 1: 50} {
		var got, byPath []line
		if err := manager(c).Call(managerInterface+".GetLines", 0, "cam1", n).Store(&got); err != nil {
			t.Fatal(err)
		}
		if err := streamObject(c, "cam1").Call(streamInterface+".GetLines", 0, n).Store(&byPath); err != nil {
			t.Fatal(err)
		}
		if len(got) != count || !slices.Equal(got, byPath) {
			t.Errorf("%d of %d lines", len(got), count)
		}
		if count >= 2 && (got[count-1] != line{1_700_000_000_123_456, 3, "[error] \uFFFD\uFFFD broken"} || got[count-2].Text != "line 48 of cam1") {
			t.Error(got[count-2:])
		}
	}
}

func TestReloadTellsWhatItDid(t *testing.T) {
	k := fakekeeper.New()
	k.OnReload = func() ([]service.Change, error) {
		return []service.Change{{Kind: "added", Name: "a"}, {Kind: "error", Name: "b", Detail: "b.stream:3: unknown key"}}, nil
	}
	r := start(t, k)
	var got []change
	if err := manager(r.connect(t)).Call(managerInterface+".Reload", 0).Store(&got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]change{{"added", "a", ""}, {"error", "b", "b.stream:3: unknown key"}}, got); d != "" {
		t.Error(d)
	}
}

func TestWriteStdinTakesAtMostOneMiB(t *testing.T) {
	k := fakekeeper.New("cam1")
	taken := make(chan []byte, 1)
	k.OnWrite = func(name string, data []byte) (int, error) {
		if name != "cam1" {
			return 0, fmt.Errorf("stream %q", name)
		}
		taken <- slices.Clone(data)
		return len(data) - len(data)/4, nil
	}
	r := start(t, k)
	c := r.connect(t)
	write := func(size int, call func(data []byte) *dbus.Call) {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * 7 / 3)
		}
		want := data[:min(size, 1<<20)]
		var n uint32
		if err := call(data).Store(&n); err != nil {
			t.Fatal(err)
		}
		if took := <-taken; !slices.Equal(took, want) {
			t.Errorf("%d bytes: %d arrive", size, len(took))
		}
		if answer := uint32(len(want) - len(want)/4); n != answer {
			t.Errorf("%d bytes: the answer is %d", size, n)
		}
	}
	byName := func(data []byte) *dbus.Call {
		return manager(c).Call(managerInterface+".WriteStdin", 0, "cam1", data)
	}
	byPath := func(data []byte) *dbus.Call {
		return streamObject(c, "cam1").Call(streamInterface+".WriteStdin", 0, data)
	}
	for _, size := range []int{0, 1, 1000} {
		write(size, byName)
		write(size, byPath)
	}
	write(1<<20+1, byName)
	write(1<<20+1<<17, byPath)
}

func TestFilesArePassed(t *testing.T) {
	k := fakekeeper.New("cam1", "deaf")
	ours := make(chan *os.File, 1)
	k.OnOpen = func(name string, out bool) (*os.File, error) {
		if name == "deaf" {
			return nil, &service.Error{Kind: service.StdinClosed, Text: "deaf takes no data"}
		}
		pr, pw, err := os.Pipe()
		if out {
			ours <- pw
			return pr, err
		}
		ours <- pr
		return pw, err
	}
	r := start(t, k)
	c := r.connect(t)
	before := openFDs(t)
	open := func(o dbus.BusObject, method string, args ...any) *os.File {
		var fd dbus.UnixFD
		if err := o.Call(method, 0, args...).Store(&fd); err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), method)
	}
	for _, theirs := range []func() *os.File{
		func() *os.File { return open(manager(c), managerInterface+".OpenStdin", "cam1") },
		func() *os.File { return open(streamObject(c, "cam1"), streamInterface+".OpenStdin") },
	} {
		w := theirs()
		fmt.Fprint(w, "frames")
		w.Close()
		rd := <-ours
		// EOF comes only if our copy was closed.
		if data, err := io.ReadAll(rd); string(data) != "frames" || err != nil {
			t.Error(string(data), err)
		}
		rd.Close()
	}
	for _, theirs := range []func() *os.File{
		func() *os.File { return open(manager(c), managerInterface+".OpenStdout", "cam1") },
		func() *os.File { return open(streamObject(c, "cam1"), streamInterface+".OpenStdout") },
	} {
		rd := theirs()
		w := <-ours
		fmt.Fprint(w, "pictures")
		w.Close()
		if data, err := io.ReadAll(rd); string(data) != "pictures" || err != nil {
			t.Error(string(data), err)
		}
		rd.Close()
	}
	// One that wants no answer gets no descriptor, and leaves none.
	manager(c).Call(managerInterface+".OpenStdin", dbus.FlagNoReplyExpected, "cam1")
	(<-ours).Close()
	manager(c).Call(peerInterface+".Ping", 0)
	if n := openFDs(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	if name := errorOf(t, manager(c).Call(managerInterface+".OpenStdin", 0, "deaf").Err); name != "org.ffkeeper1.Error.StdinClosed" {
		t.Error(name)
	}
}
