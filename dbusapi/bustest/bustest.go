// Package bustest starts message buses for tests: a real dbus-daemon a test,
// never the machine's own.
package bustest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ffkeeper/ffkeeper/dbusapi/internal/busconfig"
)

// Bus is a running dbus-daemon.
type Bus struct {
	Address string
	Socket  string // path
	config  string
	tb      testing.TB
	cmd     *exec.Cmd
}

// Start starts a dbus-daemon that lets any user in, as the system bus does,
// and ends with the test.
func Start(tb testing.TB) *Bus {
	tb.Helper()
	// Not TempDir: the path of a socket is limited to 107 bytes.
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	b := &Bus{Socket: filepath.Join(dir, "socket"), config: filepath.Join(dir, "config"), tb: tb}
	b.Address = "unix:path=" + b.Socket
	config := busconfig.Text(b.Address, `  <policy context="default">
    <allow user="*"/>
  </policy>
  <!-- as generous as a session bus: the limits under test are ours -->
  <limit name="max_connections_per_user">10000</limit>
  <limit name="max_pending_service_starts">10000</limit>
  <limit name="max_replies_per_connection">50000</limit>
  <limit name="max_match_rules_per_connection">50000</limit>
`)
	if err := os.WriteFile(b.config, []byte(config), 0o644); err != nil {
		tb.Fatal(err)
	}
	b.Restart()
	tb.Cleanup(b.Kill)
	return b
}

// Restart starts the bus again on the same address, killing it first if it
// runs.
func (b *Bus) Restart() {
	b.tb.Helper()
	b.Kill()
	r, w, err := os.Pipe()
	if err != nil {
		b.tb.Fatal(err)
	}
	defer r.Close()
	b.cmd = exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--print-address=3", "--config-file="+b.config)
	b.cmd.ExtraFiles = []*os.File{w}
	var complaints strings.Builder
	b.cmd.Stderr = &complaints
	// It must not outlive a test that is killed.
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = b.cmd.Start()
	w.Close()
	if err != nil {
		b.tb.Fatalf("dbus-daemon is needed: %v", err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "unix:") {
		b.Kill()
		b.tb.Fatalf("dbus-daemon did not start: %q, %v\n%s", line, err, &complaints)
	}
}

// Kill ends the bus at once.
func (b *Bus) Kill() {
	if b.cmd != nil && b.cmd.ProcessState == nil {
		b.cmd.Process.Kill()
		b.cmd.Wait()
	}
}

// Signal sends a signal to the dbus-daemon.
func (b *Bus) Signal(sig os.Signal) {
	if err := b.cmd.Process.Signal(sig); err != nil {
		b.tb.Fatal(err)
	}
}

// PID is the dbus-daemon's.
func (b *Bus) PID() int { return b.cmd.Process.Pid }
