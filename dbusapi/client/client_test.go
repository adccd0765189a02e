package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/ffkeeper/ffkeeper/dbusapi"
	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service"
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// serve runs the real bus face over a fake keeper; stop ends it.
func serve(t *testing.T, bus *bustest.Bus, k *fakekeeper.Keeper) (stop func()) {
	t.Helper()
	s, err := dbusapi.New(k, dbusapi.Options{Bus: bus.Address, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	select {
	case <-s.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the keeper does not serve")
	}
	return stop
}

func dial(t *testing.T, bus *bustest.Bus) *client.Client {
	t.Helper()
	c, err := client.Dial(bus.Address, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestReadingCalls(t *testing.T) {
	k := fakekeeper.New("idle")
	full := fakekeeper.Full("cam-1", 4711)
	k.Put(full)
	bus := bustest.Start(t)
	serve(t, bus, k)
	c := dial(t, bus)
	ctx := within(t)

	streams, err := c.Streams(ctx)
	if d := cmp.Diff([]client.Stream{
		{Name: "cam-1", State: "running", Health: "ok", Description: "test stream cam-1", PID: 4711, Object: "/org/ffkeeper1/stream/cam_2d1"},
		{Name: "idle", State: "stopped", Health: "none", Description: "test stream idle", Object: "/org/ffkeeper1/stream/idle"},
	}, streams); err != nil || d != "" {
		t.Error(err, d)
	}
	if name, err := c.StreamByPID(ctx, 4711); name != "cam-1" || err != nil {
		t.Error(name, err)
	}
	m, err := c.Manager(ctx)
	if d := cmp.Diff(client.Manager{Version: "1.2.3", AllHealthy: true, NStreams: 2, NRunning: 1}, m); err != nil || d != "" {
		t.Error(err, d)
	}

	h, err := c.Health(ctx, "cam-1")
	if err != nil {
		t.Fatal(err)
	}
	if h.State != "running" || h.PID != 4711 || h.UptimeSeconds < 90 || h.RestartCount != 3 || len(h.RecentErrors) != 5 || len(h.ExitCodes) != 3 ||
		*h.LastActivityAgo < 1 || *h.CPUPercent != 12.5 || *h.RSSBytes != 50<<20 || *h.Threads != 7 || *h.ReadBytes != 11 || *h.WriteBytes != 12 ||
		*h.Frame != 1234 || *h.FPS != 25 || *h.Speed != 1.01 || *h.BitrateBPS != 2_500_000 || *h.OutTimeUsec != 49_000_000 || *h.TotalBytes != 1<<40 ||
		*h.DroppedFrames != 7 || *h.DuplicatedFrames != 8 || *h.LastRestartUsec == 0 || *h.NextRestartUsec == 0 ||
		*h.CgroupMemoryBytes != 60<<20 || *h.CgroupCPUPercent != 13.5 || *h.PressureCPUPercent != 1.5 || *h.PressureMemoryPercent != 2.5 ||
		*h.PressureIOPercent != 3.5 || len(h.Raw) != 30 {
		t.Errorf("got %+v", h)
	}
	report, err := c.Report(ctx)
	if err != nil || report["cam-1"].PID != 4711 || report["idle"].State != "stopped" || report["idle"].Frame != nil || report["idle"].CgroupMemoryBytes != nil || len(report) != 2 {
		t.Error(report, err)
	}

	p, err := c.Properties(ctx, "cam-1")
	if err != nil || p.Name != "cam-1" || p.PID != 4711 || !p.Wanted || p.StateChange.UnixMicro() != full.StateSince.UnixMicro() ||
		p.Started.UnixMicro() != full.Started.UnixMicro() || p.SourceFile != full.SourceFile || len(p.Command) != 3 || len(p.Raw) != 18 {
		t.Errorf("%+v, %v", p, err)
	}
	all, err := c.AllProperties(ctx)
	if err != nil || len(all) != 2 || all["idle"].Name != "idle" || !all["idle"].Started.IsZero() {
		t.Error(all, err)
	}
	if d := cmp.Diff(p, all["cam-1"]); d != "" {
		t.Error(d)
	}

	lines, err := c.Lines(ctx, "cam-1", 2)
	if err != nil || len(lines) != 2 || lines[1].Text != "line 49 of cam-1" || lines[1].Priority != 6 || lines[1].Time.UnixMicro() != full.Lines[49].Time.UnixMicro() {
		t.Error(lines, err)
	}
	if lines, err := c.Lines(ctx, "idle", -1); len(lines) != 0 || err != nil {
		t.Error(lines, err)
	}
}

func TestMutatingCalls(t *testing.T) {
	k := fakekeeper.New("cam1", "cam2")
	asked := make(chan string, 10)
	note := func(what, name string, o service.CallOptions) {
		asked <- fmt.Sprint(what, " ", name, " ", o.Wait, " ", o.Timeout)
	}
	k.OnStart = func(_ context.Context, name string, o service.CallOptions) (int, error) {
		note("start", name, o)
		if name == "cam2" {
			return 0, &service.Error{Kind: service.SpawnFailed, Text: "no program"}
		}
		return 42, nil
	}
	k.OnStop = func(_ context.Context, name string, o service.CallOptions) error {
		note("stop", name, o)
		return nil
	}
	k.OnRestart = func(_ context.Context, name string, o service.CallOptions) (int, error) {
		note("restart", name, o)
		return 43, nil
	}
	k.OnKill = func(name string, signal int) error {
		asked <- fmt.Sprint("kill ", name, " ", signal)
		return nil
	}
	k.OnReload = func() ([]service.Change, error) {
		return []service.Change{{Kind: "changed", Name: "cam1", Detail: "restart it"}}, nil
	}
	k.OnWrite = func(_ string, data []byte) (int, error) { return len(data) / 2, nil }
	bus := bustest.Start(t)
	serve(t, bus, k)
	c := dial(t, bus)
	ctx := within(t)
	expect := func(want string) {
		t.Helper()
		if got := <-asked; got != want {
			t.Errorf("asked %q, not %q", got, want)
		}
	}
	if pid, err := c.Start(ctx, "cam1", client.Options{Wait: "ok"}); pid != 42 || err != nil {
		t.Error(pid, err)
	}
	expect("start cam1 ok 0s")
	if err := c.Stop(ctx, "cam1", client.Options{Timeout: 3 * time.Second}); err != nil {
		t.Error(err)
	}
	expect("stop cam1  3s")
	if pid, err := c.Restart(ctx, "cam1", client.Options{Wait: "none", Timeout: time.Second}); pid != 43 || err != nil {
		t.Error(pid, err)
	}
	expect("restart cam1 none 1s")
	if err := c.Kill(ctx, "cam1", 15); err != nil {
		t.Error(err)
	}
	expect("kill cam1 15")
	if failed, err := c.StartAll(ctx, client.Options{}); err != nil || len(failed) != 1 || failed[0] != (client.Failure{Name: "cam2", Text: "no program"}) {
		t.Error(failed, err)
	}
	if failed, err := c.StopAll(ctx, client.Options{}); err != nil || len(failed) != 0 {
		t.Error(failed, err)
	}
	if err := c.ResetFailed(ctx, "cam1"); err != nil {
		t.Error(err)
	}
	if changes, err := c.Reload(ctx); err != nil || len(changes) != 1 || changes[0] != (client.Change{Kind: "changed", Name: "cam1", Detail: "restart it"}) {
		t.Error(changes, err)
	}
	if n, err := c.WriteStdin(ctx, "cam1", make([]byte, 100)); n != 50 || err != nil {
		t.Error(n, err)
	}
	if _, err := c.Start(ctx, "cam2", client.Options{}); !client.IsSpawnFailed(err) || err.Error() != "no program" {
		t.Error(err)
	}
	if err := c.Stop(ctx, "cam1", client.Options{Wait: "ok"}); !client.IsInvalidArgs(err) {
		t.Error(err)
	}
	for _, err := range []error{
		c.Kill(ctx, "none", 1), c.ResetFailed(ctx, "none"), c.Stop(ctx, "none", client.Options{}),
		second(c.Health(ctx, "none")), second(c.Properties(ctx, "none")), second(c.StreamByPID(ctx, 1)), second(c.OpenStdin(ctx, "none")),
	} {
		if !client.IsNoSuchStream(err) && !strings.Contains(fmt.Sprint(err), "kill") {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFiles(t *testing.T) {
	k := fakekeeper.New("cam1")
	ours := make(chan *os.File, 1)
	k.OnOpen = func(_ string, out bool) (*os.File, error) {
		pr, pw, err := os.Pipe()
		if out {
			ours <- pw
			return pr, err
		}
		ours <- pr
		return pw, err
	}
	bus := bustest.Start(t)
	serve(t, bus, k)
	c := dial(t, bus)
	w, err := c.OpenStdin(within(t), "cam1")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "frames")
	w.Close()
	r := <-ours
	if data, err := io.ReadAll(r); string(data) != "frames" || err != nil {
		t.Error(string(data), err)
	}
	r.Close()
	r, err = c.OpenStdout(within(t), "cam1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w = <-ours
	fmt.Fprint(w, "pictures")
	w.Close()
	if data, err := io.ReadAll(r); string(data) != "pictures" || err != nil {
		t.Error(string(data), err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	k := fakekeeper.New("cam1")
	began := make(chan struct{}, 2)
	release := make(chan struct{})
	defer close(release)
	k.OnStart = func(context.Context, string, service.CallOptions) (int, error) {
		began <- struct{}{}
		<-release
		return 0, nil
	}
	k.OnOpen = func(string, bool) (*os.File, error) {
		began <- struct{}{}
		<-release
		return os.Open("/dev/null")
	}
	bus := bustest.Start(t)
	serve(t, bus, k)
	c := dial(t, bus)
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error { return second(c.Start(ctx, "cam1", client.Options{})) },
		func(ctx context.Context) error { return second(c.OpenStdin(ctx, "cam1")) },
	} {
		ctx, cancel := context.WithCancel(within(t))
		go func() {
			<-began
			cancel()
		}()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	bus := bustest.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.Address)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", bus.Address)
	for name, want := range map[string]string{
		"system":    "ffkeeperd is not running on the system bus; start it with: systemctl start ffkeeper",
		"session":   "ffkeeperd is not running on the session bus; start it with: FFKEEPER_BUS=session ffkeeperd",
		bus.Address: "ffkeeperd is not running on the bus at " + bus.Address,
	} {
		c, err := client.Dial(name, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Streams(within(t))
		if !errors.Is(err, client.ErrNotRunning) || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
	for _, address := range []string{"", "unix:path=" + dir + "/killed"} {
		if address != "" {
			if err := os.WriteFile(dir+"/bus-address", []byte(address+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := client.Dial("private", dir)
		if !errors.Is(err, client.ErrNotRunning) || !strings.Contains(err.Error(), "FFKEEPER_STATE_DIR="+dir) {
			t.Errorf("%q: %v", address, err)
		}
	}
	bus.Kill()
	_, err := client.Dial("system", "")
	if err == nil || errors.Is(err, client.ErrNotRunning) || !strings.HasPrefix(err.Error(), "cannot connect to the system bus: ") {
		t.Error(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if _, err := client.Dial("session", ""); err == nil || !strings.Contains(err.Error(), dir+"/bus") {
		t.Error(err)
	}
}

func TestPrivateBusIsFoundByTheStateDirectory(t *testing.T) {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b, err := dbusapi.StartPrivateBus(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := client.Dial("private", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Streams(within(t)); !errors.Is(err, client.ErrNotRunning) {
		t.Error(err)
	}
}

func TestFlagsOfCalls(t *testing.T) {
	bus := bustest.Start(t)
	flags := make(chan dbus.Flags, 10)
	s, err := dbus.Connect(bus.Address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type == dbus.TypeMethodCall {
			flags <- m.Flags
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.RequestName("org.ffkeeper1", 0); err != nil {
		t.Fatal(err)
	}
	c := dial(t, bus)
	c.Start(within(t), "x", client.Options{})
	if f := <-flags; f != dbus.FlagNoAutoStart {
		t.Errorf("flags %x", f)
	}
	c.Interactive = true
	c.Start(within(t), "x", client.Options{})
	if f := <-flags; f != dbus.FlagNoAutoStart|dbus.FlagAllowInteractiveAuthorization {
		t.Errorf("flags %x", f)
	}
}

func TestClientOutlivesTheBus(t *testing.T) {
	k := fakekeeper.New("cam1")
	bus := bustest.Start(t)
	serve(t, bus, k)
	c := dial(t, bus)
	if _, err := c.Streams(within(t)); err != nil {
		t.Fatal(err)
	}
	bus.Kill()
	for { // until the end of the connection is known
		_, err := c.Streams(within(t))
		if err == nil {
			t.Fatal("the bus is gone")
		}
		if strings.HasPrefix(err.Error(), "cannot connect to the bus at ") {
			break
		}
	}
	bus.Restart()
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := c.Streams(within(t))
		if err == nil {
			break
		}
		if !errors.Is(err, client.ErrNotRunning) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	c.Close()
	if _, err := c.Streams(within(t)); err == nil {
		t.Error("a closed client calls")
	}
}
