package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/packaging/systemtest"
)

// booted is a real systemd with everything installed and the keeper started.
// Process ids are those of the machine that the test runs on, but for those
// that come over the bus.
type booted struct {
	*systemtest.Host
	t      *testing.T
	client *client.Client
}

const (
	keeperUnit = "ffkeeper.service"
	shimUnit   = "ffkeeper-streams.service"
	root       = "../.."
	outputs    = "/var/lib/ffkeeper-streams/"
)

// installTree is what "make install" needs, version "one".
var installTree = sync.OnceValues(func() (string, error) {
	tree := filepath.Join(work, "tree")
	return tree, systemtest.MakeTree(root, tree, "one")
})

// otherPrograms are the same, version "two".
var otherPrograms = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(work, "two")
	return dir, systemtest.BuildPrograms(root, dir, "two")
})

// boot boots a host with stream files, name to text, and other files by path.
func boot(t *testing.T, streams, files map[string]string) *booted {
	t.Helper()
	tree, err := installTree()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/numbers")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"/usr/lib/chaos/numbers": string(script),
		keeperDropIn:             "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=2s\n",
		// The one that is installed would only be in the way.
		"/etc/ffkeeper/streams.d/testcard.stream": "[Stream]\nAutostart=no\nType=simple\nExecStart=true\n",
	}
	for path, text := range files {
		all[path] = text
	}
	for name, text := range streams {
		all[streamFile(name)] = "[Stream]\n" + text + "\n"
	}
	seed := t.TempDir()
	if err := systemtest.Seed(tree, seed, all); err != nil {
		t.Fatal(err)
	}
	b := &booted{Host: systemtest.Boot(t, seed), t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal ends, but for streams' own lines\n%s", tail(b.told(), 100))
		}
	})
	b.Run("systemctl", "start", "ffkeeper")
	if b.client, err = client.Dial("unix:path="+b.Path("/run/dbus/system_bus_socket"), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	return b
}

// told is what systemd, the keeper and the shim have said, without what Go says
// when the watchdog ends a program.
func (b *booted) told() string {
	out := b.Exec("journalctl", "--no-pager", "-q", "-o", "short-precise", "-t", "systemd", "-t", "ffkeeperd", "-t", "ffkeeper-shim").Stdout
	var kept strings.Builder
	for line := range strings.Lines(out) {
		if !goDump.MatchString(line) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

var goDump = regexp.MustCompile(`\]: (goroutine |\s|runtime|created by |r[0-9a-z]+ +0x|[cfg]s +0x|SIG|PC=|$)|\(0x|\.func\d|\(\.\.\.\)|\(\)$`)

const keeperDropIn = "/etc/systemd/system/ffkeeper.service.d/chaos.conf"

func streamFile(name string) string { return "/etc/ffkeeper/streams.d/" + name + ".stream" }

// write puts a file on the running host.
func (b *booted) write(path, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.Path(path), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *booted) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b.t.Cleanup(cancel)
	return ctx
}

// cgroup is a directory of the host's cgroup tree, of one of our units.
func (b *booted) cgroup(path string) string {
	return b.Path("/sys/fs/cgroup/ffkeeper.slice/" + path)
}

// members are the processes of a cgroup.
func (b *booted) members(path string) (pids []int) {
	procs, _ := os.ReadFile(b.cgroup(path) + "/cgroup.procs")
	for p := range strings.FieldsSeq(string(procs)) {
		n, _ := strconv.Atoi(p)
		pids = append(pids, n)
	}
	return pids
}

func (b *booted) streamMembers(name string) []int {
	return b.members(shimUnit + "/" + name + ".stream")
}

// keeperPID is the keeper's process, 0 where there is none.
func (b *booted) keeperPID() int {
	if pids := b.members(keeperUnit); len(pids) > 0 {
		return pids[0]
	}
	return 0
}

// shimPID is the shim's process, 0 where there is none.
func (b *booted) shimPID() int {
	if pids := b.members(shimUnit + "/shim"); len(pids) > 0 {
		return pids[0]
	}
	return 0
}

// streamCgroups are the streams of which there is a cgroup.
func (b *booted) streamCgroups() (names []string) {
	dirs, _ := filepath.Glob(b.cgroup(shimUnit) + "/*.stream*")
	for _, d := range dirs {
		names = append(names, strings.TrimSuffix(filepath.Base(d), ".stream"))
	}
	return names
}

// signalKeeper sends a signal to the keeper and waits until that process is
// gone.
func (b *booted) signalKeeper(s syscall.Signal) {
	b.t.Helper()
	pid := b.keeperPID()
	if pid == 0 {
		return // systemd is about to start one
	}
	syscall.Kill(pid, s)
	b.gone(pid)
}

func (b *booted) gone(pid int) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("the end of process %d", pid), func() string {
		if alive(pid) {
			return "it lives"
		}
		return ""
	})
}

