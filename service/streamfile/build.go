package streamfile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"
)

// maxErrors bounds the errors of one stream: a film under the name of a stream
// file has a great many lines.
const maxErrors = 100

// builder makes the definition of one stream of its files.
type builder struct {
	d        *Definition
	errs     []*Error
	warnings []*Error
	digest   hash.Hash
	given    map[string]bool // options that have a value
	tried    map[string]bool // options that stand there, right or wrong
}

func newBuilder(name string, h *host) *builder {
	d := defaults()
	d.Name = name
	d.Prefix, d.Instance = splitName(name)
	d.host = h
	d.where = make(map[string]position)
	if isTemplate(name) {
		d.abstract, d.Instance = true, "INSTANCE"
	}
	return &builder{d: d, digest: sha256.New(), given: make(map[string]bool), tried: make(map[string]bool)}
}

// add takes an error; one too many stands for all that would follow.
func (b *builder) add(e *Error) {
	switch n := len(b.errs); {
	case n < maxErrors:
		b.errs = append(b.errs, e)
	case n == maxErrors:
		b.errs = append(b.errs, &Error{Stream: b.d.Name, File: e.File, Msg: "there are more errors than can be shown"})
	}
}

func (b *builder) full() bool { return len(b.errs) > maxErrors }

func (b *builder) fail(at position, option string, p *problem) { b.add(b.d.problem(at, option, p)) }

// warn is bounded as fail is; what is beyond goes unsaid.
func (b *builder) warn(at position, option string, p *problem) {
	if len(b.warnings) < maxErrors {
		b.warnings = append(b.warnings, b.d.problem(at, option, p))
	}
}

// file takes the main file or a drop-in.
func (b *builder) file(path string, data []byte) {
	b.d.Files = append(b.d.Files, path)
	b.digest.Write([]byte(path + "\x00" + strconv.Itoa(len(data)) + "\x00"))
	b.digest.Write(data)

	assignments, problems := parseSyntax(data)
	if len(assignments) == 0 && len(problems) > 0 {
		b.tried["ExecStart"] = true // it may well be in there
	}
	const (
		nowhere = iota // before the first section
		here           // in [Stream]
		foreign        // in a section that is passed over
	)
	in := nowhere
	for i := range assignments {
		if b.full() {
			return
		}
		a := &assignments[i]
		at := position{path, a.line}
		// Both lists are in the order of the lines.
		for len(problems) > 0 && problems[0].line <= a.line {
			b.fail(position{path, problems[0].line}, "", problems[0].problem)
			problems = problems[1:]
		}
		switch {
		case a.header && a.key == section:
			in = here
		case a.header && len(a.key) > 2 && a.key[:2] == "X-": // as systemd: for others
			in = foreign
		case a.header:
			p, meant := unknownSection(a.key)
			b.fail(at, "", p)
			if in = foreign; meant {
				in = here
			}
		case in == foreign:
		case in == nowhere:
			b.fail(at, "", wrong("begin the file with [Stream]", "an option stands before any section"))
			in = here
			b.assign(path, a)
		default:
			b.assign(path, a)
		}
	}
	for _, p := range problems {
		b.fail(position{path, p.line}, "", p.problem)
	}
}

func (b *builder) assign(path string, a *assignment) {
	s := byName[a.key]
	at := position{path, a.line}
	switch {
	case s != nil:
	case len(a.key) > 2 && a.key[:2] == "X-":
		return
	default:
		p, meant := unknownOption(a.key)
		b.fail(at, "", p)
		b.tried[meant] = true
		return
	}
	b.tried[s.Name] = true
	b.d.where[s.Name] = at
	if a.bad {
		return
	}
	if a.value == "" {
		s.clear(b.d)
		b.given[s.Name], b.tried[s.Name] = false, false
		return
	}
	src := &source{file: path, assignment: a, own: b.d.expandOwn}
	src.warn = func(p *problem) { b.warn(src.position(p.at), s.Name, p) }
	err := s.set(b.d, src, a.value)
	if err == nil && !s.list { // looking through a list for each that is added would take for ever
		err = s.verify(b.d)
	}
	if err != nil {
		b.fail(src.position(err.at), s.Name, err)
		if s.kind != commandKind { // a second command is to be told of the first
			s.clear(b.d) // one error is enough for one mistake
		}
		return
	}
	b.given[s.Name] = true
}

