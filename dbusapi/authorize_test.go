package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/ffkeeper/ffkeeper/dbusapi/bustest"
	"github.com/ffkeeper/ffkeeper/dbusapi/internal/fakekeeper"
	"github.com/ffkeeper/ffkeeper/service"
)

// question is what polkit was asked.
type question struct {
	subjectKind, subject string
	action               string
	details              map[string]string
	flags                uint32
	id                   string
}

// fakePolkit owns polkit's name on a test's bus and answers as the test says.
type fakePolkit struct {
	answer func(question) (polkitResult, *dbus.Error)

	mu        sync.Mutex
	asked     []question
	withdrawn chan string
}

func (p *fakePolkit) CheckAuthorization(subject polkitSubject, action string, details map[string]string, flags uint32, id string) (polkitResult, *dbus.Error) {
	name, _ := subject.Details["name"].Value().(string)
	q := question{subject.Kind, name, action, details, flags, id}
	p.mu.Lock()
	p.asked = append(p.asked, q)
	p.mu.Unlock()
	return p.answer(q)
}

func (p *fakePolkit) CancelCheckAuthorization(id string) *dbus.Error {
	p.withdrawn <- id
	return nil
}

func (p *fakePolkit) questions() []question {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func startPolkit(t *testing.T, bus *bustest.Bus, answer func(question) (polkitResult, *dbus.Error)) *fakePolkit {
	t.Helper()
	c, err := dbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := &fakePolkit{answer: answer, withdrawn: make(chan string, 10)}
	if err := c.Export(p, polkitPath, polkitInterface); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RequestName(polkitName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return p
}

// asNobody runs gdbus as a user who is neither root nor us; it answers what
// gdbus printed, which on failure holds the error's name.
func asNobody(t *testing.T, bus *bustest.Bus, interactive bool, method string, args ...string) (string, bool) {
	t.Helper()
	cmd := gdbusAsNobody(t, t.Context(), bus, interactive, method, args...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func gdbusAsNobody(t *testing.T, ctx context.Context, bus *bustest.Bus, interactive bool, method string, args ...string) *exec.Cmd {
	t.Helper()
	argv := []string{"call", "--address", bus.Address, "--dest", busName, "--object-path", string(managerPath), "--method", managerInterface + "." + method}
	if interactive {
		argv = append(argv, "--interactive")
	}
	cmd := exec.CommandContext(ctx, "gdbus", append(argv, args...)...)
	asUserNobody(t, cmd)
	return cmd
}

// asUserNobody makes a command run as a user who is neither root nor us.
func asUserNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to be somebody else")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C"}
	cmd.Dir = "/"
}

// mutating is every method that changes something, with arguments for gdbus
// and the action it needs.
var mutating = []struct {
	method string
	args   []string
	action string
	stream string
}{
	{"Start", []string{"cam1", "{}"}, actionManage, "cam1"},
	{"Stop", []string{"cam1", "{}"}, actionManage, "cam1"},
	{"Restart", []string{"cam1", "{}"}, actionManage, "cam1"},
	{"StartAll", []string{"{}"}, actionManage, ""},
	{"StopAll", []string{"{}"}, actionManage, ""},
	{"ResetFailed", []string{"cam1"}, actionManage, "cam1"},
	{"Kill", []string{"cam1", "15"}, actionManage, "cam1"},
	{"Reload", nil, actionReload, ""},
	{"WriteStdin", []string{"cam1", "[byte 1]"}, actionWriteStdin, "cam1"},
	{"OpenStdin", []string{"cam1"}, actionWriteStdin, "cam1"},
	{"OpenStdout", []string{"cam1"}, actionManage, "cam1"},
}

// keeperWithPipes is a fake whose streams have stdin and stdout.
func keeperWithPipes(names ...string) *fakekeeper.Keeper {
	k := fakekeeper.New(names...)
	k.OnOpen = func(string, bool) (*os.File, error) { return os.Open("/dev/null") }
	return k
}

func TestEveryMutatingMethodAsksPolkit(t *testing.T) {
	k := keeperWithPipes("cam1")
	bus := bustest.Start(t)
	allowed := func(question) (polkitResult, *dbus.Error) { return polkitResult{Authorized: true}, nil }
	p := startPolkit(t, bus, allowed)
	startOn(t, bus, k, func(o *Options) { o.Polkit = true })
	for _, m := range mutating {
		out, ok := asNobody(t, bus, false, m.method, m.args...)
		if !ok {
			t.Errorf("%s: %s", m.method, out)
			continue
		}
		asked := p.questions()
		if len(asked) != 1 {
			t.Errorf("%s: %d questions", m.method, len(asked))
			continue
		}
		q := asked[0]
		if q.action != m.action || q.subjectKind != "system-bus-name" || !strings.HasPrefix(q.subject, ":") || q.flags != 0 ||
			q.details["verb"] != m.method || q.details["stream"] != m.stream {
			t.Errorf("%s: asked %+v", m.method, q)
		}
	}
	// All others are for reading, and free.
	covered := map[string]bool{}
	for _, m := range mutating {
		covered[m.method] = true
	}
	for name, op := range operations()[managerInterface] {
		if (op.action != "") != covered[name] {
			t.Errorf("%s needs action %q", name, op.action)
		}
	}
	for name, op := range operations()[streamInterface] {
		if (op.action != "") != covered[name] {
			t.Errorf("%s needs action %q", name, op.action)
		}
	}
	if out, ok := asNobody(t, bus, false, "GetHealth", "cam1"); !ok || len(p.questions()) != 0 {
		t.Error(out)
	}
}

func TestRootIsNotAskedAbout(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root")
	}
	bus := bustest.Start(t)
	p := startPolkit(t, bus, func(question) (polkitResult, *dbus.Error) { return polkitResult{}, nil })
	r := startOn(t, bus, keeperWithPipes("cam1"), func(o *Options) { o.Polkit = true })
	if err := manager(r.connect(t)).Call(managerInterface+".Start", 0, "cam1", options{}).Err; err != nil {
		t.Error(err)
	}
	if n := len(p.questions()); n != 0 {
		t.Errorf("%d questions", n)
	}
}

func TestPolkitsAnswerBecomesTheRightError(t *testing.T) {
	bus := bustest.Start(t)
	type answer struct {
		result  polkitResult
		refusal *dbus.Error
	}
	answers := make(chan answer, 1)
	p := startPolkit(t, bus, func(question) (polkitResult, *dbus.Error) {
		a := <-answers
		return a.result, a.refusal
	})
	startOn(t, bus, keeperWithPipes("cam1"), func(o *Options) { o.Polkit = true })
	for _, c := range []struct {
		result      polkitResult
		refusal     *dbus.Error
		interactive bool
		want        string
	}{
		{polkitResult{}, nil, false, errAccessDenied},
		{polkitResult{}, nil, true, errAccessDenied},
		{polkitResult{Challenge: true}, nil, false, errInteractiveNeeded},
		{polkitResult{Challenge: true}, nil, true, errAccessDenied}, // the dialog was dismissed
		{polkitResult{}, dbus.NewError("org.freedesktop.PolicyKit1.Error.Failed", []any{"broken"}), false, errAccessDenied},
	} {
		answers <- answer{c.result, c.refusal}
		out, ok := asNobody(t, bus, c.interactive, "Start", "cam1", "{}")
		if ok || !strings.Contains(out, c.want) {
			t.Errorf("%+v: %s", c, out)
		}
		if q := p.questions(); len(q) != 1 || (q[0].flags == polkitInteraction) != c.interactive {
			t.Errorf("asked %+v", q)
		}
	}
}

func TestNobodyIsAskedAboutAMisspeltStream(t *testing.T) {
	bus := bustest.Start(t)
	p := startPolkit(t, bus, func(question) (polkitResult, *dbus.Error) { return polkitResult{}, nil })
	startOn(t, bus, keeperWithPipes("cam1"), func(o *Options) { o.Polkit = true })
	for _, args := range [][]string{{"camm1", "{}"}, {"cam1", "{'wat': <1>}"}} {
		if out, ok := asNobody(t, bus, true, "Start", args...); ok || strings.Contains(out, errAccessDenied) {
			t.Error(out)
		}
	}
	if n := len(p.questions()); n != 0 {
		t.Errorf("%d questions", n)
	}
}

func TestWithoutPolkitOthersMayOnlyRead(t *testing.T) {
	for _, polkit := range []bool{true, false} {
		k := fakekeeper.New("cam1")
		k.OnStart = func(context.Context, string, service.CallOptions) (int, error) {
			t.Error("the stream was started")
			return 0, nil
		}
		r := start(t, k, func(o *Options) { o.Polkit = polkit })
		for _, m := range mutating {
			out, ok := asNobody(t, r.bus, true, m.method, m.args...)
			if ok || !strings.Contains(out, errAccessDenied) {
				t.Errorf("polkit %v: %s: %s", polkit, m.method, out)
			}
		}
		if out, ok := asNobody(t, r.bus, false, "GetHealthReport"); !ok || !strings.Contains(out, "cam1") {
			t.Error(out)
		}
	}
}

// A question to a person does not outlive who asked it.
func TestQuestionIsWithdrawnWhenTheCallerLeaves(t *testing.T) {
	bus := bustest.Start(t)
	asked := make(chan string, 1)
	release := make(chan struct{})
	p := startPolkit(t, bus, func(q question) (polkitResult, *dbus.Error) {
		asked <- q.id
		<-release
		return polkitResult{}, nil
	})
	defer close(release)
	k := keeperWithPipes("cam1")
	r := startOn(t, bus, k, func(o *Options) { o.Polkit = true })
	ctx, cancel := context.WithCancel(t.Context())
	cmd := gdbusAsNobody(t, ctx, bus, true, "Start", "cam1", "{}")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := <-asked
	// Others are not held up meanwhile.
	if err := manager(r.connect(t)).Call(managerInterface+".Start", 0, "cam1", options{}).Err; err != nil {
		t.Error(err)
	}
	cancel()
	cmd.Wait()
	select {
	case got := <-p.withdrawn:
		if got != id {
			t.Errorf("%s was withdrawn, %s was asked", got, id)
		}
	case <-time.After(20 * time.Second):
		t.Error("the dialog remains")
	}
}

func TestOwnUserPassesUnasked(t *testing.T) {
	r := start(t, fakekeeper.New("cam1"))
	ses := &session{Server: r.Server}
	var err error
	if ses.conn, err = dialPlain(t, r.bus); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	nobody := exec.CommandContext(ctx, "/usr/bin/python3", "-c", `
import dbus.bus, sys, time
bus = dbus.bus.BusConnection(sys.argv[1])
print(bus.get_unique_name(), flush=True)
time.sleep(60)`, r.bus.Address)
	asUserNobody(t, nobody)
	out, err := nobody.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Start(); err != nil {
		t.Fatal(err)
	}
	defer nobody.Wait()
	defer cancel()
	var name string
	if _, err := fmt.Fscan(out, &name); err != nil {
		t.Fatal(err)
	}
	for own, want := range map[uint32]string{65534: "", 1: errAccessDenied} {
		a := newAuthorizer(ses.conn, own, false)
		err := a.authorize(within(t), request{sender: name, action: actionManage, verb: "Start"})
		var e *busError
		if errors.As(err, &e); (e == nil) != (want == "") || e != nil && e.name != want {
			t.Errorf("uid 65534 of a keeper with uid %d: %v", own, err)
		}
		a.mu.Lock()
		if a.uids[name] != 65534 {
			t.Errorf("remembered %v", a.uids)
		}
		a.mu.Unlock()
		a.gone(name)
		if len(a.uids) != 0 {
			t.Error("who has left is remembered")
		}
	}
	a := newAuthorizer(ses.conn, 0, false)
	if err := a.authorize(within(t), request{sender: ":1.99999", action: actionManage, verb: "Start"}); errorName(err) != errAccessDenied {
		t.Error(err)
	}
}
