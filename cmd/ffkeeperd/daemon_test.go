package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

// programs builds ffkeeperd and ffkeeper-shim once, side by side.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ffkeeperd-test-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"ffkeeperd", "ffkeeper-shim"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "github.com/ffkeeper/ffkeeper/cmd/"+name).CombinedOutput()
		if err != nil {
			return dir, fmt.Errorf("%w: %s", err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := programs(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

const patience = 30 * time.Second

// running is a real ffkeeperd on a bus of its own.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	client *client.Client
	dir    string // of stream files
	work   string // for what streams write
	state  string // FFKEEPER_STATE_DIR
	log    *buffer
	ended  chan struct{}
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
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

// startDaemon is launchDaemon, and waits until its private bus answers.
func startDaemon(t *testing.T, files map[string]string, change ...func(*exec.Cmd)) *running {
	t.Helper()
	d := launchDaemon(t, files, change...)
	d.await("private")
	return d
}

// await waits until ffkeeperd answers on a bus.
func (d *running) await(bus string) {
	d.t.Helper()
	d.eventually("the bus name", func() bool {
		select {
		case <-d.ended:
			d.t.Fatal("ffkeeperd has ended")
		default:
		}
		if d.client == nil {
			d.client, _ = client.Dial(bus, d.state)
		}
		if d.client == nil {
			return false
		}
		_, err := d.client.Manager(d.ctx())
		return err == nil
	})
}

// launchDaemon starts ffkeeperd with stream files, name to content; in them
// @WORK@ is a directory for output, @FAKE@ the fake ffmpeg.
func launchDaemon(t *testing.T, files map[string]string, change ...func(*exec.Cmd)) *running {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	// Short: a socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("", "ffk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &running{t: t, dir: filepath.Join(dir, "streams"), work: filepath.Join(dir, "work"), state: filepath.Join(dir, "state"), log: &buffer{}, ended: make(chan struct{})}
	for _, sub := range []string{d.dir, d.work} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		d.file(name, content)
	}
	d.cmd = exec.Command(filepath.Join(bin, "ffkeeperd"))
	d.cmd.Env = append(os.Environ(), "FFKEEPER_BUS=private", "FFKEEPER_LOG=text", "FFKEEPER_LOG_LEVEL=debug",
		"FFKEEPER_STATE_DIR="+d.state, "FFKEEPER_STREAM_PATH="+d.dir, "FFKEEPER_SHIM=auto")
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	for _, c := range change {
		c(d.cmd)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.ended) }()
	t.Cleanup(d.end)
	return d
}

func (d *running) file(name, content string) {
	d.t.Helper()
	content = strings.ReplaceAll(content, "@WORK@", d.work)
	if strings.Contains(content, "@FAKE@") {
		content = strings.ReplaceAll(content, "@FAKE@", ffmpegtest.Build(d.t))
	}
	if err := os.WriteFile(filepath.Join(d.dir, name+".stream"), []byte("[Stream]\n"+content+"\n"), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// end ends the daemon as systemd would, and shows its log if the test failed.
func (d *running) end() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Error("ffkeeperd does not end")
		d.cmd.Process.Kill()
		<-d.ended
	}
	if d.t.Failed() {
		d.t.Log("ffkeeperd said:\n" + d.log.String())
	}
}

func (d *running) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	d.t.Cleanup(cancel)
	return ctx
}

func (d *running) eventually(what string, cond func() bool) {
	d.t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("waited in vain for %s; the log:\n%s", what, d.log)
		}
	}
}

