package streamfile

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// variable is one NAME=value of an environment file.
type variable struct {
	name, value string
	line        int
}

// parseEnvFile reads an environment file as systemd does (parse_env_file,
// env-file.c): values may be quoted in parts, a backslash keeps the next
// character and swallows the end of a line, lines without = and names that are
// none are passed over (with a warning). As in systemd since 254 a comment
// ends with its line, whatever it ends in. A quote that is never closed, which
// systemd takes for the rest of the file, is an error.
func parseEnvFile(data []byte) (vars []variable, warnings []lineProblem, failed *lineProblem) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, nil, &lineProblem{1 + bytes.Count(data[:i], []byte("\n")), wrong("", "there is a NUL byte: this is no text file")}
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	p := envParser{text: text, line: 1}
	for p.skip(blanks); p.at < len(p.text); p.skip(blanks) {
		if strings.IndexByte("#;", p.text[p.at]) >= 0 {
			p.skipLine()
			continue
		}
		line := p.line
		end := strings.IndexAny(p.text[p.at:], "=\r\n")
		if end < 0 || p.text[p.at+end] != '=' {
			warnings = append(warnings, lineProblem{line, wrong("write NAME=value", "there is no = in the line, which is passed over")})
			p.skipLine()
			continue
		}
		name := strings.TrimRight(p.text[p.at:p.at+end], blanks)
		p.at += end + 1
		value, err := p.value()
		switch {
		case err != nil:
			return nil, warnings, err
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return nil, warnings, &lineProblem{line, wrong("save it as UTF-8", "the line is not valid UTF-8")}
		case !validVariable(name):
			hint := ""
			if strings.HasPrefix(name, "export ") {
				hint = "remove export: this is no shell script"
			}
			warnings = append(warnings, lineProblem{line, wrong(hint, "what stands before = is no name of a variable; the line is passed over")})
		case !validEnvValue(value):
			warnings = append(warnings, lineProblem{line, wrong("", "the value of %s has control characters; the line is passed over", name)})
		default:
			vars = append(vars, variable{name, value, line})
		}
	}
	return vars, warnings, nil
}

type envParser struct {
	text string
	at   int
	line int // of text[at]
}

// next takes a byte and counts lines; false at the end.
func (p *envParser) next() (byte, bool) {
	if p.at >= len(p.text) {
		return 0, false
	}
	c := p.text[p.at]
	p.at++
	if c == '\n' {
		p.line++
	}
	return c, true
}

func (p *envParser) skip(set string) {
	for p.at < len(p.text) && strings.IndexByte(set, p.text[p.at]) >= 0 {
		p.next()
	}
}

func (p *envParser) skipLine() {
	for c, ok := p.next(); ok && c != '\n' && c != '\r'; c, ok = p.next() {
	}
}

// value reads what follows "=". As long as only quoted parts and blanks have
// come, quotes open and blanks are dropped; after the first bare character all
// but backslashes is taken as it is, and blanks at the end are dropped.
func (p *envParser) value() (string, *lineProblem) {
	var out []byte
	bare, keep := false, 0 // keep: what of out does not count as blanks at the end
	for {
		c, ok := p.next()
		switch {
		case !ok || c == '\n' || c == '\r':
			if bare {
				out = out[:max(keep, len(bytes.TrimRight(out, blanks)))]
			}
			return string(out), nil
		case c == '\\':
			bare = true
			if c, ok = p.next(); ok && c != '\n' && c != '\r' {
				out = append(out, c)
			}
			keep = len(out)
		case !bare && (c == '"' || c == '\''):
			begun := p.line
			if out, ok = p.quoted(out, c); !ok {
				return "", &lineProblem{begun, wrong("close it", "the quote %c opened here is never closed", c)}
			}
			keep = len(out)
		case !bare && strings.IndexByte(blanks, c) >= 0:
		default:
			bare = true
			out = append(out, c)
		}
	}
}

// quoted reads up to the closing quote. In double quotes a backslash escapes
// what it does in a shell, and is kept before anything else.
func (p *envParser) quoted(out []byte, quote byte) ([]byte, bool) {
	for {
		c, ok := p.next()
		switch {
		case !ok:
			return out, false
		case c == quote:
			return out, true
		case c == '\\' && quote == '"':
			c, ok = p.next()
			switch {
			case !ok:
				return out, false
			case strings.IndexByte("\"\\`$", c) >= 0:
				out = append(out, c)
			case c != '\n':
				out = append(out, '\\', c)
			}
		default:
			out = append(out, c)
		}
	}
}
