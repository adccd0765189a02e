package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// progress tells a person at a terminal what a call that takes longer than a
// second waits for, in one line on stderr that is wiped at the end:
// "stopping cam1 (12s, output still grows)…".
type progress struct {
	w     io.Writer
	p     printer
	doing string // "stopping"
	look  func(context.Context, string) (*view, error)
	// quietly: nothing is shown of a stream before it has begun to change, for
	// until then a password may be asked for on the same terminal.
	quietly bool

	mu      sync.Mutex
	pending []string
	shown   bool

	stop func()
	done chan struct{}
}

// startProgress begins to watch the named streams. Where stderr is no
// terminal, or --quiet is given, it does nothing.
func (a *app) startProgress(ctx context.Context, doing string, names []string, look func(context.Context, string) (*view, error)) *progress {
	f, terminal := terminalOf(a.err)
	p := &progress{w: a.err, p: a.printerFor(a.err), doing: doing, look: look, quietly: a.asks, pending: slices.Clone(names)}
	if !terminal || a.quiet || len(names) == 0 {
		return p
	}
	p.p.width = max(columns(f)-1, 0) // the last column would wrap
	ctx, p.stop = context.WithCancel(ctx)
	p.done = make(chan struct{})
	go p.run(ctx)
	return p
}

func (p *progress) run(ctx context.Context) {
	defer close(p.done)
	begun := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var first, last *view
	if p.quietly {
		first = p.ask(ctx, p.pending[0])
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		names := slices.Clone(p.pending)
		p.mu.Unlock()
		if len(names) == 0 {
			continue
		}
		now := p.ask(ctx, names[0])
		if p.quietly && first != nil && now != nil && first.Name == now.Name && first.State == now.State && first.PID == now.PID {
			continue
		}
		if last != nil && now != nil && last.Name != now.Name {
			last = nil
		}
		p.show(progressLine(p.doing, names, time.Since(begun), last, now, p.p.glyphs))
		last = now
	}
}

// ask looks at a stream; nil: no answer.
func (p *progress) ask(ctx context.Context, name string) *view {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	v, err := p.look(ctx, name)
	if err != nil {
		return nil
	}
	return v
}

func (p *progress) show(l line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	b.WriteString("\r")
	p.p.format(&b, l)
	b.WriteString("\x1b[K")
	_, _ = io.WriteString(p.w, b.String())
	p.shown = true
}

// finished takes a stream off the list.
func (p *progress) finished(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = slices.DeleteFunc(p.pending, func(n string) bool { return n == name })
}

// close wipes the line; after it nothing more is written.
func (p *progress) close() {
	if p.stop == nil {
		return
	}
	p.stop()
	<-p.done
	if p.shown {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}

// progressLine says what is waited for; for a single stream also what it does.
func progressLine(doing string, names []string, elapsed time.Duration, last, now *view, g glyphs) line {
	s := doing + " " + strings.Join(names[:min(len(names), 3)], ", ")
	if len(names) > 3 {
		s += fmt.Sprintf(" and %d more", len(names)-3)
	}
	s += " (" + span(elapsed)
	if len(names) == 1 && now != nil {
		switch {
		case grows(last, now):
			s += ", output still grows"
		case now.State != doing:
			s += ", " + now.State
			if now.Reason != "" && now.Reason != "requested" {
				s += ": " + now.Reason
			}
		}
	}
	return text(s + ")" + g.ellipsis)
}

// grows reports whether the stream wrote something between two looks.
func grows(last, now *view) bool {
	if last == nil {
		return false
	}
	more := func(a, b *uint64) bool { return a != nil && b != nil && *b > *a }
	return more(last.TotalBytes, now.TotalBytes) || more(last.WriteBytes, now.WriteBytes) || more(last.Frame, now.Frame)
}
