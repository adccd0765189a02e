package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/pump"
	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// Limits of what runs beside a stream.
const (
	builderTimeout = 10 * time.Second
	builderOutput  = 1 << 20 // bytes of JSON a builder may print
	hookTimeout    = 90 * time.Second
)

type jobKind string

const (
	jobBuilder jobKind = "builder"
	jobHook    jobKind = "hook"
)

// job is a command that runs for a moment beside the stream: the command
// builder or a hook. It is the shim's child like any other, so nobody but the
// shim ever waits for it.
type job struct {
	kind    jobKind
	owner   *owner
	id      shim.ID
	live    bool   // spawned, exit not seen
	killed  string // why, if we ended it
	due     time.Time
	stdout  *pump.Source
	stderr  *pump.Source
	out     []byte
	lines   ffmpeg.LineSplitter
	words   []string // its last stderr lines
	onEnd   func(*job, shim.Exited)
	onError func(reason Reason, text string)
}

// runJob asks the shim for it. Its stream name in the shim is not the
// stream's own, so that its end is never taken for the stream's. part tells
// the command from the stream's others: what is secret in it need not be so in
// those, and it may run when the stream itself never has.
func (o *owner) runJob(j *job, l *streamfile.Launch, limit time.Duration, part string) {
	j.owner = o
	o.cfg.Redact.Learn(o.cfg.Name+redact.PartMark+part, l.Argv, l.Env)
	files, err := secretPipes(l.Files)
	if err != nil {
		o.post(func() { j.onError(ReasonSpawnFailed, err.Error()) })
		return
	}
	defer closeFiles(files)
	j.due = time.Now().Add(limit)
	o.jobs = append(o.jobs, j)
	req := shim.SpawnRequest{
		Stream: o.cfg.Name + jobMark + string(j.kind), Path: l.Path, Argv: l.Argv, Env: l.Environ(), Dir: l.Dir,
		Stdin: shim.Null, Stdout: shim.Pipe, Stderr: shim.Pipe,
	}
	backs := o.backs
	o.cfg.Shim.Spawn(req, files, func(c *shim.Child, err error) {
		o.postOr(func() {
			o.jobSpawned(j, c, err)
			o.missedBack(backs, err)
		}, func() {
			if o.left {
				discard(c) // the next keeper decides
				return
			}
			o.unwanted(c)
		})
	})
}

// unwanted ends a command that nobody waits for any more.
func (o *owner) unwanted(c *shim.Child) {
	if c != nil {
		discard(c)
		o.cfg.Shim.Kill(c.ID)
	}
}

// jobMark parts a stream's name from that of a job of it; no name has it.
const jobMark = "!"

// OwnerOf is the name of the stream that a name in the shim belongs to: its
// own, or that of a command that runs beside it.
func OwnerOf(shimName string) string {
	name, _, _ := strings.Cut(shimName, jobMark)
	return name
}

func (o *owner) jobSpawned(j *job, c *shim.Child, err error) {
	switch {
	case !slices.Contains(o.jobs, j):
		o.unwanted(c) // of a lost shim, and it has been said
		return
	case err != nil:
		o.dropJob(j)
		j.onError(spawnReason(err), o.cfg.Redact.String(err.Error()))
		return
	}
	j.id, j.live = c.ID, true
	add := func(f *os.File) *pump.Source {
		if f == nil {
			return nil
		}
		s, err := o.cfg.Pump.Add(f, 0, o.poke)
		if err != nil {
			f.Close()
			return nil
		}
		return s
	}
	j.stdout, j.stderr = add(c.Stdout), add(c.Stderr)
	if c.PIDFD != nil {
		c.PIDFD.Close()
	}
	if j.killed != "" {
		o.cfg.Shim.Kill(j.id)
	}
}

func (j *job) take(data []byte) {
	if room := builderOutput + 1 - len(j.out); room > 0 {
		j.out = append(j.out, data[:min(room, len(data))]...)
	}
}

func (j *job) line(raw []byte, _ bool) {
	if len(raw) == 0 {
		return
	}
	text := j.owner.cfg.Redact.String(string(raw))
	if len(j.words) == keptErrors {
		j.words = j.words[1:]
	}
	j.words = append(j.words, text)
	j.owner.log.line(j.owner.m, time.Now(), Line{Time: time.Now(), Priority: plainPriority, Text: string(j.kind) + ": " + text})
}

func (j *job) read(take func(*pump.Source) []byte) {
	if j.stdout != nil {
		j.take(take(j.stdout))
	}
	if j.stderr != nil {
		j.lines.Feed(take(j.stderr), j.line)
	}
}

// jobsIn reads what running jobs print.
func (o *owner) jobsIn() {
	for _, j := range o.jobs {
		if j.live {
			j.read(func(s *pump.Source) []byte { data, _ := s.Take(nil); return data })
		}
	}
}

// jobExited: a job's main process has ended. What it left behind is killed:
// a hook that wants to go on has systemd-run.
func (o *owner) jobExited(ev shim.Exited) {
	for _, j := range o.jobs {
		if j.live && j.id == ev.ID {
			o.cfg.Shim.Kill(j.id)
			o.dropJob(j)
			j.onEnd(j, ev)
			return
		}
	}
	// Nobody's any more: a process of a lost shim, or one that was given up.
	o.cfg.Shim.Forget(ev.ID)
}

