package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// serve connects a service whose calls arrive in a channel.
func serve(t *testing.T, address string) (*Conn, chan *Message) {
	t.Helper()
	calls := make(chan *Message, 1000)
	c, err := Dial(within(t), address, func(_ *Conn, m *Message) {
		if m.Type == dbus.TypeMethodCall {
			calls <- m
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, calls
}

// foreign connects a client that is not ours.
func foreign(t *testing.T, address string) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestCallIsAnswered(t *testing.T) {
	bus := bustest.Start(t)
	s, calls := serve(t, bus.Address)
	client := foreign(t, bus.Address)
	pending := client.Object(s.UniqueName(), "/a/b").Go("x.y.Echo", 0, nil, "hello", uint32(7), []byte{1, 2, 3})
	m := <-calls
	if m.Path != "/a/b" || m.Interface != "x.y" || m.Member != "Echo" || m.Signature != "suay" || m.Sender != client.Names()[0] || m.Truncated() {
		t.Fatalf("got %+v", m)
	}
	values, err := m.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reply(m, values...); err != nil {
		t.Fatal(err)
	}
	var text string
	var number uint32
	var bytes []byte
	if err := (<-pending.Done).Store(&text, &number, &bytes); err != nil || text != "hello" || number != 7 || string(bytes) != "\x01\x02\x03" {
		t.Fatal(text, number, bytes, err)
	}
	pending = client.Object(s.UniqueName(), "/").Go("x.y.Fail", 0, nil)
	s.ReplyError(<-calls, "x.y.Error.No", "not so")
	var e dbus.Error
	if err := (<-pending.Done).Err; !errors.As(err, &e) || e.Name != "x.y.Error.No" || e.Error() != "not so" {
		t.Fatal(err)
	}
}

func TestCallOfAnotherPeer(t *testing.T) {
	bus := bustest.Start(t)
	c, _ := serve(t, bus.Address)
	values, err := c.Call(within(t), BusName, BusPath, BusInterface, "GetNameOwner", BusName)
	if err != nil || len(values) != 1 || values[0] != BusName {
		t.Fatal(values, err)
	}
	_, err = c.Call(within(t), "no.such.name", "/", "x.y", "Z")
	var e dbus.Error
	if !errors.As(err, &e) || e.Name != "org.freedesktop.DBus.Error.ServiceUnknown" {
		t.Fatal(err)
	}
}

// Each of these ends godbus's own connection, its process, or leaks.
func TestHostileCallsDoNoHarm(t *testing.T) {
	bus := bustest.Start(t)
	s, calls := serve(t, bus.Address)
	client := foreign(t, bus.Address)
	attacker, _ := serve(t, bus.Address)
	before := openFDs(t)

	object := client.Object(s.UniqueName(), "/")
	for range 50 {
		object.Go("x.y.Z", dbus.FlagNoReplyExpected, nil, []dbus.UnixFD{0, 1, 2})
		object.Go("x.y.Z", dbus.FlagNoReplyExpected, nil, dbus.UnixFD(0), dbus.MakeVariant(dbus.UnixFD(1)))
		object.Go("x.y.Z", dbus.FlagNoReplyExpected, nil, map[dbus.UnixFD]string{0: "x"})
	}
	for range 150 {
		m := <-calls
		if _, err := m.Decode(); err != nil && !strings.Contains(err.Error(), "a{hs}") {
			t.Error(err)
		}
	}
	// A dictionary with keys that are booleans, which godbus cannot even send:
	// a(bs) is the same on the wire, but for the padding of an empty one.
	type entry struct {
		Key   bool
		Value string
	}
	m := dbus.Message{
		Type:  dbus.TypeMethodCall,
		Flags: dbus.FlagNoReplyExpected,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: text(s.UniqueName()),
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/")),
			dbus.FieldMember:      text("Z"),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.ParseSignatureMust("a{bs}")),
		},
		Body: []any{[]entry{{true, "x"}}},
	}
	var buf strings.Builder
	if err := m.EncodeTo(&buf, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	raw := []byte(buf.String())
	binary.LittleEndian.PutUint32(raw[8:], attacker.nextSerial())
	attacker.out.put(raw, noFD)
	if got := <-calls; got.Signature != "a{bs}" {
		t.Fatalf("got %+v", got)
	} else if _, err := got.Decode(); err == nil {
		t.Error("godbus decodes dictionaries keyed by booleans by now")
	}

	if n := openFDs(t); n != before {
		t.Errorf("%d descriptors open, %d before", n, before)
	}
	if s.Err() != nil {
		t.Error(s.Err())
	}
}

func TestLongMessageIsCut(t *testing.T) {
	bus := bustest.Start(t)
	s, calls := serve(t, bus.Address)
	object := foreign(t, bus.Address).Object(s.UniqueName(), "/")
	object.Go("x.y.Long", dbus.FlagNoReplyExpected, nil, strings.Repeat("x", 5<<20))
	object.Go("x.y.Short", dbus.FlagNoReplyExpected, nil, "x")
	m := <-calls
	if !m.Truncated() || len(m.Body) != MaxBody || m.BodyLen != 5<<20+5 {
		t.Errorf("kept %d of %d bytes", len(m.Body), m.BodyLen)
	}
	if _, err := m.Decode(); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	if m := <-calls; m.Member != "Short" {
		t.Errorf("then %q", m.Member)
	}
}

func TestAbsurdHeaderIsSkipped(t *testing.T) {
	bus := bustest.Start(t)
	s, calls := serve(t, bus.Address)
	client := foreign(t, bus.Address)
	client.Object(s.UniqueName(), dbus.ObjectPath("/"+strings.Repeat("x", 1<<20))).Go("x.y.Z", dbus.FlagNoReplyExpected, nil)
	client.Object(s.UniqueName(), "/").Go("x.y.Next", dbus.FlagNoReplyExpected, nil)
	if m := <-calls; m.Member != "Next" {
		t.Errorf("got a call of %s", m.Member)
	}
}

func TestFileIsPassedAndNoneIsKept(t *testing.T) {
	bus := bustest.Start(t)
	s, calls := serve(t, bus.Address)
	client := foreign(t, bus.Address)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := openFDs(t)
	pending := client.Object(s.UniqueName(), "/").Go("x.y.Open", 0, nil)
	if err := s.ReplyFile(<-calls, w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var fd dbus.UnixFD
	if err := (<-pending.Done).Store(&fd); err != nil {
		t.Fatal(err)
	}
	got := os.NewFile(uintptr(fd), "got")
	if _, err := got.WriteString("through"); err != nil {
		t.Fatal(err)
	}
	got.Close()
	if data, err := io.ReadAll(r); string(data) != "through" || err != nil {
		t.Errorf("read %q, %v", data, err) // EOF comes only when no copy is left
	}
	if n := openFDs(t); n != before-1 {
		t.Errorf("%d descriptors, expected %d", n, before-1)
	}
	client.Object(s.UniqueName(), "/").Go("x.y.Open", 0, nil)
	if err := s.ReplyFile(<-calls, w); err == nil {
		t.Error("a closed file was passed")
	}
}

func TestMessagesKeepTheirOrder(t *testing.T) {
	bus := bustest.Start(t)
	s, _ := serve(t, bus.Address)
	client := foreign(t, bus.Address)
	signals := make(chan *dbus.Signal, 5001)
	client.Signal(signals)
	if err := client.AddMatchSignal(dbus.WithMatchInterface("x.y")); err != nil {
		t.Fatal(err)
	}
	for i := range uint32(5000) {
		if err := s.Emit("/", "x.y", "N", i); err != nil {
			t.Fatal(err)
		}
	}
	for i := uint32(0); i < 5000; {
		got := <-signals
		if got.Name != "x.y.N" {
			continue // NameAcquired
		}
		if got.Body[0] != i {
			t.Fatalf("signal %d is %v", i, got.Body)
		}
		i++
	}
}

func TestHungBusBlocksNoSignal(t *testing.T) {
	bus := bustest.Start(t)
	s, _ := serve(t, bus.Address)
	s.out.mu.Lock()
	s.out.hard = 4 << 20
	s.out.mu.Unlock()
	bus.Signal(syscall.SIGSTOP)
	var err error
	long := strings.Repeat("x", 1<<20)
	for range 10 {
		if err = s.Emit("/", "x.y", "N", long); err != nil {
			break
		}
	}
	if !errors.Is(err, errBacklog) {
		t.Errorf("error %v", err)
	}
	<-s.Done()
	bus.Signal(syscall.SIGCONT)
}

func TestProbeTellsAStuckReader(t *testing.T) {
	bus := bustest.Start(t)
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	s, err := Dial(within(t), bus.Address, func(_ *Conn, m *Message) {
		if m.Member == "Stick" {
			entered <- struct{}{}
			<-release
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Probe(within(t)); err != nil {
		t.Fatal(err)
	}
	bus.Signal(syscall.SIGSTOP) // a bus that is silent is no fault of the reader
	if err := s.Probe(within(t)); err != nil {
		t.Fatal(err)
	}
	bus.Signal(syscall.SIGCONT)
	foreign(t, bus.Address).Object(s.UniqueName(), "/").Go("x.y.Stick", dbus.FlagNoReplyExpected, nil)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stuck reader answers %v", err)
	}
	close(release)
	if err := s.Probe(within(t)); err != nil {
		t.Error(err)
	}
}

func TestLostBusEndsEverything(t *testing.T) {
	bus := bustest.Start(t)
	s, _ := serve(t, bus.Address)
	pending := make(chan error, 1)
	other, _ := serve(t, bus.Address) // never answers
	go func() {
		_, err := s.Call(context.Background(), other.UniqueName(), "/", "x.y", "Z")
		pending <- err
	}()
	bus.Kill()
	<-s.Done()
	if err := <-pending; err == nil {
		t.Error("a call was answered by nobody")
	}
	if err := s.Emit("/", "x.y", "N"); err == nil {
		t.Error("a signal was sent to nobody")
	}
}

func TestDialExplains(t *testing.T) {
	for address, want := range map[string]string{
		"":                                 "it is empty",
		"nonsense":                         "no transport",
		"tcp:host=localhost,port=1":        "only unix:",
		"unix:path=/a,abstract=b":          "one of path= and abstract=",
		"unix:guid=00":                     "one of path= and abstract=",
		"unix:path=/%zz":                   "invalid",
		"unix:path=/no/such/socket":        "/no/such/socket",
		"unix:path=/no/a;unix:path=/no/b;": "/no/b",
	} {
		_, err := Dial(within(t), address, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestDialOfAHungBusEnds(t *testing.T) {
	bus := bustest.Start(t)
	bus.Signal(syscall.SIGSTOP)
	defer bus.Signal(syscall.SIGCONT)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, bus.Address, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
