package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/dbusapi"
	"github.com/ffkeeper/ffkeeper/dbusapi/client"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
)

// plain is a host without systemd: a shim that stays, a bus, and keepers one
// after the other.
type plain struct {
	t       *testing.T
	dir     string
	streams string // stream files
	work    string // what streams write
	socket  string // the shim's
	bus     *dbusapi.PrivateBus
	client  *client.Client
	shim    *program
	keeper  *program // nil: none
	log     *os.File // of all keepers, one behind the other
	deaths  int
	took    time.Duration // from the start of a keeper to its first answer, the last time
}

// program is a running one of ours.
type program struct {
	pid   int
	cmd   *exec.Cmd
	ended chan struct{}
}

// run starts a program that ends when the test's process does.
func run(cmd *exec.Cmd) (*program, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	p := &program{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

func (p *program) signal(s syscall.Signal) { syscall.Kill(p.pid, s) }

// end sends a signal and waits for the end.
func (p *program) end(t *testing.T, s syscall.Signal) {
	t.Helper()
	p.signal(s)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.signal(syscall.SIGKILL)
		t.Fatalf("%s does not end", p.cmd.Path)
	}
}

// newPlain makes a host with stream files, and starts its shim.
func newPlain(t *testing.T, files map[string]string) *plain {
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
	p := &plain{t: t, dir: dir, streams: dir + "/streams", work: dir + "/work", socket: dir + "/shim"}
	for _, d := range []string{p.streams, p.work, dir + "/bus", dir + "/state"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		p.file(name, text)
	}
	if p.log, err = os.OpenFile(dir+"/log", os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.log.Close() })
	if p.bus, err = dbusapi.StartPrivateBus(context.Background(), dir+"/bus"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.bus.Close)
	if p.client, err = client.Dial(p.bus.Address(), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.client.Close)
	cmd := exec.Command(filepath.Join(bin, "ffkeeper-shim"), "--linger", p.socket, "--stop-wait", "2s")
	cmd.Stderr = p.log
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // or a second is waited for reports
	if p.shim, err = run(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		p.shim.end(t, syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the log ends\n%s", tail(p.logText(), 60))
		}
		if strings.Contains(p.logText(), "DATA RACE") {
			t.Errorf("a program has a data race:\n%s", p.logText()[strings.Index(p.logText(), "DATA RACE"):])
		}
	})
	eventually(t, "the shim's socket", func() string {
		c, err := net.Dial("unixpacket", p.socket)
		if err != nil {
			return err.Error()
		}
		c.Close()
		return ""
	})
	return p
}

func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// file writes a stream file; in it @WORK@ is a directory for output, @FAKE@ the
// fake ffmpeg, @DATA@ our testdata, and @LONE@ a command that runs what follows
// only as long as nothing else holds the stream's lock: else it ends with 99.
func (p *plain) file(name, text string) {
	p.t.Helper()
	data, err := filepath.Abs("testdata")
	if err != nil {
		p.t.Fatal(err)
	}
	text = strings.NewReplacer("@LONE@", "flock -F -n -E 99 @WORK@/"+name+".lock").Replace(text)
	text = strings.NewReplacer("@WORK@", p.work, "@FAKE@", ffmpegtest.Build(p.t), "@DATA@", data).Replace(text)
	// As a whole: a keeper may be reading.
	fresh := filepath.Join(p.dir, name+".new")
	if err := os.WriteFile(fresh, []byte("[Stream]\n"+text+"\n"), 0o644); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(fresh, p.path(name)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plain) path(name string) string { return filepath.Join(p.streams, name+".stream") }

// start starts a keeper and does not wait for anything.
func (p *plain) start() {
	p.t.Helper()
	bin, err := programs()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "ffkeeperd"))
	cmd.Env = append(os.Environ(), "FFKEEPER_BUS="+p.bus.Address(), "FFKEEPER_LOG=text",
		"FFKEEPER_STATE_DIR="+p.dir+"/state", "FFKEEPER_STREAM_PATH="+p.streams, "FFKEEPER_SHIM="+p.socket)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if p.keeper, err = run(cmd); err != nil {
		p.t.Fatal(err)
	}
}

// answered waits for the keeper's first answer.
func (p *plain) answered() {
	p.t.Helper()
	begun := time.Now()
	eventually(p.t, "an answer of the keeper", func() string {
		select {
		case <-p.keeper.ended:
			p.t.Fatalf("the keeper has ended: %v", p.keeper.cmd.ProcessState)
		default:
		}
		if _, err := p.client.Manager(p.ctx()); err != nil {
			return err.Error()
		}
		return ""
	})
	p.took = time.Since(begun)
}

// kill kills the keeper, if there is one, and waits until it is gone.
func (p *plain) kill() {
	if p.keeper != nil {
		p.keeper.end(p.t, syscall.SIGKILL)
		p.keeper = nil
		p.deaths++
	}
}

func (p *plain) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.t.Cleanup(cancel)
	return ctx
}

func (p *plain) report() map[string]client.Health {
	p.t.Helper()
	r, err := p.client.Report(p.ctx())
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// until waits for a stream to be as cond says.
func (p *plain) until(name, what string, cond func(client.Health) bool) (h client.Health) {
	p.t.Helper()
	eventually(p.t, name+" "+what, func() string {
		var err error
		if h, err = p.client.Health(p.ctx(), name); err != nil {
			return err.Error()
		}
		if cond(h) {
			return ""
		}
		return fmt.Sprintf("it is %s", show(h))
	})
	return h
}

func show(h client.Health) string {
	return fmt.Sprintf("%s/%s/%s pid %d, %d restarts, %d failures, exits %v, up %.1f s", h.State, h.Health, h.Reason, h.PID, h.RestartCount, h.ConsecutiveFailures, h.ExitCodes, h.UptimeSeconds)
}

// logText is all that the keepers have logged, and the shim.
func (p *plain) logText() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// logged are the lines of one stream, its events too.
func (p *plain) logged(name string) (lines []string) {
	for line := range strings.Lines(p.logText()) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+": "); ok {
			lines = append(lines, rest)
		}
	}
	return lines
}
