package streamfile

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// maxCommand bounds a command after its variables are expanded, in bytes: what
// execve(2) takes with the usual stack limit of 8 MiB.
const maxCommand = 2 << 20

// Resolve builds what one start at time at runs. argv nil: the command is
// ExecStart='s. Else argv is what CommandBuilder= printed or an embedding
// program gave, and is taken as it is.
//
// It reads environment files and looks for the program, so it may block on a
// slow disk. The error says all that is wrong, each part an *Error; with
// errors.As it is a *NoProgramError where the program is missing.
func (d *Definition) Resolve(at time.Time, argv []string) (*Launch, error) {
	env, errs, _ := d.environ(at, nil)
	if len(errs) > 0 {
		return nil, join(errs)
	}
	c, option := d.ExecStart, "ExecStart"
	if argv != nil {
		c = Command{Words: argv, File: d.CommandBuilder.File, Line: d.CommandBuilder.Line, Literal: true}
		if option = "CommandBuilder"; c.File == "" {
			option = ""
		}
	}
	l, errs, _ := d.stream(env, &c, option)
	return l, join(errs)
}

// ResolveBuilder builds the run of CommandBuilder= before a start at time at:
// standard input is nothing, standard output a pipe. Errors are as Resolve's.
func (d *Definition) ResolveBuilder(at time.Time) (*Launch, error) {
	return d.resolveOther(at, nil, &d.CommandBuilder, "CommandBuilder", StdoutPipe)
}

// ResolveHook builds the run of a hook that is a command; extraEnv are the
// variables of HookVariables, NAME=value, that tell what happened. Errors are
// as Resolve's.
func (d *Definition) ResolveHook(h Hook, at time.Time, extraEnv []string) (*Launch, error) {
	env := make([]string, 0, len(hookVariables)+len(extraEnv))
	for _, v := range hookVariables {
		if v.Name != streamVariable {
			env = append(env, v.Name+"=")
		}
	}
	return d.resolveOther(at, append(env, extraEnv...), &h.Command, d.hookOption(h), StdoutJournal)
}

// hookOption is the option that h stands in.
func (d *Definition) hookOption(h Hook) string {
	same := func(o Hook) bool { return o.Command.File == h.Command.File && o.Command.Line == h.Command.Line }
	if slices.ContainsFunc(d.OnRestart, same) {
		return "OnRestart"
	}
	return "OnFailure"
}

func (d *Definition) resolveOther(at time.Time, extra []string, c *Command, option string, stdout Stdout) (*Launch, error) {
	env, errs, _ := d.environ(at, extra)
	if len(errs) > 0 {
		return nil, join(errs)
	}
	l, errs, _ := d.launch(env, c, option)
	if len(errs) > 0 {
		return nil, join(errs)
	}
	l.Stdin, l.Stdout = StdinNull, stdout
	return l, nil
}

// launch expands a command and finds its program.
func (d *Definition) launch(env *environ, c *Command, option string) (l *Launch, errs, notes []*Error) {
	at := func(i int) position { return position{c.File, c.line(i)} }
	fail := func(i int, p *problem) { errs = append(errs, d.problem(at(i), option, p)) }
	if len(c.Words) == 0 || c.Words[0] == "" {
		fail(0, wrong("", "there is no command to run"))
		return nil, errs, nil
	}
	word := 0
	out := &handout{d: d, env: env}
	names := func() []string {
		all := env.known()
		for _, name := range d.presets() {
			all = append(all, presetPrefix+name)
		}
		return all
	}
	x := &expander{
		get: env.get, names: names, left: maxCommand, vague: env.vague, special: out.special,
		remedy: "set it by Environment= or EnvironmentFile=, or write $$ for a dollar",
		warn: func(p *problem) {
			if len(notes) < maxErrors {
				notes = append(notes, d.problem(at(word), option, p))
			}
		},
	}
	argv := make([]string, 0, len(c.Words))
	for i, w := range c.Words {
		if len(errs) > maxErrors {
			return nil, errs, notes
		}
		word = i
		words := []string{w}
		err := (*problem)(nil)
		if !c.Literal && i > 0 {
			words, err = x.word(w)
			env.doubt(x.warn)
		}
		if err != nil {
			fail(i, err)
			continue
		}
		for _, w := range words {
			switch {
			case len(w) > maxVariable:
				fail(i, wrong("put it in a file: ffmpeg has -filter_complex_script", "an argument is longer than the %d bytes that the kernel takes", maxVariable))
			case strings.IndexByte(w, 0) >= 0:
				fail(i, wrong("", "an argument holds a NUL byte"))
			}
		}
		argv = append(argv, words...)
	}
	errs, notes = append(errs, out.errs...), append(notes, out.notes...)
	path, err := d.on().program(c.Words[0], env.vars["PATH"])
	var missing *NoProgramError
	if errors.As(err, &missing) {
		fail(0, missing.problem())
	}
	if len(errs) > 0 {
		return nil, errs, notes
	}
	return &Launch{Path: path, Argv: argv, Env: env.list(), Dir: d.dir(), Files: out.files, SecretEnv: env.secrets()}, nil, notes
}

