package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi/client"
)

// child is one command to keep.
type child struct {
	name    string
	command string // of words without quotes or blanks in them
	ffmpeg  bool
}

// peer is a supervisor with children defined and none started.
type peer interface {
	name() string
	startAll() error
	stopAll() error
	processes() []int // its own, not its children
	stop()
}

// starter starts a supervisor on children.
type starter func(b *bench, children []child) (peer, error)

// keeper is ffkeeperd with its shim as a child, on a private bus.
type keeper struct {
	cmd    *exec.Cmd
	client *client.Client
	dir    string
}

func startKeeper(b *bench, children []child) (peer, error) {
	dir, err := os.MkdirTemp(b.dir, "keeper-")
	if err != nil {
		return nil, err
	}
	streams := filepath.Join(dir, "streams")
	if err := os.Mkdir(streams, 0o755); err != nil {
		return nil, err
	}
	for _, c := range children {
		text := "[Stream]\nAutostart=no\nRestartSec=0\nExecStart=" + c.command + "\n"
		if !c.ffmpeg {
			text += "Type=simple\n"
		}
		if err := os.WriteFile(filepath.Join(streams, c.name+".stream"), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	k := &keeper{dir: dir, cmd: b.journal.command(filepath.Join(b.bin, "ffkeeperd"))}
	k.cmd.Env = append(os.Environ(), "FFKEEPER_BUS=private", "FFKEEPER_SHIM=auto", "FFKEEPER_LOG=journal",
		"FFKEEPER_STATE_DIR="+filepath.Join(dir, "state"), "FFKEEPER_STREAM_PATH="+streams)
	k.cmd.Stdout, k.cmd.Stderr = log, log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	err = eventually(b.ctx, 20*time.Second, func() bool {
		c, err := client.Dial("private", filepath.Join(dir, "state"))
		if err != nil {
			return false
		}
		if _, err = c.Manager(b.ctx); err != nil {
			c.Close()
			return false
		}
		k.client = c
		return true
	})
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		k.stop()
		return nil, fmt.Errorf("ffkeeperd does not come up: %w\n%s", err, text)
	}
	return k, nil
}

func (k *keeper) name() string { return "ffkeeper" }

func (k *keeper) startAll() error {
	failed, err := k.client.StartAll(context.Background(), client.Options{})
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%d streams did not start: %v", len(failed), failed[0])
	}
	return err
}

func (k *keeper) stopAll() error {
	_, err := k.client.StopAll(context.Background(), client.Options{})
	return err
}

// processes is the keeper and its shim; the private bus is nobody's on a host
// that has one.
func (k *keeper) processes() []int {
	out := []int{k.cmd.Process.Pid}
	for _, pid := range childrenOf(k.cmd.Process.Pid) {
		if strings.Contains(commandOf(pid), "ffkeeper-shim") {
			out = append(out, pid)
		}
	}
	return out
}

func (k *keeper) stop() {
	if k.client != nil {
		k.client.Close()
	}
	k.cmd.Process.Signal(syscall.SIGTERM)
	k.cmd.Wait()
}

// supervisord is Debian's, with supervisorctl over its unix socket.
type supervisord struct {
	cmd  *exec.Cmd
	conf string
}

func startSupervisord(b *bench, children []child) (peer, error) {
	dir, err := os.MkdirTemp(b.dir, "supervisord-")
	if err != nil {
		return nil, err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, `[supervisord]
nodaemon=true
logfile=%[1]s/log
pidfile=%[1]s/pid
childlogdir=%[1]s
minfds=10000
[unix_http_server]
file=%[1]s/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%[1]s/sock
`, dir)
	for _, c := range children {
		fmt.Fprintf(&conf, "[program:%s]\ncommand=%s\nautostart=false\nautorestart=true\nstartsecs=0\nstopsignal=TERM\nredirect_stderr=true\n",
			c.name, strings.ReplaceAll(strings.ReplaceAll(c.command, "-progress pipe:3", "-progress pipe:1"), "%", "%%"))
	}
	s := &supervisord{conf: filepath.Join(dir, "conf")}
	if err := os.WriteFile(s.conf, []byte(conf.String()), 0o644); err != nil {
		return nil, err
	}
	s.cmd = exec.Command("supervisord", "-c", s.conf)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := eventually(b.ctx, 20*time.Second, func() bool { return s.control("pid") == nil }); err != nil {
		s.stop()
		return nil, fmt.Errorf("supervisord does not come up: %w", err)
	}
	return s, nil
}

func (s *supervisord) name() string { return "supervisord" }

func (s *supervisord) control(args ...string) error {
	out, err := exec.Command("supervisorctl", append([]string{"-c", s.conf}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("supervisorctl %v: %w: %s", args, err, out)
	}
	return nil
}

func (s *supervisord) startAll() error  { return s.control("start", "all") }
func (s *supervisord) stopAll() error   { return s.control("stop", "all") }
func (s *supervisord) processes() []int { return []int{s.cmd.Process.Pid} }
func (s *supervisord) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
}