// dropJob lets go of a job and takes its last words.
func (o *owner) dropJob(j *job) {
	o.jobs = slices.DeleteFunc(o.jobs, func(k *job) bool { return k == j })
	j.read((*pump.Source).Finish)
	j.lines.Flush(j.line)
	if j.live {
		o.cfg.Shim.Forget(j.id)
	}
	j.live = false
}

func (j *job) close() {
	for _, s := range []*pump.Source{j.stdout, j.stderr} {
		if s != nil {
			s.Finish()
		}
	}
}

func (o *owner) jobsDue() (due time.Time) {
	for _, j := range o.jobs {
		if j.killed == "" && (due.IsZero() || j.due.Before(due)) {
			due = j.due
		}
	}
	return due
}

func (o *owner) jobsTick(now time.Time) {
	for _, j := range o.jobs {
		if j.killed == "" && !now.Before(j.due) {
			j.kill("took longer than its time limit")
		}
	}
}

func (j *job) kill(why string) {
	j.killed = why
	if j.live {
		j.owner.cfg.Shim.Kill(j.id)
	}
}

func (o *owner) killJobs(kind jobKind) {
	for _, j := range o.jobs {
		if j.kind == kind && j.killed == "" {
			j.kill("no longer wanted")
		}
	}
}

// jobsLost: the shim is gone, and every job with it.
func (o *owner) jobsLost() {
	for _, j := range slices.Clone(o.jobs) {
		j.live = false
		o.dropJob(j)
		j.onError(ReasonShimLost, "the shim is gone")
	}
}

// build runs the command builder, Go's or the definition's.
func (o *owner) build() {
	o.built = nil
	attempt := o.attempt
	answer := func(argv []string, reason Reason, text string) {
		if attempt != o.attempt || o.m.phase != phaseBuild {
			return
		}
		o.built = argv
		o.step(evBuilt{reason: reason, detail: text})
	}
	if o.cfg.Command != nil {
		o.buildInGo(answer)
		return
	}
	def := o.m.def
	l, err := def.ResolveBuilder(time.Now())
	if err != nil {
		reason := resolveReason(err)
		text := o.cfg.Redact.String(err.Error())
		o.post(func() { answer(nil, reason, text) })
		return
	}
	j := &job{kind: jobBuilder}
	j.onError = func(reason Reason, text string) {
		if reason != ReasonShimLost {
			reason = ReasonBuilderFailed
		}
		answer(nil, reason, "CommandBuilder= could not be run: "+text)
	}
	j.onEnd = func(j *job, ev shim.Exited) {
		argv, err := builtCommand(j, ev)
		if err != nil {
			answer(nil, ReasonBuilderFailed, o.cfg.Redact.String("CommandBuilder= "+err.Error()))
			return
		}
		answer(argv, ReasonNone, "")
	}
	o.runJob(j, l, builderTimeout, string(jobBuilder))
}

func (o *owner) buildInGo(answer func([]string, Reason, string)) {
	o.cancelWork()
	ctx, cancel := context.WithTimeout(o.ctx, builderTimeout)
	o.cancel = cancel
	go func() {
		argv, err := o.cfg.Command(ctx)
		o.post(func() {
			cancel()
			switch {
			case err != nil:
				answer(nil, ReasonBuilderFailed, o.cfg.Redact.String("command builder: "+err.Error()))
			case len(argv) == 0:
				answer(nil, ReasonBuilderFailed, "command builder: answered no command")
			default:
				answer(argv, ReasonNone, "")
			}
		})
	}()
}

// builtCommand is what a builder printed: a JSON array of strings.
func builtCommand(j *job, ev shim.Exited) ([]string, error) {
	switch {
	case j.killed != "":
		return nil, errors.New(j.killed)
	case ev.Unknown:
		return nil, errors.New("nobody knows how it ended: its exit status was lost")
	case ev.Signal != 0:
		return nil, fmt.Errorf("was killed by %s%s", unix.SignalName(unix.Signal(ev.Signal)), j.lastWords())
	case ev.Code != 0:
		return nil, fmt.Errorf("exited with code %d%s", ev.Code, j.lastWords())
	case len(j.out) > builderOutput:
		return nil, fmt.Errorf("printed more than %d bytes", builderOutput)
	}
	return parseCommand(j.out, j.owner.cfg.Redact)
}

// parseCommand reads a JSON array of strings that can be a command line.
func parseCommand(out []byte, r *redact.Redactor) ([]string, error) {
	var argv []string
	if err := json.Unmarshal(out, &argv); err != nil {
		return nil, fmt.Errorf("did not print a JSON array of strings: %s: %w", excerpt(r.String(string(out))), err)
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("printed an array without a program")
	}
	for _, a := range argv {
		if strings.IndexByte(a, 0) >= 0 {
			return nil, errors.New("printed an argument with a NUL in it")
		}
	}
	return argv, nil
}

func (j *job) lastWords() string {
	if len(j.words) == 0 {
		return ""
	}
	return ": " + j.words[len(j.words)-1]
}

// excerpt quotes the beginning of a text that is redacted already: of half a
// URL nobody could tell any more that it holds a password.
func excerpt(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