// back waits until a keeper answers that is not the process before.
func (b *booted) back() {
	b.t.Helper()
	eventually(b.t, "an answer of the keeper", func() string {
		if _, err := b.client.Manager(b.ctx()); err != nil {
			return err.Error()
		}
		return ""
	})
}

// until waits for a stream to be as cond says.
func (b *booted) until(name, what string, cond func(client.Health) bool) (h client.Health) {
	b.t.Helper()
	eventually(b.t, name+" "+what, func() string {
		var err error
		if h, err = b.client.Health(b.ctx(), name); err != nil {
			return err.Error()
		}
		if cond(h) {
			return ""
		}
		return "it is " + show(h)
	})
	return h
}

func delivers(h client.Health) bool { return h.State == "running" && h.Health == "ok" }

// install puts programs in the place of those that run, as a package does.
func (b *booted) install(dir string) {
	b.t.Helper()
	for _, name := range []string{"ffkeeperd", "ffkeeper-shim", "ffkeeperctl"} {
		fresh := b.Path("/usr/bin/." + name + ".new")
		if out, err := exec.Command("cp", filepath.Join(dir, name), fresh).CombinedOutput(); err != nil {
			b.t.Fatalf("cp: %v: %s", err, out)
		}
		if err := os.Rename(fresh, b.Path("/usr/bin/"+name)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// shimIsInstalled waits until the shim's process runs the program that is
// installed now.
func (b *booted) shimIsInstalled() {
	b.t.Helper()
	eventually(b.t, "the shim to be the program that is installed", func() string {
		want, err := os.Stat(b.Path("/usr/bin/ffkeeper-shim"))
		if err != nil {
			return err.Error()
		}
		is, err := os.Stat(fmt.Sprintf("/proc/%d/exe", b.shimPID()))
		if err != nil {
			return err.Error()
		}
		if !os.SameFile(want, is) {
			return "it is another one"
		}
		return ""
	})
}

// lines are what the journal has of a stream's own lines, oldest first.
func (b *booted) lines(name string) []string {
	b.t.Helper()
	out := b.Run("journalctl", "--no-pager", "-q", "-o", "cat", "SYSLOG_IDENTIFIER="+name)
	return strings.Split(out, "\n")
}

// follower is a command that runs on the host all the time, such as
// "ffkeeperctl monitor".
type follower struct {
	argv  []string
	cmd   *exec.Cmd
	out   buffer
	ended chan struct{}
}

func (b *booted) follow(argv ...string) *follower {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{argv: argv, ended: make(chan struct{})}
	f.cmd = b.Command(ctx, argv...)
	f.cmd.Stdout, f.cmd.Stderr = &f.out, &f.out
	if err := f.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { f.cmd.Wait(); close(f.ended) }()
	b.t.Cleanup(func() { cancel(); <-f.ended })
	return f
}

// says waits until the command has printed something that begins after what it
// had printed at from, and answers how much that was.
func (f *follower) says(t *testing.T, from int, text string) int {
	t.Helper()
	eventually(t, fmt.Sprintf("%q from %s", text, strings.Join(f.argv, " ")), func() string {
		select {
		case <-f.ended:
			t.Fatalf("%s has ended: %v\n%s", strings.Join(f.argv, " "), f.cmd.ProcessState, f.out.String())
		default:
		}
		if all := f.out.String(); !strings.Contains(all[from:], text) {
			return tail(all, 8)
		}
		return ""
	})
	return len(f.out.String())
}

// buffer is what a command prints.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
