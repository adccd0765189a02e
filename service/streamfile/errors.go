package streamfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is one thing wrong with a stream's files. Its text is
//
//	FILE:LINE: Option=: what is wrong; remedy
//
// and safe to show: see Loader.Redact.
type Error struct {
	Stream string // "" for a directory
	File   string // "" for a definition that came from no file
	Line   int    // 0: the file as a whole
	Option string // without "="; "": none in particular
	Msg    string
	Hint   string // the remedy; may be ""
	Err    error  // the cause, for errors.Is and errors.As; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.File != "":
		b.WriteString(printable(e.File))
		if e.Line > 0 {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(e.Line))
		}
		b.WriteString(": ")
	case e.Stream != "":
		b.WriteString(printable(e.Stream))
		b.WriteString(": ")
	}
	if e.Option != "" {
		b.WriteString(e.Option)
		b.WriteString("=: ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// join makes one error of several; nil of none. errors.As finds each.
func join(errs []*Error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	all := make([]error, len(errs))
	for i, e := range errs {
		all[i] = e
	}
	return errors.Join(all...)
}

// NoProgramError says that a program to be run is not there or cannot be
// executed. It is the cause (errors.As) of an Error.
type NoProgramError struct {
	Program string // as written
	Path    string // the PATH searched; "": none was
	Err     error
}

func (e *NoProgramError) Error() string { return e.problem().text(unredacted) }

func (e *NoProgramError) problem() *problem {
	if e.Path == "" {
		return &problem{format: "cannot run %s: %v", args: []any{quoted(e.Program), e.Err}, err: e}
	}
	return &problem{
		format: "there is no program %s in PATH (%s)", args: []any{quoted(e.Program), e.Path},
		hint: "install it, or write its absolute path", err: e,
	}
}

func (e *NoProgramError) Unwrap() error { return e.Err }

// position is a place in a file.
type position struct {
	file string
	line int
}

func (p position) String() string { return printable(p.file) + ":" + strconv.Itoa(p.line) }

// problem is what a parser of values finds: where in the value, and what. Its
// text is made late, by text, when it is known how to redact.
type problem struct {
	at     int // byte offset in the value
	format string
	args   []any // a quoted is redacted and then quoted
	hint   string
	err    error
}

// quoted is part of a file to be quoted in an error text.
type quoted string

func wrong(hint, format string, args ...any) *problem {
	return &problem{format: format, args: args, hint: hint}
}

// in moves a problem found in a part of a value that begins at offset.
func (p *problem) in(offset int) *problem {
	p.at += offset
	return p
}

func (p *problem) text(redact func(string) string) string {
	args := make([]any, len(p.args))
	for i, a := range p.args {
		if q, ok := a.(quoted); ok {
			a = show(redact(string(q)))
		}
		args[i] = a
	}
	return redact(fmt.Sprintf(p.format, args...))
}

// maxShown bounds what an error quotes of a file, in bytes.
const maxShown = 80

// show quotes a value for an error text. Redact before: half a secret is not
// recognised any more.
func show(s string) string {
	if len(s) > maxShown {
		cut := maxShown
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + "..."
	}
	return strconv.Quote(s)
}

// printable is s itself unless it could forge or garble a line.
func printable(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
