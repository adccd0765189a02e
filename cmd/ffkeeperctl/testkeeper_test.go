package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scriptPatience is how long anything may take before a test gives up.
const scriptPatience = 30 * time.Second

// binDirVariable names where this run of the tests keeps its programs.
const binDirVariable = "FFKEEPERCTL_TEST_BIN"

// testRun is the tests' run; it removes the keeper's programs at the end.
type testRun struct{ *testing.M }

func (r testRun) Run() int {
	defer func() {
		if dir := os.Getenv(binDirVariable); dir != "" {
			_ = os.RemoveAll(dir)
		}
	}()
	return r.M.Run()
}

// buildKeeper builds ffkeeperd and ffkeeper-shim, once, into one directory.
func buildKeeper(t *testing.T) string {
	t.Helper()
	if err := buildOnce(); err != nil {
		t.Fatal(err)
	}
	return os.Getenv(binDirVariable)
}

var buildOnce = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "ffkeeperctl-test-")
	if err != nil {
		return err
	}
	os.Setenv(binDirVariable, dir)
	cmd := exec.Command("go", "build", "-o", dir+"/", "../ffkeeperd", "../ffkeeper-shim")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the keeper: %w\n%s", err, out)
	}
	return nil
})

// testKeeper is a real ffkeeperd with its private bus and its shim, in a
// directory of its own.
type testKeeper struct {
	bin, dir  string
	variables map[string]string

	cmd    *exec.Cmd
	exited chan error
	log    lockedBuffer
}

// placeFiles tells the stream files where the script works: streams run in /.
func (k *testKeeper) placeFiles() error {
	files, err := filepath.Glob(filepath.Join(k.dir, "streams", "*.stream"))
	for _, file := range files {
		content, e := os.ReadFile(file)
		if e == nil {
			e = os.WriteFile(file, bytes.ReplaceAll(content, []byte("@WORK@"), []byte(k.dir)), 0o600)
		}
		err = errors.Join(err, e)
	}
	return err
}

// start runs the keeper and waits until it says READY=1, as systemd would.
func (k *testKeeper) start(getenv func(string) string) error {
	if k.cmd != nil {
		return errors.New("keeper start: it runs")
	}
	notify := filepath.Join(k.dir, "state", "notify")
	_ = os.Remove(notify)
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer ready.Close()
	if err := passCredentials(ready); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(k.bin, "ffkeeperd"))
	cmd.Dir = k.dir
	cmd.Env = []string{"NOTIFY_SOCKET=" + notify, "FFKEEPER_LOG=text", "PATH=" + os.Getenv("PATH"), "HOME=" + k.dir}
	for _, name := range []string{"FFKEEPER_BUS", "FFKEEPER_STATE_DIR", "FFKEEPER_STREAM_PATH", "TZ", "LANG"} {
		cmd.Env = append(cmd.Env, name+"="+getenv(name))
	}
	cmd.Stdout, cmd.Stderr = &k.log, &k.log
	// its children may hold our pipe for longer than it lives
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	k.cmd, k.exited = cmd, exited

	isReady := make(chan error, 1)
	go func() { isReady <- waitReady(ready, cmd.Process.Pid) }()
	select {
	case err := <-isReady:
		if err != nil {
			return fmt.Errorf("keeper start: not ready: %w\n%s", err, k.log.String())
		}
		return nil
	case err := <-exited:
		k.cmd = nil
		return fmt.Errorf("keeper start: it has ended: %v\n%s", err, k.log.String())
	}
}

func passCredentials(socket *net.UnixConn) error {
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	e := conn.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
	})
	return errors.Join(err, e)
}

// waitReady waits for READY=1 of the process itself: as with systemd's
// NotifyAccess=main, what its children say does not count.
func waitReady(socket *net.UnixConn, pid int) error {
	_ = socket.SetReadDeadline(time.Now().Add(scriptPatience))
	buf, oob := make([]byte, 4096), make([]byte, 256)
	for {
		n, nn, _, _, err := socket.ReadMsgUnix(buf, oob)
		if err != nil {
			return err
		}
		messages, err := syscall.ParseSocketControlMessage(oob[:nn])
		if err != nil {
			return err
		}
		for _, m := range messages {
			cred, err := syscall.ParseUnixCredentials(&m)
			if err == nil && int(cred.Pid) == pid && bytes.Contains(buf[:n], []byte("READY=1")) {
				return nil
			}
		}
	}
}

// stop ends the keeper properly, with its streams.
func (k *testKeeper) stop() error { return k.signal(syscall.SIGTERM) }

// kill ends it at once.
func (k *testKeeper) kill() error { return k.signal(syscall.SIGKILL) }

func (k *testKeeper) signal(s syscall.Signal) error {
	if k.cmd == nil {
		return errors.New("keeper: it does not run")
	}
	if err := k.cmd.Process.Signal(s); err != nil {
		return err
	}
	select {
	case <-k.exited:
		k.cmd = nil
		return nil
	case <-time.After(scriptPatience):
		return fmt.Errorf("keeper: does not end of %v\n%s", s, k.log.String())
	}
}

// end leaves nothing running.
func (k *testKeeper) end() {
	if k.cmd == nil {
		return
	}
	if err := k.stop(); err != nil {
		_ = k.kill()
	}
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// env keeps variables for getenv.
func (k *testKeeper) env(t *testing.T, env []string) {
	t.Helper()
	k.variables = map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		k.variables[name] = value
	}
}

func (k *testKeeper) getenv(name string) string { return k.variables[name] }
