package shim

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service/shim/shimtest"
	"golang.org/x/sys/unix"
)

// orphanFactory is a perl script that makes N orphans of a kind, K at a time:
//
//	plain    double fork
//	middle   the process between calls setsid, as daemon(7) tells
//	last     the orphan itself calls setsid, as daemon(3) does
//	group    the orphan makes a group of its own, as a job-control shell does
//	bare     as last, with an empty environment after an exec
//
// The orphans live for some milliseconds, or end at once.
const orphanFactory = `
	use POSIX ();
	my ($kind, $n) = @ARGV;
	$| = 1;
	for my $i (1..$n) {
		my $p = fork // die "fork: $!";
		if (!$p) {
			POSIX::setsid() if $kind eq "middle";
			my $q = fork // die "fork: $!";
			if (!$q) {
				POSIX::setsid() if $kind eq "last" || $kind eq "bare";
				POSIX::setpgid(0, 0) if $kind eq "group";
				if ($kind eq "bare") { %ENV = (); exec "/bin/true" if $i % 5 == 0; }
				select(undef, undef, undef, 0.001 * ($i % 7)) if $i % 2;
				POSIX::_exit(0);
			}
			POSIX::_exit(0);
		}
		waitpid($p, 0);
	}
	print "made\n";
	<STDIN>;
`

// Ten thousand orphans leave no zombie, and neither a managed child's status
// nor that of a child the program has started by itself is stolen.
func TestOrphansLeaveNoZombieAndStealNoStatus(t *testing.T) {
	forms(t, func(t *testing.T, r *rig) {
		// All ten thousand where a process has most children of its own to be
		// told apart from them, and where the installed shim meets them.
		each := 500
		if r.shim == os.Getpid() || strings.HasSuffix(t.Name(), "with_cgroups") {
			each = 2000
		}
		var factories []*Child
		for _, kind := range []string{"plain", "middle", "last", "group", "bare"} {
			factories = append(factories, r.start(SpawnRequest{
				Stream: kind, Argv: []string{"perl", "-e", orphanFactory, kind, fmt.Sprint(each)}, Stdin: Socket, Stdout: Pipe,
			}))
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		if r.shim == os.Getpid() {
			// This program's own children, of all kinds.
			for i, attr := range []*syscall.SysProcAttr{nil, {Setpgid: true}, {Setsid: true}} {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						code := n % 200
						cmd := exec.Command("sh", "-c", fmt.Sprintf("(exit 3) & exit %d", code))
						cmd.SysProcAttr = attr
						if err := cmd.Start(); err != nil {
							t.Error(err)
							return
						}
						if n%10 == 0 {
							// Nobody waits yet: it is a zombie for a while.
							until(t, "it has ended", func() bool { return !alive(cmd.Process.Pid) })
						}
						cmd.Wait()
						if got := cmd.ProcessState.ExitCode(); got != code {
							t.Errorf("own child of kind %d: exit code %d, want %d", i, got, code)
						}
					}
				}()
			}
		}
		// Managed children come and go meanwhile.
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				code := n % 200
				c, err := r.spawn(SpawnRequest{Stream: "managed", Argv: []string{"sh", "-c", fmt.Sprintf("exit %d", code)}})
				if err != nil {
					t.Error(err)
					return
				}
				if e := r.ends(c); e.Code != code || e.Unknown {
					t.Errorf("managed child: %+v, want code %d", e, code)
				}
			}
		}()
		for _, f := range factories {
			f.Stdout.SetReadDeadline(time.Now().Add(4 * patience))
			if got := slowLine(t, f.Stdout); got != "made" {
				t.Errorf("%q", got)
			}
		}
		close(stop)
		wg.Wait()
		defer func() {
			if t.Failed() {
				for _, pid := range unmanaged(r, factories) {
					st, err := readStat(pid)
					t.Logf("left: %+v, %v; our session is %d", st, err, ownSession())
				}
			}
		}()
		until(t, "no orphan is left", func() bool { return len(unmanaged(r, factories)) == 0 })
		for _, f := range factories {
			r.Kill(f.ID)
			if e := r.ends(f); e.Signal != int(unix.SIGKILL) {
				t.Errorf("%+v", e)
			}
		}
	})
}