// finish settles what depends on several options.
func (b *builder) finish() {
	d := b.d
	d.Digest = hex.EncodeToString(b.digest.Sum(nil))
	if !b.given["OnStall"] && d.Type == TypeSimple {
		d.OnStall = OnStallLog
	}
	if !b.given["RestartMaxDelaySec"] {
		d.RestartMaxDelay = max(d.RestartMaxDelay, d.RestartSec)
	}
	d.AddProgress = d.AddProgress && d.Type == TypeFFmpeg
	d.After, d.Requires = once(d.After), once(d.Requires)
	d.auto.stdin = d.StandardInput == StdinAuto
	d.auto.stdout = d.StandardOutput == StdoutAuto
	d.combined(func(option string, p *problem) { b.fail(d.where[option], option, p) })
	if !b.tried["ExecStart"] && !b.tried["CommandBuilder"] && len(d.Files) > 0 {
		at := position{file: d.Files[0]}
		b.fail(at, "ExecStart", wrong("write the command after ExecStart=, or CommandBuilder=", "there is no command"))
	}
}

// once leaves the first of each name.
func once(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

// try resolves everything once, so that what no start could succeed with is
// known now, and the streams left to auto are decided.
func (b *builder) try() {
	d := b.d
	take := func(errs, notes []*Error) {
		for _, e := range errs {
			b.add(e)
		}
		b.warnings = append(b.warnings, notes...)
	}
	env, errs, notes := d.environFor(time.Now(), nil, true)
	take(errs, notes)
	for _, name := range d.presets() {
		_, errs, notes := env.preset(d, name)
		take(errs, notes)
	}
	env.vague = env.vague || len(errs) > 0 // its variables would only be missing
	if len(d.ExecStart.Words) > 0 {
		l, errs, notes := d.stream(env, &d.ExecStart, "ExecStart")
		take(errs, notes)
		if l != nil {
			d.StandardInput, d.StandardOutput = l.Stdin, l.Stdout
		}
	}
	if len(d.CommandBuilder.Words) > 0 {
		_, errs, notes := d.launch(env, &d.CommandBuilder, "CommandBuilder")
		take(errs, notes)
	}
	for _, v := range hookVariables {
		if _, ok := env.vars[v.Name]; !ok {
			env.set(v.Name, "")
		}
	}
	for _, h := range append(d.OnRestart[:len(d.OnRestart):len(d.OnRestart)], d.OnFailure...) {
		if h.Stream == "" {
			_, errs, notes := d.launch(env, &h.Command, d.hookOption(h))
			take(errs, notes)
		}
	}
	for _, name := range d.presets() {
		if !env.used[name] && len(b.errs) == 0 {
			b.warn(d.where["OutputPreset"], "OutputPreset", wrong("write -fpre ${PRESET_"+name+"} before the output", "no command uses the preset %s", name))
		}
	}
	if dir := d.dir(); !d.abstract {
		// It may be mounted later, and spawning is tried again: no error.
		if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			b.warn(d.where["WorkingDirectory"], "WorkingDirectory", wrong("create it", "there is no directory %s", quoted(dir)))
		}
	}
}

// entry is what became of the files.
func (b *builder) entry() *Entry {
	e := &Entry{Name: b.d.Name, Files: b.d.Files, Errors: b.errs, Warnings: b.warnings}
	slices.SortStableFunc(e.Errors[:min(len(e.Errors), maxErrors)], b.compare)
	slices.SortStableFunc(e.Warnings, b.compare)
	if len(e.Errors) == 0 {
		e.Definition = b.d
	}
	return e
}

// compare puts errors in the order in which the files were read, and then of
// their lines.
func (b *builder) compare(x, y *Error) int {
	if c := cmp.Compare(slices.Index(b.d.Files, x.File), slices.Index(b.d.Files, y.File)); c != 0 {
		return c
	}
	return cmp.Compare(x.Line, y.Line)
}
