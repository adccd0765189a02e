package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

func TestTakenNameIsAnErrorThatNamesItsOwner(t *testing.T) {
	bus := bustest.Start(t)
	c, err := dbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.RequestName(busName, 0); err != nil {
		t.Fatal(err)
	}
	s, err := New(fakekeeper.New(), Options{Bus: bus.Address})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(within(t))
	if want := fmt.Sprintf("process %d (%s) owns it", os.Getpid(), c.Names()[0]); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	select {
	case <-s.Ready():
		t.Error("ready without the name")
	default:
	}
}

func TestImpossibleBusIsRefusedAtOnce(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	for bus, want := range map[string]string{
		"":            "it is empty",
		"nonsense":    "no transport",
		"tcp:host=::": "only unix:",
		"session":     "cannot find the session bus",
	} {
		if _, err := New(fakekeeper.New(), Options{Bus: bus}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bus, err)
		}
	}
}

func TestBusIsWaitedForAndItsRestartSurvived(t *testing.T) {
	bus := bustest.Start(t)
	bus.Kill()
	k := fakekeeper.New("cam1")
	s, err := New(k, Options{Bus: bus.Address})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if err := s.Ping(within(t)); err != nil {
		t.Error("without a bus:", err)
	}
	for round := range 4 {
		bus.Restart()
		c, err := dbus.Connect(bus.Address)
		if err != nil {
			t.Fatal(err)
		}
		awaitOwner(t, c)
		if round == 0 {
			<-s.Ready()
		}
		var state string
		if err := c.Object(busName, StreamPath("cam1")).Call(propertiesInterface+".Get", 0, streamInterface, "State").Store(&state); err != nil {
			t.Fatal(err)
		}
		if want := []string{"stopped", "failed"}[min(round, 1)]; state != want {
			t.Errorf("round %d: the stream is %s", round, state)
		}
		if err := s.Ping(within(t)); err != nil {
			t.Error("with a bus:", err)
		}
		c.Close()
		bus.Kill()
		k.Change("cam1", func(s *stream.Snapshot) { s.State = stream.StateFailed })
		if err := s.Ping(within(t)); err != nil {
			t.Error("after the bus:", err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// awaitOwner waits until the keeper has its name.
func awaitOwner(t testing.TB, c *dbus.Conn) {
	t.Helper()
	ch := make(chan *dbus.Signal, 100)
	c.Signal(ch)
	if err := c.AddMatchSignal(dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName)); err != nil {
		t.Fatal(err)
	}
	var has bool
	if err := c.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, busName).Store(&has); err != nil {
		t.Fatal(err)
	}
	for timeout := time.After(20 * time.Second); !has; {
		select {
		case s := <-ch:
			has = s.Name == "org.freedesktop.DBus.NameOwnerChanged" && s.Body[2] != ""
		case <-timeout:
			t.Fatal("the keeper does not come back")
		}
	}
}

// Only the bus takes a name away, and only the bus is believed.
func TestForgedLossOfTheNameIsIgnored(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	c := r.connect(t)
	var owner string
	if err := c.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, busName).Store(&owner); err != nil {
		t.Fatal(err)
	}
	msg := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(owner),
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/DBus")),
		dbus.FieldInterface:   dbus.MakeVariant("org.freedesktop.DBus"),
		dbus.FieldMember:      dbus.MakeVariant("NameLost"),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.ParseSignatureMust("s")),
	}, Body: []any{busName}}
	c.Send(msg, nil)
	if err := manager(c).Call(peerInterface+".Ping", 0).Err; err != nil {
		t.Error(err)
	}
	var still string
	if err := c.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, busName).Store(&still); err != nil || still != owner {
		t.Errorf("a forged signal made %s of %s: %v", still, owner, err)
	}
}