// stream is launch for the stream's own command: ffmpeg's arguments added and
// the standard streams decided.
func (d *Definition) stream(env *environ, c *Command, option string) (l *Launch, errs, notes []*Error) {
	l, errs, notes = d.launch(env, c, option)
	if l == nil {
		return nil, errs, notes
	}
	traits := CommandTraits{Argv: l.Argv, ControlQ: true}
	describe := d.on().describe
	if describe != nil {
		traits = describe(l.Argv, d.AddProgress && d.Type == TypeFFmpeg)
	}
	l.Argv = traits.Argv

	l.Stdin, l.Stdout = d.StandardInput, d.StandardOutput
	if d.auto.stdin || l.Stdin == StdinAuto {
		switch {
		case traits.StdinIsData:
			l.Stdin = StdinPipe
		case describe != nil && d.Type == TypeFFmpeg:
			l.Stdin = StdinControl
		default:
			l.Stdin = StdinNull
		}
	}
	if d.auto.stdout || l.Stdout == StdoutAuto {
		l.Stdout = StdoutJournal
		if traits.StdoutIsData {
			l.Stdout = StdoutPipe
		}
	}
	l.StdinPlain = l.Stdin == StdinPipe && traits.StdinPlain
	l.ControlQ = l.Stdin == StdinControl && traits.ControlQ && !traits.StdinIsData
	note := func(option string, p *problem) { notes = append(notes, d.problem(d.where[option], option, p)) }
	if l.Stdin == StdinControl && traits.StdinIsData {
		note("StandardInput", wrong("write StandardInput=pipe", "the command reads data from its standard input, and will get none"))
	}
	if l.Stdout == StdoutJournal && traits.StdoutIsData {
		note("StandardOutput", wrong("write StandardOutput=pipe", "the command writes data to its standard output, which the journal is no place for"))
	}
	return l, nil, notes
}

// dir is where the commands of d run.
func (d *Definition) dir() string {
	dir := d.WorkingDirectory
	switch dir {
	case "":
		return "/"
	case "~":
		dir = d.on().home
	}
	if d.WorkingDirectoryOptional {
		if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			return "/"
		}
	}
	return dir
}

// HookVariable is a variable that the commands of OnFailure= and OnRestart=
// find in their environment.
type HookVariable struct{ Name, Description string }

var hookVariables = []HookVariable{
	{streamVariable, "the stream's name"},
	{"FFKEEPER_EVENT", "restart or failure"},
	{"FFKEEPER_STATE", "the stream's state"},
	{"FFKEEPER_REASON", "why, in one word such as exit-code or stalled"},
	{"FFKEEPER_DETAIL", "why, in a line for people"},
	{"FFKEEPER_PID", "the process; 0 if there is none"},
	{"FFKEEPER_EXIT_CODE", "of the run that ended, or minus the signal; empty before the first"},
	{"FFKEEPER_RESTART_COUNT", "restarts since the stream was loaded"},
	{"FFKEEPER_CONSECUTIVE_FAILURES", "failures without a healthy run between"},
}

// HookVariables are the variables of hooks, each of which is always set. The
// caller owns the slice.
func HookVariables() []HookVariable { return slices.Clone(hookVariables) }
