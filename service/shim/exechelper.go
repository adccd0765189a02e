package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helperCommand is the first argument that makes a program the exec helper.
const helperCommand = "exec-helper"

// helperWait bounds the time until the helper has become the program: a working
// directory on a dead server would hold it for ever.
const helperWait = 30 * time.Second

// helperJob is what the helper is told, in a memfd.
type helperJob struct {
	Spawn  spawnBody `json:"spawn"`
	Cgroup text      `json:"cgroup,omitempty"` // directory to move to; "": it is there
}

// helperWord is what the helper says over its status pipe: one when it is about
// to execute the program, and another if that fails; without the first it died.
type helperWord struct {
	Go    bool         `json:"go,omitempty"`
	Error *remoteError `json:"error,omitempty"`
}

// spawnThroughHelper starts the helper, which sets what can only be set in the
// new process and then becomes the program. done is called when it has.
func (s *Server) spawnThroughHelper(req *SpawnRequest, p *pipes, done func(*child, error)) {
	fail := func(op string, err error) {
		p.closeOurSide()
		done(nil, &SpawnError{Path: req.Path, Op: op, Err: err})
	}
	if s.cfg.Helper == "" {
		fail("find the exec helper", errors.New("none is configured, and limits, nice, umask, affinity and OOM score need it"))
		return
	}
	j := helperJob{Spawn: *req.body()}
	if p.cgroup != nil && p.cgroup.tree.notInto != nil {
		j.Cgroup = text(p.cgroup.dir)
	}
	data, err := json.Marshal(j)
	if err != nil {
		fail("tell the exec helper", err)
		return
	}
	job, err := memfd("shim-exec-helper", data)
	if err != nil {
		fail("tell the exec helper", err)
		return
	}
	p.made = append(p.made, job)
	var status [2]int
	if err := unix.Pipe2(status[:], unix.O_CLOEXEC); err != nil {
		fail("make its pipes", err)
		return
	}
	p.made = append(p.made, status[1])
	n := len(p.child)
	p.child = append(p.child, job, status[1])
	argv := []string{"ffkeeper-shim", helperCommand, strconv.Itoa(n), strconv.Itoa(n + 1)}
	c, err := s.fork(req, s.cfg.Helper, argv, nil, "/", p)
	if err != nil {
		unix.Close(status[0])
		fail("start the exec helper", errors.Unwrap(err))
		return
	}
	c.starting = true
	err = s.follow(c)
	if err == nil {
		err = s.awaitHelper(c, req.Path, status[0], done)
	} else {
		unix.Close(status[0])
	}
	if err != nil {
		s.abandon(c)
		done(nil, &SpawnError{Path: req.Path, Op: "follow the exec helper", Err: err})
	}
}

// awaitHelper reads the helper's status pipe, which it takes over, until it is
// closed by the exec or the helper's end.
func (s *Server) awaitHelper(c *child, path string, status int, done func(*child, error)) error {
	if err := unix.SetNonblock(status, true); err != nil {
		unix.Close(status)
		return err
	}
	file := os.NewFile(uintptr(status), "status of exec helper")
	go func() {
		defer file.Close()
		file.SetReadDeadline(time.Now().Add(helperWait))
		data, err := io.ReadAll(io.LimitReader(file, maxPacket))
		if err == nil {
			err = helperVerdict(data)
		}
		s.post(func() { s.started(c, path, err, done) })
	}()
	return nil
}

// helperVerdict is nil if the helper has become the program.
func helperVerdict(words []byte) error {
	dec := json.NewDecoder(bytes.NewReader(words))
	ready := false
	for {
		var w helperWord
		err := dec.Decode(&w)
		switch {
		case err == io.EOF && ready:
			return nil
		case err != nil:
			return errors.New("the exec helper died")
		case w.Error != nil:
			return fromWire(w.Error)
		}
		ready = ready || w.Go
	}
}

// started is called when the helper has become the program, or has not.
func (s *Server) started(c *child, path string, err error, done func(*child, error)) {
	defer s.answerHello()
	if err != nil {
		s.abandon(c)
		var spawn *SpawnError
		if !errors.As(err, &spawn) {
			err = &SpawnError{Path: path, Op: "start through the exec helper", Err: err}
		}
		done(nil, err)
		return
	}
	c.starting = false
	c.started = time.Now()
	done(c, nil)
	if c.exited != nil && !c.failed { // already
		s.tell(&message{Type: msgExited, Exited: c.exited.body()})
		s.reap(false)
	}
}

