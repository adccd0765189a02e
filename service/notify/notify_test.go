package notify

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listen makes a socket as the service manager has it and points us to it.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return c
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "notify") }

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	packet := make([]byte, 4096)
	n, err := c.Read(packet)
	if err != nil {
		t.Fatal(err)
	}
	return string(packet[:n])
}

func TestMessages(t *testing.T) {
	abstract := "@ffkeeper-notify-test-" + strconv.Itoa(os.Getpid())
	for _, name := range []string{socketPath(t), abstract} {
		c := listen(t, name)
		n := New()
		for _, test := range []struct {
			send func() error
			want string
		}{
			{n.Ready, "READY=1"},
			{func() error { return n.Status("12 streams: 11 ok, 1 restarting") }, "STATUS=12 streams: 11 ok, 1 restarting"},
			{func() error { return n.Status("one\nREADY=1\r\n two") }, "STATUS=one READY=1  two"},
			{n.Stopping, "STOPPING=1"},
			{func() error { return n.ExtendTimeout(1500 * time.Millisecond) }, "EXTEND_TIMEOUT_USEC=1500000"},
			{func() error { return n.ExtendTimeout(-1) }, "EXTEND_TIMEOUT_USEC=0"},
			{n.Ping, "WATCHDOG=1"},
		} {
			if err := test.send(); err != nil {
				t.Errorf("%s: %v", test.want, err)
			}
			if got := receive(t, c); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		}
		if err := n.Reloading(); err != nil {
			t.Error(err)
		}
		if got := receive(t, c); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*\n?$`).MatchString(got) {
			t.Errorf("got %q", got)
		}
	}
}

func TestStatusIsSentWhenItChanges(t *testing.T) {
	c := listen(t, socketPath(t))
	n := New()
	for _, text := range []string{"a", "a", "a", "b", "b", "a"} {
		if err := n.Status(text); err != nil {
			t.Fatal(err)
		}
	}
	n.Ready()
	var got []string
	for len(got) == 0 || got[len(got)-1] != "READY=1" {
		got = append(got, receive(t, c))
	}
	if want := []string{"STATUS=a", "STATUS=b", "STATUS=a", "READY=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestStatusIsSentAgainAfterAFailure(t *testing.T) {
	name := socketPath(t)
	c := listen(t, name)
	n := New()
	os.Rename(name, name+"-away")
	if err := n.Status("a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	os.Rename(name+"-away", name)
	if err := n.Status("a"); err != nil {
		t.Error(err)
	}
	if got := receive(t, c); got != "STATUS=a" {
		t.Errorf("got %q", got)
	}
}

func TestWithoutAManagerNothingFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000000")
	n := New()
	if n.Enabled() {
		t.Error("enabled")
	}
	for _, err := range []error{n.Ready(), n.Status("x"), n.Reloading(), n.Stopping(), n.ExtendTimeout(1), n.Ping()} {
		if err != nil {
			t.Error(err)
		}
	}
	if d, ok := n.Watchdog(); ok || d != 0 {
		t.Errorf("watchdog %v, %v", d, ok)
	}
}

func TestWatchdogIsForItsProcessOnly(t *testing.T) {
	listen(t, socketPath(t))
	own := strconv.Itoa(os.Getpid())
	for _, test := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"30000000", own, 30 * time.Second},
		{"30000000", "", 30 * time.Second},
		{"30000000", "1", 0},
		{"", own, 0},
		{"0", own, 0},
		{"soon", own, 0},
	} {
		t.Setenv("WATCHDOG_USEC", test.usec)
		t.Setenv("WATCHDOG_PID", test.pid)
		if d, ok := New().Watchdog(); d != test.want || ok != (test.want > 0) {
			t.Errorf("%+v: %v, %v", test, d, ok)
		}
	}
}

// The socket of a manager that does not read: its queue fills, and every
// further message would block the sender.
func TestStuckManagerBlocksNobodyAndGetsAllInOrderLater(t *testing.T) {
	c := listen(t, socketPath(t))
	n := New()
	var sent []string
	status := func() error {
		text := strconv.Itoa(len(sent))
		sent = append(sent, "STATUS="+text)
		return n.Status(text)
	}
	var err error
	for err == nil {
		err = status()
	}
	start := time.Now()
	for range 3 {
		if err := n.Ping(); !errors.Is(err, ErrStuck) {
			t.Errorf("got %v", err)
		}
	}
	sent = append(sent, "WATCHDOG=1") // once: the others would say the same
	for !errors.Is(err, errFull) {
		if err = status(); !errors.Is(err, ErrStuck) {
			t.Fatalf("got %v", err)
		}
	}
	sent = sent[:len(sent)-1]
	if took := time.Since(start); took > 4*patience {
		t.Errorf("%v for %d messages: each waits", took, maxPending+3)
	}

	for i, want := range sent {
		if got := receive(t, c); got != want {
			t.Fatalf("message %d: %q, want %q", i, got, want)
		}
	}
	if err := n.Ready(); err != nil {
		t.Errorf("no longer stuck: %v", err)
	}
	if got := receive(t, c); got != "READY=1" {
		t.Errorf("got %q", got)
	}
}

func TestManagerThatIsGoneIsAnError(t *testing.T) {
	listen(t, socketPath(t)).Close()
	if err := New().Ready(); err == nil || !strings.Contains(err.Error(), "cannot notify the service manager") {
		t.Errorf("got %v", err)
	}
}

func TestChildrenDoNotSpeakForUs(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		t.Setenv(name, "1")
	}
	t.Setenv("NOTIFY_SOCKET_OF_MINE", "kept")
	env := Environ()
	if !slices.Contains(env, "NOTIFY_SOCKET_OF_MINE=kept") {
		t.Error("too much is removed")
	}
	for _, v := range env {
		if name, _, _ := strings.Cut(v, "="); name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "WATCHDOG_") || strings.HasPrefix(name, "LISTEN_") {
			t.Errorf("%s is kept", v)
		}
	}
	if len(os.Environ()) != len(env)+6 {
		t.Errorf("%d of %d variables", len(env), len(os.Environ()))
	}
}
