package streamfile

import "sync"

// New answers the definition of a stream that comes from no file, with every
// default set. argv is taken as it is: no quoting, no variables. nil: the
// command is given at each start, as the argv of Resolve. Fields may be set
// until the definition is handed on (with TypeSimple, OnStallLog is the usual
// OnStall); Validate says whether they are right, and With tells the
// definition about the machine.
func New(name string, argv []string) *Definition {
	d := defaults()
	d.Name = name
	d.Prefix, d.Instance = splitName(name)
	if len(argv) > 0 {
		d.ExecStart = Command{Words: argv, Literal: true}
	}
	return d
}

// defaults is a definition in which nothing is given.
func defaults() *Definition {
	d := pristine()
	return &d
}

// pristine holds no maps and pointers: a copy of it is independent.
var pristine = sync.OnceValue(func() (d Definition) {
	for i := range table {
		table[i].clear(&d)
	}
	return d
})

// Validate answers all that is wrong with d's fields; nothing for a definition
// that came from a Loader. Whether programs and files exist is for Resolve to
// say.
func (d *Definition) Validate() []*Error {
	var errs []*Error
	fail := func(option string, p *problem) { errs = append(errs, d.problem(position{}, option, p)) }
	if err := checkName(d.Name); err != nil {
		fail("", err)
	}
	for i := range table {
		if err := table[i].verify(d); err != nil {
			fail(table[i].Name, err)
		}
	}
	d.combined(fail)
	return errs
}

// combined checks what options mean together.
func (d *Definition) combined(fail func(option string, p *problem)) {
	if d.RestartMaxDelay < d.RestartSec {
		fail("RestartMaxDelaySec", wrong("make it longer, or leave it out", "the longest delay, %s, is shorter than RestartSec=, %s",
			formatSpan(d.RestartMaxDelay), formatSpan(d.RestartSec)))
	}
	if len(d.ExecStart.Words) > 0 && len(d.CommandBuilder.Words) > 0 {
		there := ""
		if c := d.ExecStart; c.File != "" {
			there = ", at " + position{c.File, c.Line}.String()
		}
		fail("CommandBuilder", wrong("remove one of them, or put an empty ExecStart= after it",
			"there is ExecStart= too%s, and only one of them can be the command", there))
	}
}
