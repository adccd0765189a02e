package shim

import (
	"context"
	"fmt"
	"time"
)

// greetWait is how long a shim may take to answer hello; one that serves keepers
// in turn may wait for an earlier one's spawns besides.
const greetWait = 10 * time.Second

// InProcess runs the shim in this process, on one thread of it. The process
// becomes a subreaper. Its own children, started with os/exec, keep their
// status: see the package comment.
//
// The program's death is the children's, by SIGKILL. Close stops them properly.
func InProcess(h Handler, opts ...Option) (*Client, error) {
	o := options(opts)
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	cfg := Config{Conn: theirs, Version: "in-process", StopWait: o.stopWait, Helper: o.helper, inProcess: true}
	if o.tweak != nil {
		o.tweak(&cfg)
	}
	s, err := NewServer(cfg)
	if err != nil {
		closeAll([]int{ours, theirs})
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	c, err := newConn(ours, "shim")
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the shim in this process: %w", err)
	}
	return connect(c, h, time.Now().Add(greetWait), func(cl *Client) {
		cl.local = true
		cl.after = func() error { return <-ended }
	})
}

// Dial connects to the shim that listens at path. The context bounds the
// connecting and the taking over, not the connection.
func Dial(ctx context.Context, path string, h Handler) (*Client, error) {
	deadline := time.Now().Add(helperWait + killWait + greetWait)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	fd, err := dialSocket(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the shim at %s: %w", path, err)
	}
	c, err := newConn(fd, path)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the shim at %s: %w", path, err)
	}
	deadline, _ = ctx.Deadline()
	stop := context.AfterFunc(ctx, func() { c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	return connect(c, h, deadline, func(cl *Client) { cl.stays = true })
}

// Option changes how InProcess and Launch run a shim.
type Option func(*settings)

type settings struct {
	stopWait time.Duration
	helper   string
	env      []string      // nil: this process's
	tweak    func(*Config) // for tests
}

func options(opts []Option) settings {
	var o settings
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// StopWait sets the time between TERM and KILL when the shim stops its children
// because the keeper is gone; 10 s unless set.
func StopWait(d time.Duration) Option { return func(o *settings) { o.stopWait = d } }

// Environ sets the environment of a shim that Launch starts; it is that of this
// process unless set. A service must not pass on what its manager addresses to
// its main process alone, such as NOTIFY_SOCKET: the shim would speak for it.
func Environ(env []string) Option { return func(o *settings) { o.env = env } }

// Helper names the program that an in-process shim runs, as "Helper
// exec-helper", for children that ask for a nice value, umask, CPU affinity,
// limits or an OOM score; without it such children cannot be started. It is
// ffkeeper-shim, or /proc/self/exe where the program's main begins with
// ExecHelperMain.
func Helper(program string) Option { return func(o *settings) { o.helper = program } }
