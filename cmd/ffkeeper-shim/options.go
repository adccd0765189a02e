package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim"
	"golang.org/x/sys/unix"
)

const usage = `Usage: ffkeeper-shim [OPTIONS]

Holds the processes of ffkeeper's streams. It is started by the keeper, or by
systemd through ffkeeper-streams.socket; it is of no use alone.

How the keeper reaches it, one of:
      --fd N             a connected socket, inherited as descriptor N; when the
                         keeper is gone all children are stopped
      --linger SOCKET    listens on SOCKET and stays when the keeper is gone
  (neither)              the socket systemd passes (LISTEN_FDS); stays too

Options:
      --stop-wait TIME   between TERM and KILL when it stops the children by
                         itself (default 10s)
      --cgroup           the cgroup v2 it is started in belongs to it
                         (Delegate=yes): it moves to shim/ there and gives each
                         child NAME.stream/, with its limits in force; where
                         that cannot be it warns and does without
      --allow-user USER  a user, by name or number, who may connect besides root
                         and its own; may be given several times
      --version          prints the version
      --check-protocol   prints the protocol it speaks, for an upgrade in place
      --help             prints this

SIGTERM and SIGINT stop all children (TERM, wait, KILL), then it ends with 0.
SIGHUP makes it go on as the program that is installed now, in place, with the
same children; if that does not start it goes on as it is. Where it was started
with --fd a SIGHUP does nothing.
Exit codes: 0, 64 wrong command line, 71 the system refuses something.
`

var errHelp = errors.New("help asked for")

// options is the command line.
type options struct {
	fd            int
	linger        string
	stopWait      time.Duration
	allow         []uint32
	cgroup        bool
	resume        int // from an upgrade in place; not for people
	version       bool
	checkProtocol bool

	args []string // as given, without --resume
	env  func(string) string
}

func parse(args []string) (*options, error) {
	o := &options{fd: -1, resume: -1, env: os.Getenv}
	f := flag.NewFlagSet("ffkeeper-shim", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&o.fd, "fd", -1, "")
	f.StringVar(&o.linger, "linger", "", "")
	f.DurationVar(&o.stopWait, "stop-wait", 0, "")
	f.BoolVar(&o.cgroup, "cgroup", false, "")
	f.IntVar(&o.resume, "resume", -1, "")
	f.BoolVar(&o.version, "version", false, "")
	f.BoolVar(&o.checkProtocol, "check-protocol", false, "")
	f.Func("allow-user", "", func(s string) error {
		uid, err := uidOf(s)
		o.allow = append(o.allow, uid)
		return err
	})
	o.args = withoutResume(args)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, errHelp
	case err != nil:
		return nil, err
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.version || o.checkProtocol:
		return o, nil
	case o.fd >= 0 && o.linger != "":
		return nil, errors.New("--fd and --linger exclude each other")
	case o.stopWait < 0:
		return nil, fmt.Errorf("--stop-wait %v is negative", o.stopWait)
	case o.fd < 0 && o.linger == "" && o.resume < 0 && o.env("LISTEN_FDS") == "":
		return nil, errors.New("one of --fd and --linger is needed, or a socket from systemd")
	}
	return o, nil
}

// withoutResume drops "--resume N", which is always first where it is.
func withoutResume(args []string) []string {
	if len(args) >= 2 && strings.TrimLeft(args[0], "-") == "resume" {
		return args[2:]
	}
	return args
}

func uidOf(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(s)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

// server makes the server that the options ask for.
func (o *options) server(cfg shim.Config) (*shim.Server, error) {
	program, err := self(os.Args[0])
	if err != nil {
		return nil, err
	}
	cfg.Program, cfg.Args = program, o.args
	cfg.Helper = "/proc/self/exe" // this very program, also when the file was replaced
	cfg.StopWait, cfg.AllowUIDs = o.stopWait, o.allow
	cfg.Cgroup = o.cgroup
	cfg.Stay = o.fd < 0
	cfg.UpgradeOnHUP = cfg.Stay // else its keeper upgrades it
	switch {
	case o.resume >= 0:
		return shim.Resume(cfg, o.resume)
	case o.fd >= 0:
		if err := checkSocket(o.fd, 0); err != nil {
			return nil, fmt.Errorf("--fd %d: %w", o.fd, err)
		}
		unix.CloseOnExec(o.fd)
		cfg.Conn = o.fd
	case o.linger != "":
		mode := os.FileMode(0o600)
		if len(o.allow) > 0 {
			mode = 0o666 // who may connect is decided by the uid
		}
		if cfg.Listener, err = shim.Listen(o.linger, mode); err != nil {
			return nil, err
		}
	default:
		if cfg.Listener, err = o.activated(); err != nil {
			return nil, err
		}
	}
	return shim.NewServer(cfg)
}

// self is the path that this program was started by: by way of it, symbolic
// links included, an upgrade in place finds the new program.
func self(argv0 string) (string, error) {
	if strings.Contains(argv0, "/") {
		return filepath.Abs(argv0)
	}
	return os.Executable()
}

// activated is the socket from systemd: sd_listen_fds(3).
func (o *options) activated() (int, error) {
	const first = 3
	if o.env("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return -1, fmt.Errorf("LISTEN_PID=%s is not this process", o.env("LISTEN_PID"))
	}
	if n := o.env("LISTEN_FDS"); n != "1" {
		return -1, fmt.Errorf("LISTEN_FDS=%s: exactly one socket is taken", n)
	}
	if err := checkSocket(first, 1); err != nil {
		return -1, fmt.Errorf("the socket from systemd: %w", err)
	}
	unix.CloseOnExec(first)
	return first, nil
}

// checkSocket sees that fd is a SOCK_SEQPACKET socket, listening (1) or not (0).
func checkSocket(fd, listening int) error {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if kind != unix.SOCK_SEQPACKET {
		return errors.New("not a SOCK_SEQPACKET socket (ListenSequentialPacket=)")
	}
	if l, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || l != listening {
		return fmt.Errorf("listening is %d, %d is needed (%v)", l, listening, err)
	}
	return nil
}
