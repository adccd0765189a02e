package main

import (
	"io"
	"strings"
)

// style is the SGR parameter of a piece of text; "" is plain.
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "1;31"
	green  style = "1;32"
	yellow style = "1;33"
	blue   style = "34"
	under  style = "4"
	invert style = "7"
)

// piece is text in one style.
type piece struct {
	style style
	text  string
}

// line is one line of output. All rendering is done into lines; only a printer
// knows of widths, colours and escapes.
type line []piece

func text(s string) line             { return line{{plain, s}} }
func styled(st style, s string) line { return line{{st, s}} }

func (l line) width() int {
	n := 0
	for _, p := range l {
		n += textWidth(clean(p.text))
	}
	return n
}

// glyphs are the few characters beyond ASCII that we print ourselves.
type glyphs struct {
	running, stopped, failed, waiting, ellipsis, arrow string
}

var (
	utf8Glyphs  = glyphs{running: "●", stopped: "○", failed: "×", waiting: "↻", ellipsis: "…", arrow: "→"}
	asciiGlyphs = glyphs{running: "*", stopped: "o", failed: "x", waiting: "@", ellipsis: "...", arrow: "->"}
)

// printer writes lines. Whatever a line holds, only SGR sequences of our own
// reach w, and only with color.
type printer struct {
	w      io.Writer
	color  bool
	width  int // 0: lines are never cut
	glyphs glyphs
}

func (p printer) print(lines ...line) error {
	var b strings.Builder
	for _, l := range lines {
		p.format(&b, l)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

// format appends l to b, cut to the width.
func (p printer) format(b *strings.Builder, l line) {
	room := p.width
	cutting := p.width > 0 && l.width() > p.width
	if cutting {
		room -= textWidth(p.glyphs.ellipsis)
	}
	for _, piece := range l {
		s := clean(piece.text)
		if s == "" {
			continue
		}
		last := false
		if cutting {
			w := textWidth(s)
			if w > room {
				s, last = cut(s, max(room, 0), "")+p.glyphs.ellipsis, true
			}
			room -= w
		}
		if p.color && piece.style != plain {
			b.WriteString("\x1b[" + string(piece.style) + "m" + s + "\x1b[0m")
		} else {
			b.WriteString(s)
		}
		if last {
			return
		}
	}
}
