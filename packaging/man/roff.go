package main

import (
	"fmt"
	"regexp"
	"strings"
)

// changed is the date in the pages: when what they describe has last changed
// in a way that a reader should know of.
const changed = "2026-11-27"

func header(name, section string) string {
	return fmt.Sprintf(`.\" Made by: go run ./packaging/man
.TH %s %s %s ffkeeper "ffkeeper"
.ad l
.nh
`, strings.ToUpper(name), section, changed)
}

// roff is blocks as man(7) has them.
func roff(blocks []block) string {
	var b strings.Builder
	name := false // the section Name has a form that whatis(1) reads
	for i, block := range blocks {
		afterHeading := i > 0 && blocks[i-1].kind == heading
		switch block.kind {
		case heading:
			name = block.text == "Name"
			switch block.level {
			case 2:
				fmt.Fprintf(&b, ".SH %s\n", literal(title(strings.ReplaceAll(block.text, "`", ""))))
			case 3:
				fmt.Fprintf(&b, ".SS %s\n", inline(block.text))
			default:
				fmt.Fprintf(&b, ".PP\n\\fB%s\\fP\n", inline(block.text))
			}
		case paragraph:
			if name {
				before, after, _ := strings.Cut(block.text, " - ")
				fmt.Fprintf(&b, "%s \\- %s\n", escape(before), escape(after))
				continue
			}
			if !afterHeading {
				b.WriteString(".PP\n")
			}
			b.WriteString(fold(inline(block.text)))
		case item:
			fmt.Fprintf(&b, ".IP \\(bu 2\n%s", fold(inline(block.text)))
		case code:
			if !afterHeading {
				b.WriteString(".PP\n")
			}
			b.WriteString(".RS 4\n.nf\n")
			for _, line := range block.lines {
				b.WriteString(guard(literal(line)) + "\n")
			}
			b.WriteString(".fi\n.RE\n")
		case table:
			entries(&b, block.rows)
		}
	}
	return b.String()
}

// entries writes a table as a list: the first column, and the one named value,
// are the tag; the one named meaning, or without a name, is the text; others
// follow with their names.
func entries(b *strings.Builder, rows [][]string) {
	names := rows[0]
	for _, row := range rows[1:] {
		tag := inline(row[0])
		var text, more []string
		for i, cell := range row[1:] {
			switch column := names[i+1]; {
			case cell == "":
			case column == "value":
				tag += "  " + inline(cell)
			case len(row) == 2 || column == "meaning" || column == "":
				text = append(text, inline(cell))
			default:
				more = append(more, inline(upperFirst(column)+": "+cell))
			}
		}
		fmt.Fprintf(b, ".TP\n%s\n", guard(tag))
		text = append(text, more...)
		if len(text) == 0 {
			text = []string{`\&`}
		}
		for i, line := range text {
			if i > 0 {
				b.WriteString(".br\n")
			}
			b.WriteString(fold(line))
		}
	}
}

var markup = regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\[([^\\]]+)\\]\\(([^)]+)\\)")

// inline is running text with `code`, **bold** and [links](address), of which
// those to other pages of the documentation become their text.
func inline(text string) string {
	var b strings.Builder
	at := 0
	for _, m := range markup.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(escape(text[at:m[0]]))
		switch {
		case m[2] >= 0:
			b.WriteString(`\fB` + literal(text[m[2]:m[3]]) + `\fP`)
		case m[4] >= 0:
			b.WriteString(`\fB` + inlineInBold(text[m[4]:m[5]]) + `\fP`)
		default:
			b.WriteString(escape(text[m[6]:m[7]]))
			if address := text[m[8]:m[9]]; strings.Contains(address, "://") {
				b.WriteString(" <" + literal(address) + ">")
			}
		}
		at = m[1]
	}
	b.WriteString(escape(text[at:]))
	return b.String()
}

// inlineInBold: what is code within bold is bold anyway.
func inlineInBold(text string) string { return escape(strings.ReplaceAll(text, "`", "")) }

// escape keeps groff from seeing anything in text, which may be of any
// language.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// literal is text that people copy: quotes and dashes stay what they are.
func literal(text string) string {
	// \: is where a list of paths may be broken into lines.
	return strings.NewReplacer(":/", `:\:/`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(escape(text))
}

// fold breaks running text, escaped already, into lines.
func fold(text string) string {
	const width = 76
	var b strings.Builder
	line := ""
	flush := func() {
		if line != "" {
			b.WriteString(guard(line) + "\n")
		}
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			flush()
			line = word
			continue
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	flush()
	return b.String()
}

// guard keeps a line that begins with a control character from being one.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

// title is in capitals, as sections of manual pages are, but for names on the
// bus.
func title(s string) string {
	if strings.HasPrefix(s, "org.") {
		return s
	}
	return strings.ToUpper(s)
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' || strings.HasPrefix(s, "org.") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
