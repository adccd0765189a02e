package streamfile

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// streamVariable is set for every process of a stream; the shim finds
// daemonised ones by it.
const streamVariable = "FFKEEPER_STREAM"

// environ is the environment of one start.
type environ struct {
	names []string // in the order they were first set
	vars  map[string]string
	// own are ffkeeper's variables, which only commands see.
	own map[string]string
	// vague: an environment file of a template could not be read.
	vague bool
	// trial: the files are being read, and nothing is about to start.
	trial bool

	secret      map[string]string // variables whose value is a credential
	credentials map[string]string // as read for this start, by name
	texts       map[string]string // of presets, by name
	used        map[string]bool   // presets that a command has named
	doubts      []*problem        // of which nobody has been told
}

// isSecret: the variable's value is a credential.
func (e *environ) isSecret(name string) bool {
	_, ok := e.secret[name]
	return ok
}

// secrets are the variables with credentials, NAME=value.
func (e *environ) secrets() []Secret {
	var out []Secret
	for _, name := range slices.Sorted(maps.Keys(e.secret)) {
		out = append(out, Secret{name + "=" + e.secret[name]})
	}
	return out
}

func (e *environ) set(name, value string) {
	if _, ok := e.vars[name]; !ok {
		e.names = append(e.names, name)
	}
	e.vars[name] = value
}

func (e *environ) list() []string {
	out := make([]string, 0, len(e.names))
	for _, name := range e.names {
		if !e.isSecret(name) {
			out = append(out, name+"="+e.vars[name])
		}
	}
	return out
}

func (e *environ) get(name string) (string, bool) {
	if v, ok := e.own[name]; ok {
		return v, true
	}
	v, ok := e.vars[name]
	return v, ok
}

func (e *environ) known() []string {
	all := slices.Clone(e.names)
	for _, name := range ownVariables {
		if _, ok := e.own[name]; ok {
			all = append(all, name)
		}
	}
	return all
}

// maxVariable is the longest "NAME=value" or argument that execve(2) takes,
// in bytes (MAX_ARG_STRLEN less the NUL).
const maxVariable = 128<<10 - 1

// environ builds the environment of a start at time at: the clean one, then
// Environment=, then EnvironmentFile=, then extra, each overriding the ones
// before. notes are what a person should know but no start need fail for.
func (d *Definition) environ(at time.Time, extra []string) (env *environ, errs, notes []*Error) {
	return d.environFor(at, extra, false)
}

// environFor is environ; trial: to see whether it can be built.
func (d *Definition) environFor(at time.Time, extra []string, trial bool) (env *environ, errs, notes []*Error) {
	env = &environ{vars: make(map[string]string), own: d.ownVariables(), trial: trial, used: make(map[string]bool)}
	env.own["START"] = at.UTC().Format(startFormat)
	add := func(assignments []string) {
		for _, a := range assignments {
			if name, value, ok := strings.Cut(a, "="); ok {
				env.set(name, value)
			}
		}
	}
	add(d.on().base)
	add(d.Environment)
	for _, f := range d.EnvironmentFiles {
		errs = append(errs, d.environFile(env, f, &notes)...)
	}
	add(extra)
	env.set(streamVariable, d.Name)
	for _, c := range d.EnvironmentCredentials {
		at := position{c.File, c.Line}
		value, err := env.line(d, c.Credential)
		env.doubt(func(p *problem) { notes = append(notes, d.problem(at, "EnvironmentCredential", p)) })
		if err == nil && !validEnvValue(value) {
			err = wrong("hand it over by ${CREDENTIAL_FD:"+c.Credential+"}", "the credential %s has control characters or is not UTF-8", c.Credential)
		}
		if err != nil {
			errs = append(errs, d.problem(at, "EnvironmentCredential", err))
		}
		if env.secret == nil {
			env.secret = make(map[string]string)
		}
		env.secret[c.Variable] = value
	}
	for _, name := range env.names {
		if len(name)+1+len(env.vars[name]) > maxVariable {
			errs = append(errs, d.problem(d.where["Environment"], "Environment",
				wrong("", "the variable %s is longer than the %d bytes that the kernel takes", name, maxVariable)))
		}
	}
	return env, errs, notes
}

// ownVariables are those that are the same at every start.
func (d *Definition) ownVariables() map[string]string {
	own := map[string]string{"NAME": d.Name, "PREFIX": d.Prefix}
	if d.Instance != "" {
		own["INSTANCE"] = d.Instance
	}
	return own
}

// environFile reads one EnvironmentFile=, which may be a pattern.
func (d *Definition) environFile(env *environ, f EnvironmentFile, notes *[]*Error) []*Error {
	at := position{f.File, f.Line}
	paths := []string{f.Path}
	if strings.ContainsAny(f.Path, "*?[") {
		found, err := filepath.Glob(f.Path)
		if err != nil {
			return []*Error{d.problem(at, "EnvironmentFile", wrong("", "the pattern %s is malformed", quoted(f.Path)))}
		}
		if len(found) == 0 && !f.Optional {
			env.vague = d.abstract
			if d.abstract {
				return nil
			}
			return []*Error{d.problem(at, "EnvironmentFile", wrong("put - before the path if none need exist",
				"no file matches %s", quoted(f.Path)))}
		}
		paths = found
	}
	for _, path := range paths {
		data, err := readFile(path)
		switch {
		case err != nil && d.abstract:
			env.vague = true
			continue
		case errors.Is(err, fs.ErrNotExist) && f.Optional:
			continue
		case errors.Is(err, fs.ErrNotExist):
			p := wrong("put - before the path if it need not exist", "cannot read %s: it does not exist", quoted(path))
			p.err = err
			return []*Error{d.problem(at, "EnvironmentFile", p)}
		case err != nil:
			p := wrong("", "cannot read %s: %v", quoted(path), err)
			p.err = err
			return []*Error{d.problem(at, "EnvironmentFile", p)}
		}
		vars, warnings, failed := parseEnvFile(data)
		for _, w := range warnings {
			*notes = append(*notes, d.problem(position{path, w.line}, "", w.problem))
		}
		if failed != nil {
			return []*Error{d.problem(position{path, failed.line}, "", failed.problem)}
		}
		for _, v := range vars {
			env.set(v.name, v.value)
		}
	}
	return nil
}

// problem makes an Error of d of a problem.
func (d *Definition) problem(at position, option string, p *problem) *Error {
	redact := d.on().redact
	return &Error{
		Stream: d.Name, File: at.file, Line: at.line, Option: option,
		Msg: p.text(redact), Hint: redact(p.hint), Err: p.err,
	}
}

// expandOwn replaces ${NAME}, ${PREFIX} and ${INSTANCE} in settings that are
// read once and not at each start.
func (d *Definition) expandOwn(text string) (string, *problem) {
	own := d.ownVariables()
	x := &expander{
		left:   maxFile,
		get:    func(name string) (string, bool) { v, ok := own[name]; return v, ok },
		names:  func() []string { return ownVariables[:3] },
		remedy: "only ${NAME}, ${PREFIX} and ${INSTANCE} count here; write $$ for a dollar",
	}
	return x.text(text)
}
