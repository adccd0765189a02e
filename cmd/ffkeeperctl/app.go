package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// app is one run of the program: where it reads and writes, and the global
// flags.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time

	bus      string
	host     string   // of the flag
	hosts    []string // that it names; none: this one
	stateDir string
	json     bool
	color    string
	quiet    bool
	full     bool
	noAsk    bool

	asks bool // a password may be asked for on this terminal just now
}

func newApp(in io.Reader, out, err io.Writer) *app {
	return &app{in: in, out: out, err: err, now: time.Now}
}

func (a *app) execute(args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := cmd.Annotations[goesOn]; ok {
		return nil
	}
	return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
}

// goesOn is the annotation of commands that go on until Ctrl-C, for which it
// is no failure but the way to leave.
const goesOn = "goes-on"

func endless() map[string]string { return map[string]string{goesOn: ""} }

// finish reports an error in one line and answers the exit code.
func (a *app) finish(err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{code: exitUsage, err: err}
	}
	if errors.Is(err, syscall.EPIPE) {
		return exitFailure // the reader of our output has left; nobody wants to hear of it
	}
	if e.err != nil {
		a.complain(e.err)
		if e.code == exitUsage {
			a.warn("Try 'ffkeeperctl help' for the commands and their flags.")
		}
	}
	return e.code
}

// complain writes an error as one line on stderr.
func (a *app) complain(err error) { a.warn("ffkeeperctl: " + err.Error()) }

// warn writes one line on stderr.
func (a *app) warn(s string) {
	p := a.printerFor(a.err)
	p.width = 0
	_ = p.print(text(s))
}

// note is a warn that --quiet silences.
func (a *app) note(s string) {
	if !a.quiet {
		a.warn(s)
	}
}

func (a *app) printer() printer { return a.printerFor(a.out) }

func (a *app) printerFor(w io.Writer) printer {
	p := printer{w: w, glyphs: localeGlyphs()}
	f, terminal := terminalOf(w)
	switch a.color {
	case "always":
		p.color = true
	case "auto":
		p.color = terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	if terminal && !a.full {
		p.width = columns(f)
	}
	return p
}

// print writes lines to stdout in one piece.
func (a *app) print(lines ...line) error {
	w := bufio.NewWriter(a.out)
	p := a.printer()
	p.w = w
	if err := p.print(lines...); err != nil {
		return fail(err)
	}
	if err := w.Flush(); err != nil {
		return fail(err)
	}
	return nil
}

// columns is the width of a terminal; like systemd's tools we believe
// $COLUMNS first.
func columns(f *os.File) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	w, _ := terminalSize(f)
	return w
}

// localeGlyphs answers ASCII only where the locale says so: no locale at all
// is taken for UTF-8, as systemd's tools do.
func localeGlyphs() glyphs {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToUpper(v)
			if strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8") {
				return utf8Glyphs
			}
			return asciiGlyphs
		}
	}
	return utf8Glyphs
}
