package streamfile

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"
)

// blanks are systemd's WHITESPACE.
const blanks = " \t\n\r"

// assignment is one "Key=value" of a file, or a "[Section]" header, as
// written, continuation lines joined.
type assignment struct {
	header bool
	key    string // or the section
	value  string // blanks around it removed; backslashes and quotes as written
	line   int    // where it begins
	bad    bool   // malformed, which has been reported already
	// parts tells on which line each part of the value stands.
	parts []part
}

// part says that the value from byte at on stands on line.
type part struct{ at, line int }

// lineAt is the line on which byte offset of the value stands.
func (a *assignment) lineAt(offset int) int {
	i := sort.Search(len(a.parts), func(i int) bool { return a.parts[i].at > offset })
	if i == 0 {
		return a.line
	}
	return a.parts[i-1].line
}

// lineProblem is a problem of a line that is no assignment.
type lineProblem struct {
	line int
	*problem
}

// parseSyntax reads the text of a unit file as systemd does (conf-parser.c of
// 252): a comment line may stand between continued lines; a backslash at the
// end of a line joins the next one with a blank between; lines end with \n,
// \r\n or \r; a UTF-8 byte order mark is passed over. Lines may be of any
// length.
func parseSyntax(data []byte) ([]assignment, []lineProblem) {
	p := syntax{}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		p.fail(1, wrong("save it as UTF-8", "the file is UTF-16"))
		return nil, p.problems
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		p.fail(1+bytes.Count(data[:i], []byte("\n")), wrong("", "there is a NUL byte: this is no text file"))
		return nil, p.problems
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	for number := 1; text != "" && len(p.problems) <= maxErrors; number++ {
		end := strings.IndexAny(text, "\r\n")
		line := text
		if end < 0 {
			text = ""
		} else {
			line = text[:end]
			if strings.HasPrefix(text[end:], "\r\n") {
				end++
			}
			text = text[end+1:]
		}
		p.line(number, line)
	}
	p.end() // systemd, too, takes a file that ends in a continuation
	return p.assignments, p.problems
}

type syntax struct {
	assignments []assignment
	problems    []lineProblem

	// The logical line being put together; begun is its first line, 0: none.
	begun int
	text  strings.Builder
	parts []part
	bad   bool
}

func (p *syntax) fail(line int, e *problem) {
	p.problems = append(p.problems, lineProblem{line, e})
}

func (p *syntax) line(number int, line string) {
	if first := strings.TrimLeft(line, blanks); first != "" && (first[0] == '#' || first[0] == ';') {
		return
	}
	if p.begun == 0 {
		p.begun = number
	}
	if !utf8.ValidString(line) {
		p.fail(number, wrong(`save it as UTF-8, or write the bytes as \xHH`, "the line is not valid UTF-8"))
		p.bad = true
	}
	p.parts = append(p.parts, part{p.text.Len(), number})
	trailing := len(line) - len(strings.TrimRight(line, `\`))
	if trailing%2 == 1 {
		p.text.WriteString(line[:len(line)-1])
		p.text.WriteByte(' ')
		return
	}
	p.text.WriteString(line)
	p.end()
}

// end closes the logical line.
func (p *syntax) end() {
	if p.begun == 0 {
		return
	}
	text, line, parts, bad := p.text.String(), p.begun, p.parts, p.bad
	p.text.Reset()
	p.begun, p.parts, p.bad = 0, nil, false

	start := len(text) - len(strings.TrimLeft(text, blanks))
	text = strings.TrimRight(text, blanks)
	if len(text) <= start {
		return
	}
	// A logical line may begin with an empty continued one.
	first := assignment{line: line, parts: parts}
	line = first.lineAt(start)
	if text[start] == '[' {
		if text[len(text)-1] != ']' {
			p.fail(line, wrong("write [Stream]", "a section header does not end with ]"))
			p.assignments = append(p.assignments, assignment{header: true, key: section, line: line, bad: true})
			return
		}
		p.assignments = append(p.assignments, assignment{header: true, key: text[start+1 : len(text)-1], line: line})
		return
	}
	equals := strings.IndexByte(text, '=')
	if equals < 0 {
		p.fail(line, wrong(`write Option=value; if the line belongs to the one above, that one has to end with \`,
			"there is no = in the line"))
		return
	}
	begin := equals + 1
	begin += len(text[begin:]) - len(strings.TrimLeft(text[begin:], blanks))
	a := assignment{
		key:   strings.TrimRight(text[start:equals], blanks),
		value: text[begin:],
		line:  line,
		bad:   bad,
		parts: parts[:0],
	}
	for _, p := range parts {
		a.parts = append(a.parts, part{max(p.at-begin, 0), p.line})
	}
	p.assignments = append(p.assignments, a)
}
