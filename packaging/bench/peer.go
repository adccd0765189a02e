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

// childEnv spares a fake ffmpeg, which is a Go program, the threads that its
// runtime starts before it is told to use one processor: a fifth of its start,
// which is not what is measured. All peers' children have it.
const childEnv = "GOMAXPROCS=1"

// child is one command to keep.
type child struct {
	name    string
	command string // of words without quotes or blanks in them
	ffmpeg  bool
}

// service is how systemd starts one: in a session of its own, by which the
// kernel shares out the processors (sched(7), "The autogroup feature").
func service() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

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

// keeper is ffkeeperd on a private bus, with a shim that goes on without it, as
// on a host with systemd.
type keeper struct {
	b         *bench
	shim, cmd *exec.Cmd
	client    *client.Client
	dir       string
	log       *os.File
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
		text := "[Stream]\nAutostart=no\nRestartSec=0\nEnvironment=" + childEnv + "\nExecStart=" + c.command + "\n"
		if !c.ffmpeg {
			text += "Type=simple\n"
		}
		if err := os.WriteFile(filepath.Join(streams, c.name+".stream"), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	k := &keeper{b: b, dir: dir}
	if k.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	k.shim = exec.Command(filepath.Join(b.bin, "ffkeeper-shim"), "--linger", k.socket())
	k.shim.Stdout, k.shim.Stderr = k.log, k.log
	k.shim.SysProcAttr = service()
	if err := k.shim.Start(); err != nil {
		return nil, err
	}
	if err := eventually(b.ctx, 20*time.Second, func() bool { _, err := os.Stat(k.socket()); return err == nil }); err != nil {
		k.stop()
		return nil, fmt.Errorf("the shim does not come up: %w", err)
	}
	if err := k.start(); err != nil {
		k.stop()
		return nil, err
	}
	return k, nil
}

func (k *keeper) socket() string { return filepath.Join(k.dir, "shim") }

// start starts the keeper itself and waits until it serves the bus.
func (k *keeper) start() error {
	k.cmd = k.b.journal.command(filepath.Join(k.b.bin, "ffkeeperd"))
	k.cmd.Env = append(os.Environ(), "FFKEEPER_BUS=private", "FFKEEPER_SHIM="+k.socket(), "FFKEEPER_LOG=journal",
		"FFKEEPER_STATE_DIR="+filepath.Join(k.dir, "state"), "FFKEEPER_STREAM_PATH="+filepath.Join(k.dir, "streams"))
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	k.cmd.SysProcAttr = service()
	if err := k.cmd.Start(); err != nil {
		return err
	}
	err := eventually(k.b.ctx, 20*time.Second, func() bool {
		c, err := client.Dial("private", filepath.Join(k.dir, "state"))
		if err != nil {
			return false
		}
		if _, err = c.Manager(k.b.ctx); err != nil {
			c.Close()
			return false
		}
		k.client = c
		return true
	})
	if err != nil {
		text, _ := os.ReadFile(k.log.Name())
		return fmt.Errorf("ffkeeperd does not come up: %w\n%s", err, text)
	}
	return nil
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
func (k *keeper) processes() []int { return []int{k.cmd.Process.Pid, k.shim.Process.Pid} }

// kill ends the keeper as a crash does.
func (k *keeper) kill() {
	k.client.Close()
	k.client = nil
	k.cmd.Process.Kill()
	k.cmd.Wait()
}

func (k *keeper) stop() {
	if k.client != nil {
		k.client.Close()
	}
	// No service: it stops its streams, and then the shim leaves.
	k.end("ffkeeperd", k.cmd)
	k.end("ffkeeper-shim", k.shim)
	k.log.Close()
}

// endWait is more than any end takes; a longer one is a bug to be shown.
const endWait = time.Minute

// end ends one of the two. One that does not end is made to show where it is.
func (k *keeper) end(name string, cmd *exec.Cmd) {
	if cmd == nil || cmd.Process == nil {
		return
	}
	cmd.Process.Signal(syscall.SIGTERM)
	stuck := time.AfterFunc(endWait, func() {
		cmd.Process.Signal(syscall.SIGQUIT) // Go's runtime prints all goroutines and ends
	})
	cmd.Wait()
	if !stuck.Stop() {
		text, _ := os.ReadFile(k.log.Name())
		fmt.Fprintf(os.Stderr, "%s did not end within %s:\n%s\n", name, endWait, text)
	}
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
environment=%[2]s
[unix_http_server]
file=%[1]s/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%[1]s/sock
`, dir, childEnv)
	for _, c := range children {
		fmt.Fprintf(&conf, "[program:%s]\ncommand=%s\nautostart=false\nautorestart=true\nstartsecs=0\nstopsignal=TERM\nredirect_stderr=true\n",
			c.name, strings.ReplaceAll(strings.ReplaceAll(c.command, "-progress pipe:3", "-progress pipe:1"), "%", "%%"))
	}
	s := &supervisord{conf: filepath.Join(dir, "conf")}
	if err := os.WriteFile(s.conf, []byte(conf.String()), 0o644); err != nil {
		return nil, err
	}
	s.cmd = exec.Command("supervisord", "-c", s.conf)
	s.cmd.SysProcAttr = service()
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