func TestPingTellsALoopThatHangs(t *testing.T) {
	k := fakekeeper.New("cam1")
	r := start(t, k)
	if err := r.Ping(within(t)); err != nil {
		t.Fatal(err)
	}
	// A bus that hangs is no fault of ours.
	r.bus.Signal(syscall.SIGSTOP)
	for range 100 {
		k.Change("cam1", func(s *stream.Snapshot) { s.Description += "x" })
	}
	if err := r.Ping(within(t)); err != nil {
		t.Error(err)
	}
	r.bus.Signal(syscall.SIGCONT)
	// Nobody runs this one's loop.
	s, err := New(k, Options{Bus: r.bus.Address})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestLastSignalsAreSentBeforeTheEnd(t *testing.T) {
	k := fakekeeper.New("cam1")
	r := start(t, k)
	l := r.listen(t)
	for i := range 500 {
		k.Change("cam1", func(s *stream.Snapshot) { s.RestartCount = i + 1 })
	}
	r.cancel()
	for i := range 500 {
		l.expect(fmt.Sprintf("PropertiesChanged /stream/cam1 org.ffkeeper1.Stream RestartCount=%d []", i+1))
	}
}

func TestSlowCallsHoldUpNobody(t *testing.T) {
	k := fakekeeper.New("cam1")
	release := make(chan struct{})
	began := make(chan struct{}, 100)
	k.OnStart = func(context.Context, string, service.CallOptions) (int, error) {
		began <- struct{}{}
		<-release
		return 5, nil
	}
	r := start(t, k)
	c := r.connect(t)
	var pending []*dbus.Call
	for range 10 {
		pending = append(pending, manager(c).Go(managerInterface+".Start", 0, nil, "cam1", options{"wait": dbus.MakeVariant("ok")}))
	}
	for range 10 {
		<-began
	}
	for range 20 {
		if err := manager(c).Call(managerInterface+".GetHealth", 0, "cam1").Err; err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	for _, p := range pending {
		if err := (<-p.Done).Err; err != nil {
			t.Error(err)
		}
	}
}

// A client that does not wait for answers still gets its calls done in the
// order it made them.
func TestCallsOfOneClientAreDoneInOrder(t *testing.T) {
	k := fakekeeper.New("cam1")
	got := make(chan byte, 2000)
	k.OnWrite = func(_ string, data []byte) (int, error) {
		got <- data[0]
		return 1, nil
	}
	r := start(t, k)
	c := r.connect(t)
	const n = 200 // fewer than laneCalls
	for i := range n {
		manager(c).Go(managerInterface+".WriteStdin", dbus.FlagNoReplyExpected, nil, "cam1", []byte{byte(i)})
	}
	for i := range n {
		if b := <-got; b != byte(i) {
			t.Fatalf("call %d comes as number %d", b, i)
		}
	}
}

func TestDataKeepsItsOrderWhilePolkitIsSlow(t *testing.T) {
	bus := bustest.Start(t)
	startPolkit(t, bus, func(question) (polkitResult, *dbus.Error) {
		time.Sleep(4 * patience) // a slow polkit, not a wait for anything
		return polkitResult{Authorized: true}, nil
	})
	k := fakekeeper.New("cam1")
	got := make(chan byte, 100)
	k.OnWrite = func(_ string, data []byte) (int, error) {
		got <- data[0]
		return 1, nil
	}
	startOn(t, bus, k, func(o *Options) { o.Polkit = true })
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", `
import sys, dbus, dbus.bus
bus = dbus.bus.BusConnection(sys.argv[1])
for i in range(10):
    m = dbus.lowlevel.MethodCallMessage("org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "WriteStdin")
    m.append("cam1", dbus.ByteArray(bytes([i])), signature="say")
    m.set_no_reply(True)
    bus.send_message(m)
bus.flush()
bus.call_blocking("org.ffkeeper1", "/org/ffkeeper1", "org.ffkeeper1.Manager", "GetHealth", "s", ("cam1",))
`, bus.Address)
	asUserNobody(t, cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i := range 10 {
		if b := <-got; b != byte(i) {
			t.Errorf("piece %d comes as number %d", b, i)
		}
	}
}

// Half of a StopAll would be worse than all or nothing of it.
func TestCallGoesOnWhenItsCallerLeaves(t *testing.T) {
	k := fakekeeper.New("cam1")
	began := make(chan context.Context, 1)
	release := make(chan struct{})
	ended := make(chan error, 1)
	k.OnStop = func(ctx context.Context, _ string, _ service.CallOptions) error {
		began <- ctx
		<-release
		ended <- ctx.Err()
		return nil
	}
	r := start(t, k)
	c, err := dbus.Connect(r.bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	manager(c).Go(managerInterface+".StopAll", 0, nil, options{})
	<-began
	c.Close()
	// The keeper hears of the caller's end before it answers this.
	other := r.connect(t)
	if err := manager(other).Call(peerInterface+".Ping", 0).Err; err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// While one client has as many long calls waiting as it may, a call of another
// is answered after a few of them, not after all: counted, not timed.
func TestOneClientsFloodLeavesOthersQuick(t *testing.T) {
	k := fakekeeper.New()
	for i := range 40 {
		k.Put(fakekeeper.Full(fmt.Sprint("cam", i), i+1))
	}
	r := start(t, k)
	flooder := r.connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const flood = 2 * (laneCalls + laneSlow) // on their way at any time
	var answered, refused atomic.Int64
	done, wasRefused := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		answers := make(chan *dbus.Call, flood)
		for pending := 0; ; {
			for pending < flood && ctx.Err() == nil {
				manager(flooder).Go(managerInterface+".GetHealthReport", 0, answers)
				pending++
			}
			if pending == 0 {
				return
			}
			call := <-answers
			pending--
			var e dbus.Error
			switch {
			case call.Err == nil:
				answered.Add(1)
			case errors.As(call.Err, &e) && e.Name == errLimitsExceeded:
				if refused.Add(1) == 1 {
					close(wasRefused)
				}
			case ctx.Err() != nil: // the connection has been closed
			default:
				t.Error(call.Err)
			}
		}
	}()
	c := r.connect(t)
	var between []int64
	for range 15 {
		before := answered.Load()
		if err := manager(c).Call(managerInterface+".GetHealth", 0, "cam1").Err; err != nil {
			t.Fatal(err)
		}
		between = append(between, answered.Load()-before)
	}
	select {
	case <-wasRefused:
	case <-time.After(time.Minute):
		t.Error("nothing of the flood was refused")
	}
	cancel()
	flooder.Close() // it does not wait for what it has asked for
	<-done
	t.Logf("between question and answer %d of the flood were answered; in all %d, and %d refused", between, answered.Load(), refused.Load())
	slices.Sort(between)
	if median := between[len(between)/2]; median > laneCalls/4 {
		t.Errorf("%d calls of another client were answered first", median)
	}
}

// Reading for nobody costs nothing; what changes something is done though
// nobody wants to hear of it.
func TestReadingForNobodyIsNotDone(t *testing.T) {
	k := fakekeeper.New("cam1", "cam2")
	k.OnSnapshot = func(name string) {
		if name == "cam2" {
			t.Error("a health that nobody wants was looked for")
		}
	}
	stopped := make(chan string, 1)
	k.OnStop = func(_ context.Context, name string, _ service.CallOptions) error {
		stopped <- name
		return nil
	}
	c := start(t, k).connect(t)
	manager(c).Go(managerInterface+".GetHealth", dbus.FlagNoReplyExpected, nil, "cam2")
	manager(c).Go(managerInterface+".Stop", dbus.FlagNoReplyExpected, nil, "cam1", options{})
	if name := <-stopped; name != "cam1" {
		t.Errorf("%q was stopped", name)
	}
}
