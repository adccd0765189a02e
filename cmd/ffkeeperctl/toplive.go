package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// topLive draws the table on a terminal until q, Ctrl-C or the last of the
// iterations. The terminal is left as it was found, also over Ctrl-Z.
func (a *app) topLive(ctx context.Context, out *os.File, feed *topFeed, model *topModel, f topFlags) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tty := openKeys()
	if tty != nil {
		defer tty.Close()
	}
	screen := &screen{out: out, tty: tty, p: a.printer()}
	if err := screen.enter(); err != nil {
		return fail(err)
	}
	defer screen.leave()

	var helpers sync.WaitGroup
	defer func() { // before the terminal is restored and the feed closed
		cancel()
		if tty != nil {
			_ = tty.SetReadDeadline(time.Now())
		}
		helpers.Wait()
	}()
	keys := make(chan key)
	helpers.Go(func() { readKeys(ctx, tty, keys) })

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT)
	defer signal.Stop(signals)
	model.update(feed.streams)
	reports := make(chan *topFeed)
	helpers.Go(func() { feedTop(ctx, feed, f.delay.d, reports) })

	note, drawn := "", 1
	for {
		screen.draw(model, a.now(), note)
		if drawn == f.iterations {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case k := <-keys:
			if !model.press(k) {
				return nil
			}
		case r := <-reports:
			model.update(r.streams)
			note = r.note
			drawn++
		case s := <-signals:
			switch s {
			case syscall.SIGTSTP:
				screen.leave()
				// the handler of SIGTSTP is ours: SIGSTOP does what it would have done
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			case syscall.SIGCONT:
				if err := screen.enter(); err != nil {
					return fail(err)
				}
			}
		}
	}
}

// feedTop looks at the keeper again and again, beside the drawing: keys work
// while the keeper does not answer.
func feedTop(ctx context.Context, feed *topFeed, delay time.Duration, out chan<- *topFeed) {
	tick := time.NewTicker(delay)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = feed.look(ctx)
		select {
		case out <- &topFeed{streams: feed.streams, note: feed.note}:
		case <-ctx.Done():
			return
		}
	}
}

// screen is the terminal while the table is on it.
type screen struct {
	out     *os.File
	tty     *os.File // where keys come from; nil: nowhere
	p       printer
	entered bool
	restore func()
}

func (s *screen) enter() error {
	if s.entered {
		return nil
	}
	s.restore = func() {}
	if s.tty != nil {
		restore, err := keyMode(s.tty)
		if err != nil {
			return err
		}
		s.restore = restore
	}
	s.entered = true
	// alternate screen, no cursor
	_, err := io.WriteString(s.out, "\x1b[?1049h\x1b[?25l")
	return err
}

func (s *screen) leave() {
	if !s.entered {
		return
	}
	s.entered = false
	_, _ = io.WriteString(s.out, "\x1b[?25h\x1b[?1049l")
	s.restore()
}

// draw overwrites the screen in one write, so that it does not flicker.
func (s *screen) draw(m *topModel, now time.Time, note string) {
	if !s.entered {
		return
	}
	width, height := terminalSize(s.out)
	s.p.width = width
	m.resize(height)
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, l := range m.lines(now, note, s.p.glyphs) {
		if height > 0 && i >= height {
			break
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		s.p.format(&b, l)
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	_, _ = io.WriteString(s.out, b.String())
}
