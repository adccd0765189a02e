package main

import (
	"strings"
)

// kind of a block of Markdown.
type kind int

const (
	heading   kind = iota // text; level 2 and deeper
	paragraph             // text
	code                  // lines, as they are
	item                  // text: of a list
	table                 // rows, the first with the names of the columns
)

// block is a part of a page.
type block struct {
	kind  kind
	level int
	text  string
	lines []string
	rows  [][]string
}

// parse reads the Markdown that our documentation is written in: headings,
// paragraphs, lists of one level, tables, code fenced or indented by four
// blanks. Comments and first-level headings are left out.
func parse(text string) []block {
	var blocks []block
	// open: the last block goes on in the next line.
	open := false
	last := func(k kind) *block {
		if n := len(blocks); open && n > 0 && blocks[n-1].kind == k {
			return &blocks[n-1]
		}
		return nil
	}
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		switch {
		case strings.HasPrefix(line, "```"):
			if fenced = !fenced; fenced {
				blocks = append(blocks, block{kind: code})
			}
			open = false
		case fenced:
			b := &blocks[len(blocks)-1]
			b.lines = append(b.lines, line)
		case line == "":
			open = false
		case strings.HasPrefix(line, "<!--"):
			open = false
		case strings.HasPrefix(line, "#"):
			words := strings.TrimLeft(line, "#")
			if level := len(line) - len(words); level > 1 {
				blocks = append(blocks, block{kind: heading, level: level, text: strings.TrimSpace(words)})
			}
			open = false
		case strings.HasPrefix(line, "|"):
			b := last(table)
			if b == nil {
				blocks = append(blocks, block{kind: table})
				b, open = &blocks[len(blocks)-1], true
			}
			if !strings.HasPrefix(line, "|---") {
				b.rows = append(b.rows, cells(line))
			}
		case strings.HasPrefix(line, "- "):
			blocks = append(blocks, block{kind: item, text: line[2:]})
			open = true
		case last(item) != nil && strings.HasPrefix(line, "  "):
			last(item).text += "\n" + strings.TrimSpace(line)
		case strings.HasPrefix(line, "    ") && last(paragraph) == nil:
			b := last(code)
			if b == nil {
				blocks = append(blocks, block{kind: code})
				b, open = &blocks[len(blocks)-1], true
			}
			b.lines = append(b.lines, line[4:])
		default:
			if b := last(paragraph); b != nil {
				b.text += "\n" + line
				continue
			}
			blocks = append(blocks, block{kind: paragraph, text: line})
			open = true
		}
	}
	return blocks
}

// cells are those of a row of a table; \| is no border.
func cells(line string) []string {
	line = strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00")
	var out []string
	for cell := range strings.SplitSeq(line, "|") {
		out = append(out, strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|")))
	}
	return out
}