func (d *running) health(name string) client.Health {
	d.t.Helper()
	h, err := d.client.Health(d.ctx(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	return h
}

func (d *running) untilHealth(name, health string) client.Health {
	d.t.Helper()
	var h client.Health
	d.eventually(name+" "+health, func() bool { h = d.health(name); return h.Health == health })
	return h
}

func gone(pid uint32) bool {
	return errors.Is(syscall.Kill(int(pid), 0), syscall.ESRCH)
}

func TestTERMFinishesFilesAndLeavesNothingBehind(t *testing.T) {
	for _, form := range []string{"auto", "embedded"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, map[string]string{
				"rec":  "ExecStart=ffmpeg -re -f lavfi -i testsrc=size=160x90:rate=10 -c:v libx264 -preset ultrafast -y @WORK@/rec.mp4",
				"pipe": "Type=simple\nExecStart=sh -c \"sleep 2001 | sleep 2002\"",
			}, func(c *exec.Cmd) { c.Env = append(c.Env, "FFKEEPER_SHIM="+form) })
			rec := d.untilHealth("rec", "ok")
			d.eventually("two seconds", func() bool { h := d.health("rec"); return h.OutTimeUsec != nil && *h.OutTimeUsec > 2e6 })
			pipe := d.health("pipe")
			d.cmd.Process.Signal(syscall.SIGTERM)
			<-d.ended
			if code := d.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if !gone(rec.PID) || !gone(pipe.PID) {
				t.Error("processes are left")
			}
			if out, err := exec.Command(ffmpegtest.Probe(t), "-v", "error", filepath.Join(d.work, "rec.mp4")).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("ffprobe: %v %s", err, out)
			}
		})
	}
}

func TestHUPReloads(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, map[string]string{"a": "Type=simple\nExecStart=sleep 1000"})
	d.file("b", "Type=simple\nExecStart=sleep 1000")
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.eventually("the new stream", func() bool {
		h, err := d.client.Health(d.ctx(), "b")
		return err == nil && h.State == "running"
	})
}

// TestAStarvedKeeperRaisesNoFalseAlarm stops the keeper itself for longer than
// the activity timeout.
func TestAStarvedKeeperRaisesNoFalseAlarm(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, map[string]string{"s": "ActivityTimeoutSec=2\nExecStart=ffmpeg -re -f lavfi -i sine -f null /dev/null"})
	before := d.untilHealth("s", "ok")
	d.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(5 * time.Second) // this is the starvation itself
	d.cmd.Process.Signal(syscall.SIGCONT)
	frames := *d.health("s").OutTimeUsec
	d.eventually("further progress", func() bool { return *d.health("s").OutTimeUsec > frames+3e6 })
	if h := d.health("s"); h.PID != before.PID || h.Health != "ok" || strings.Contains(d.log.String(), "nothing came out") {
		t.Errorf("pid %d (was %d), %s", h.PID, before.PID, h.Health)
	}
}

