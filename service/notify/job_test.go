package notify

import (
	"bufio"
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// ask asks for the job, which must not take much longer than its bound.
func ask(t *testing.T, ctx context.Context) (JobKind, error) {
	t.Helper()
	start := time.Now()
	kind, err := Job(ctx)
	if took := time.Since(start); took > jobTime+time.Second {
		t.Errorf("took %v", took)
	}
	if (kind == JobUnknown) != (err != nil) {
		t.Errorf("%s with error %v", kind, err)
	}
	return kind, err
}

func TestJobIsUnknownWithoutABus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "nowhere"))
	if kind, err := ask(t, t.Context()); kind != JobUnknown {
		t.Errorf("%s, %v", kind, err)
	}
}

func TestJobIsUnknownWhereTheBusDoesNotSpeak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	if kind, err := ask(t, t.Context()); kind != JobUnknown {
		t.Errorf("%s, %v", kind, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	if kind, err := ask(t, ctx); kind != JobUnknown || time.Since(start) > time.Second {
		t.Errorf("cancelled: %s, %v after %v", kind, err, time.Since(start))
	}
}

// privateBus starts a message bus and makes it the system's for this test.
func privateBus(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address", "--address=unix:dir="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	return address
}

func TestJobIsUnknownWhereNoManagerIsOnTheBus(t *testing.T) {
	privateBus(t)
	if kind, err := ask(t, t.Context()); kind != JobUnknown {
		t.Errorf("%s, %v", kind, err)
	}
}

// A manager that is busy: on the bus, and answers nothing.
func TestJobIsUnknownWhereTheManagerDoesNotAnswer(t *testing.T) {
	address := privateBus(t)
	called := make(chan struct{}, 10)
	conn, err := dbus.Connect(address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type == dbus.TypeMethodCall {
			called <- struct{}{}
		}
	}), dbus.WithHandler(deaf{}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if reply, err := conn.RequestName(systemd, 0); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	if kind, err := ask(t, t.Context()); kind != JobUnknown {
		t.Errorf("%s, %v", kind, err)
	}
	select {
	case <-called:
	default:
		t.Error("the manager was not asked")
	}
}

// deaf is an object whose every method takes until the end of the test.
type deaf struct{}

func (deaf) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { return deaf{}, true }
func (deaf) LookupInterface(string) (dbus.Interface, bool)          { return deaf{}, true }
func (deaf) LookupMethod(string) (dbus.Method, bool)                { return deaf{}, true }
func (deaf) Call(...any) ([]any, error)                             { select {} }
func (deaf) NumArguments() int                                      { return 1 }
func (deaf) NumReturns() int                                        { return 0 }
func (deaf) ArgumentValue(int) any                                  { return uint32(0) }
func (deaf) ReturnValue(int) any                                    { return nil }

func TestKindOfEveryJobType(t *testing.T) {
	for jobType, want := range map[string]JobKind{
		"stop": JobStop, "restart": JobRestart, "try-restart": JobRestart,
		"start": JobNone, "verify-active": JobNone, "reload": JobNone, "nop": JobNone, "": JobNone,
	} {
		if got := kindOf(jobType); got != want {
			t.Errorf("%s: %s, want %s", jobType, got, want)
		}
	}
}