// slowLine is line with the deadline already set.
func slowLine(t *testing.T, f *os.File) string {
	buf := make([]byte, 100)
	n, err := f.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(buf[:n]))
}

// unmanaged lists the children of the shim that are none of the given, and in
// process none of this test's own.
func unmanaged(r *rig, managed []*Child) []int {
	known := map[int]bool{}
	for _, c := range managed {
		known[c.PID] = true
	}
	var found []int
	for _, pid := range childrenOf(r.shim) {
		st, err := readStat(pid)
		if err == nil && !known[pid] && st.session != ownSession() {
			found = append(found, pid)
		}
	}
	return found
}

// An orphan of a child that the embedding program has started by itself, in
// this program's own session: nobody else would ever reap it.
func TestOrphansOfTheProgramsOwnChildrenAreReapedLater(t *testing.T) {
	const wait = time.Second
	begun := time.Now()
	r := inProcess(t, func(o *settings) { o.tweak = func(c *Config) { c.strangerWait = wait } })
	out, err := exec.Command("sh", "-c", "(sleep 0.01 & echo $!)").Output()
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(string(out), &pid)
	until(t, "it is a zombie", func() bool { st, err := readStat(pid); return err != nil || st.dead() })
	r.Ping(t.Context())
	if !exists(pid) && time.Since(begun) < wait {
		t.Error("it was taken at once, when somebody could still have waited for it")
	}
	until(t, "it is reaped", func() bool {
		exec.Command("true").Run() // for the SIGCHLD; else it is the slow tick
		return !exists(pid)
	})
}

// A child in uninterruptible sleep is followed until it is gone, and nothing
// else suffers.
func TestUnkillableChildIsFollowedUntilItIsGone(t *testing.T) {
	f := shimtest.NewFreezer(t)
	r := launched(t)
	c := r.sh("sleep 1000 & echo $!; wait")
	member := number(t, c.Stdout)
	f.Freeze(member)
	r.Kill(c.ID)
	if e := next[Exited](r); e.Signal != int(unix.SIGKILL) {
		t.Errorf("%+v", e)
	}
	// Others come and go meanwhile.
	for range 5 {
		r.ends(r.sh("exit 0"))
	}
	if !exists(member) {
		t.Error("the frozen process is gone")
	}
	f.Thaw()
	if e := next[Empty](r); e.ID != c.ID {
		t.Errorf("%+v", e)
	}
	if exists(member) {
		t.Error("empty was told with a process left")
	}
}

// The same for the main process.
func TestUnkillableMainProcessIsFollowedUntilItIsGone(t *testing.T) {
	f := shimtest.NewFreezer(t)
	forms(t, func(t *testing.T, r *rig) {
		c := r.sh("echo ready; exec sleep 1000")
		line(t, c.Stdout)
		f.Freeze(c.PID)
		for range 3 {
			r.Kill(c.ID)
		}
		r.ends(r.sh("exit 0"))
		f.Thaw()
		if e := r.ends(c); e.Signal != int(unix.SIGKILL) {
			t.Errorf("%+v", e)
		}
	})
}

// A shim that is to stop leaves what the kernel does not let go to the kernel.
func TestStopDoesNotWaitForTheUnkillable(t *testing.T) {
	t.Parallel() // it waits most of its time
	f := shimtest.NewFreezer(t)
	l := startLinger(t, "--stop-wait", "10ms")
	r := l.dial(t)
	c := r.sh("echo ready; exec sleep 1000")
	line(t, c.Stdout)
	f.Freeze(c.PID)
	l.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-l.done:
	case <-time.After(patience):
		t.Fatal("it waits")
	}
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