// abandon gets rid of a child the keeper will never hear of.
func (s *Server) abandon(c *child) {
	c.failed, c.forgotten, c.starting = true, true, false
	c.release()
	s.kill(c)
}

// ExecHelperMain makes the program the exec helper if it was started as that;
// else it returns at once. A program that passes Helper("/proc/self/exe") to
// InProcess must call it first thing in main.
func ExecHelperMain() {
	if len(os.Args) != 4 || os.Args[1] != helperCommand {
		return
	}
	job, err1 := strconv.Atoi(os.Args[2])
	status, err2 := strconv.Atoi(os.Args[3])
	if err1 != nil || err2 != nil {
		fmt.Fprintln(os.Stderr, "ffkeeper-shim: exec-helper is for the shim itself to use")
		os.Exit(64)
	}
	runtime.LockOSThread() // nice value and affinity are of the thread that executes
	debug.SetGCPercent(-1) // limits on memory are about to come
	unix.CloseOnExec(job)
	unix.CloseOnExec(status)
	err := becomeProgram(job, status)
	say(status, helperWord{Error: toWire(err)})
	os.Exit(127)
}

// becomeProgram returns only if it fails.
func becomeProgram(job, status int) error {
	data, err := readMemfd(job, maxMessage)
	if err != nil {
		return &SpawnError{Path: "exec helper", Op: "read its job", Err: err}
	}
	var j helperJob
	if err := json.Unmarshal(data, &j); err != nil {
		return &SpawnError{Path: "exec helper", Op: "read its job", Err: err}
	}
	r := j.Spawn.request()
	if j.Cgroup != "" {
		if err := writeFile(string(j.Cgroup)+"/cgroup.procs", "0"); err != nil {
			return &SpawnError{Path: r.Path, Op: "move to control group " + string(j.Cgroup), Err: err}
		}
	}
	if op, err := applySettings(r); err != nil {
		return &SpawnError{Path: r.Path, Op: op, Err: err}
	}
	dir := r.Dir
	if dir == "" {
		dir = "/"
	}
	if err := unix.Chdir(dir); err != nil {
		return &SpawnError{Path: r.Path, Op: "chdir " + dir, Err: err}
	}
	if err := say(status, helperWord{Go: true}); err != nil {
		return &SpawnError{Path: r.Path, Op: "report", Err: err}
	}
	for _, name := range limitOrder(r.Limits) {
		l := syscall.Rlimit{Cur: r.Limits[name].Soft, Max: r.Limits[name].Hard}
		// By package syscall, which then leaves RLIMIT_NOFILE alone at exec.
		if err := syscall.Setrlimit(rlimits[name], &l); err != nil {
			return &SpawnError{Path: r.Path, Op: "set limit " + name, Err: err}
		}
	}
	return execError(r.Path, syscall.Exec(r.Path, r.Argv, r.Env))
}

// applySettings sets all but the limits; op says what failed.
func applySettings(r *SpawnRequest) (op string, err error) {
	if r.OOMScoreAdj != nil {
		err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(*r.OOMScoreAdj)), 0)
		if err != nil {
			return fmt.Sprintf("set OOM score to %d", *r.OOMScoreAdj), err
		}
	}
	if r.Nice != nil {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, *r.Nice); err != nil {
			return fmt.Sprintf("set nice to %d", *r.Nice), err
		}
		// Where the kernel schedules by session (sched(7), "The autogroup
		// feature") a nice value counts within the session only, and the
		// session's own is what it means. There may be no such file.
		os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(*r.Nice)), 0)
	}
	if len(r.CPUAffinity) > 0 {
		var set unix.CPUSet
		for _, cpu := range r.CPUAffinity {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Sprintf("set CPU affinity to %v", r.CPUAffinity), err
		}
	}
	if r.UMask != nil {
		unix.Umask(int(*r.UMask))
	}
	return "", nil
}

// limitOrder puts those that could stop the helper itself last.
func limitOrder(limits map[string]Limit) []string {
	var names []string
	for name := range limits {
		names = append(names, name)
	}
	memory := func(name string) int {
		if name == "AS" || name == "DATA" {
			return 1
		}
		return 0
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := memory(a) - memory(b); d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	return names
}

func say(fd int, w helperWord) error {
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, data)
	return err
}