// TestWithoutFreeDescriptorsTheOthersRunOn: starting more streams than there
// are descriptors fails with a reason, and nothing else happens.
func TestWithoutFreeDescriptorsTheOthersRunOn(t *testing.T) {
	t.Parallel()
	files := map[string]string{"first": "Type=simple\nExecStart=sh -c \"echo up; exec sleep 1000\""}
	for i := range 40 {
		files[fmt.Sprintf("more%02d", i)] = "Type=simple\nAutostart=no\nRestartSec=200ms\nRestartMaxDelaySec=200ms\nExecStart=sleep 1000"
	}
	d := startDaemon(t, files, func(c *exec.Cmd) {
		// sh: Go would raise the soft limit to the hard one.
		c.Path, c.Args = "/bin/sh", []string{"sh", "-c", "ulimit -n 120; exec " + c.Path}
	})
	first := d.untilHealth("first", "ok")
	failed := 0
	for i := range 40 {
		name := fmt.Sprintf("more%02d", i)
		if _, err := d.client.Start(d.ctx(), name, client.Options{}); err != nil {
			failed++
			if !client.IsSpawnFailed(err) || !strings.Contains(err.Error(), "too many open files") {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if failed == 0 {
		t.Fatal("all could be started: nothing was shown")
	}
	if h := d.health("first"); h.PID != first.PID || h.Health != "ok" {
		t.Errorf("first: %+v", h)
	}
	// Once there is room again the others come up by themselves.
	for i := range 39 {
		if err := d.client.Stop(d.ctx(), fmt.Sprintf("more%02d", i), client.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	last := "more39"
	d.eventually(last+" at last", func() bool { return d.health(last).State == "running" })
}

// TestWithoutFreeProcessesTheOthersRunOn bounds the shim's processes by a
// control group.
func TestWithoutFreeProcessesTheOthersRunOn(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/sys/fs/cgroup/pids", "ffkeeper-test-")
	if err != nil {
		t.Skipf("SKIPPED: THIS MACHINE HAS NO cgroup v1 PIDS CONTROLLER TO BOUND PROCESSES WITH: %v", err)
	}
	t.Cleanup(func() {
		for range 200 {
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the control group is still in use")
	})
	d := startDaemon(t, map[string]string{
		"first": "Type=simple\nExecStart=sh -c \"echo up; exec sleep 1000\"",
		"more":  "Type=simple\nAutostart=no\nRestartSec=200ms\nRestartMaxDelaySec=200ms\nExecStart=sleep 1000",
	})
	first := d.untilHealth("first", "ok")
	shim := childOf(t, d.cmd.Process.Pid, "ffkeeper-shim")
	write := func(file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	write("cgroup.procs", strconv.Itoa(shim))
	b, err := os.ReadFile(filepath.Join(dir, "pids.current"))
	if err != nil {
		t.Fatal(err)
	}
	write("pids.max", strings.TrimSpace(string(b)))
	_, err = d.client.Start(d.ctx(), "more", client.Options{})
	if !client.IsSpawnFailed(err) || !strings.Contains(err.Error(), "resource temporarily unavailable") {
		t.Fatalf("error %v", err)
	}
	if h := d.health("first"); h.PID != first.PID || h.Health != "ok" {
		t.Errorf("first: %+v", h)
	}
	if h := d.health("more"); h.State != "restarting" || h.Reason != "spawn-failed" {
		t.Errorf("more: %s/%s", h.State, h.Reason)
	}
	write("pids.max", "max")
	d.eventually("more at last", func() bool { return d.health("more").State == "running" })
}

func childOf(t *testing.T, pid int, command string) int {
	t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for _, c := range strings.Fields(string(b)) {
			cmdline, _ := os.ReadFile("/proc/" + c + "/cmdline")
			if strings.Contains(string(cmdline), command) {
				n, _ := strconv.Atoi(c)
				return n
			}
		}
	}
	t.Fatalf("%d has no child %s", pid, command)
	return 0
}

// TestAFullDiskIsNamed: where the state directory has no room the daemon says
// so and ends; nothing is half there.
func TestAFullDiskIsNamed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to mount a full file system")
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-euc", `
		mount -t tmpfs -o size=4k tmpfs "$1"
		head -c 4096 /dev/zero > "$1/filler"
		exec "$2"`, "sh", dir, filepath.Join(bin, "ffkeeperd"))
	cmd.Env = append(os.Environ(), "FFKEEPER_BUS=private", "FFKEEPER_LOG=text", "FFKEEPER_STATE_DIR="+dir+"/s", "FFKEEPER_STREAM_PATH="+dir, "FFKEEPER_SHIM=auto")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no space left on device") || !strings.Contains(string(out), dir) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestProcessSettingsReachTheCommand in both forms of the shim.
func TestProcessSettingsReachTheCommand(t *testing.T) {
	for _, form := range []string{"auto", "embedded"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, map[string]string{"s": "Type=simple\nUMask=0027\nNice=5\nLimitNOFILE=1234\nCPUAffinity=0\nEnvironment=\"A=b c\"\nWorkingDirectory=/usr\n" +
				`ExecStart=sh -c "umask; nice; ulimit -n; pwd; echo $$A; echo $$FFKEEPER_STREAM; env | grep -c NOTIFY_SOCKET; exec sleep 1000"`,
			}, func(c *exec.Cmd) { c.Env = append(c.Env, "FFKEEPER_SHIM="+form) })
			want := "0027 5 1234 /usr b c s 0"
			var got string
			d.eventually("its lines", func() bool {
				lines, err := d.client.Lines(d.ctx(), "s", 50)
				if err != nil {
					return false
				}
				var words []string
				for _, l := range lines {
					words = append(words, l.Text)
				}
				got = strings.Join(words, " ")
				return len(lines) >= 7
			})
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestTheShimDoesNotSpeakForTheKeeper: what the service manager addresses to
// its main process stays with it.
func TestTheShimDoesNotSpeakForTheKeeper(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, nil, func(c *exec.Cmd) {
		c.Env = append(c.Env, "NOTIFY_SOCKET=/nonexistent", "WATCHDOG_USEC=30000000")
	})
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", childOf(t, d.cmd.Process.Pid, "ffkeeper-shim")))
	if err != nil || strings.Contains(string(env), "NOTIFY_SOCKET") || strings.Contains(string(env), "WATCHDOG") {
		t.Errorf("%v: %q", err, env)
	}
}
