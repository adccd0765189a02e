package importer

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"unicode"
)

// section is a section of supervisord's configuration, all its occurrences
// together.
type section struct {
	name string
	file string // where it occurred first
	line int
	keys []*setting // in the order of their first occurrence
}

// setting is a key with its value, which counts as given where it was last.
type setting struct {
	key   string // lower case
	value string // lines joined by newlines
	file  string
	line  int
}

func (s *section) get(key string) *setting {
	for _, k := range s.keys {
		if k.key == key {
			return k
		}
	}
	return nil
}

// pyConfig reads files as Python's RawConfigParser does with supervisord's
// settings: # and ; begin comments at the beginning of a line or after a blank,
// = and : part key and value, deeper lines continue a value, a section or key
// that occurs again is the same one.
type pyConfig struct {
	sections []*section
	defaults *section
}

var (
	pySection = regexp.MustCompile(`^\[(.+)\]`)
	pyOption  = regexp.MustCompile(`^(.*?)\s*[=:]\s*(.*)$`)
)

// parseError is a line that is none of supervisord's.
type parseError struct {
	line int
	text string
}

// read adds a file.
func (c *pyConfig) read(file string, data []byte) (errs []parseError) {
	var in *section
	var last *setting
	indent := 0
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	var touched []*setting
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		comment := pyComment(line)
		value := line
		if comment >= 0 {
			value = line[:comment]
		}
		value = strings.TrimSpace(value)
		if value == "" {
			if comment < 0 && last != nil {
				last.value += "\n"
			}
			continue
		}
		depth := len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
		if last != nil && depth > indent {
			last.value += "\n" + value
			continue
		}
		indent = depth
		if m := pySection.FindStringSubmatch(value); m != nil {
			in, last = c.section(m[1], file, number), nil
			continue
		}
		m := pyOption.FindStringSubmatch(value)
		switch {
		case in == nil:
			return append(errs, parseError{number, "it stands before any [section]"})
		case m == nil || m[1] == "":
			errs = append(errs, parseError{number, "the line is no key=value"})
			continue
		}
		key := strings.ToLower(strings.TrimSpace(m[1]))
		last = in.get(key)
		if last == nil {
			last = &setting{key: key}
			in.keys = append(in.keys, last)
		}
		last.value, last.file, last.line = strings.TrimSpace(m[2]), file, number
		touched = append(touched, last)
	}
	for _, s := range touched {
		s.value = strings.TrimRightFunc(s.value, unicode.IsSpace)
	}
	return errs
}

func (c *pyConfig) section(name, file string, line int) *section {
	if name == "DEFAULT" {
		if c.defaults == nil {
			c.defaults = &section{name: name, file: file, line: line}
		}
		return c.defaults
	}
	for _, s := range c.sections {
		if s.name == name {
			return s
		}
	}
	s := &section{name: name, file: file, line: line}
	c.sections = append(c.sections, s)
	return s
}

// find is a section's key, or the default for all sections.
func (c *pyConfig) find(s *section, key string) *setting {
	if k := s.get(key); k != nil || c.defaults == nil {
		return k
	}
	return c.defaults.get(key)
}

// pyComment is where the comment of a line begins; -1: there is none. It looks
// at the first ; and the first #, then at the second of each, and so on, and
// takes the first that has a blank before it: not always the leftmost.
func pyComment(line string) int {
	if first := strings.TrimSpace(line); first != "" && (first[0] == '#' || first[0] == ';') {
		return 0
	}
	at := map[byte]int{';': -1, '#': -1}
	for len(at) > 0 {
		begin := math.MaxInt
		for prefix, from := range at {
			i := strings.IndexByte(line[from+1:], prefix)
			if i < 0 {
				delete(at, prefix)
				continue
			}
			i += from + 1
			at[prefix] = i
			if i == 0 || strings.TrimRightFunc(line[:i], unicode.IsSpace) != line[:i] {
				begin = min(begin, i)
			}
		}
		if begin < math.MaxInt {
			return begin
		}
	}
	return -1
}

// pyFormat is Python's "text % values" for values that are strings or ints.
// The error quotes nothing but names.
func pyFormat(text string, values func(name string) (any, bool)) (string, error) {
	var out strings.Builder
	for {
		literal, rest, found := strings.Cut(text, "%")
		out.WriteString(literal)
		if !found {
			return out.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "%"); ok {
			out.WriteByte('%')
			text = after
			continue
		}
		if !strings.HasPrefix(rest, "(") {
			return "", fmt.Errorf("a single %% that begins no %%(name)s; write %%%% for it, as supervisord wants it")
		}
		end := closingParenthesis(rest)
		if end < 0 {
			return "", fmt.Errorf("a %%( that is not closed")
		}
		name, spec := rest[1:end], rest[end+1:]
		n := len(spec) - len(strings.TrimLeft(spec, "#0- +"))
		flags := spec[:n]
		n += len(spec[n:]) - len(strings.TrimLeft(spec[n:], "0123456789"))
		width := spec[len(flags):n]
		if n == len(spec) || len(width) > 3 {
			return "", fmt.Errorf("%%(%s) is not followed by s or d", showName(name))
		}
		value, ok := values(name)
		if !ok {
			return "", &unknownName{name}
		}
		verb := spec[n]
		switch number, isInt := value.(int); {
		case verb == 's' && isInt:
			fmt.Fprintf(&out, "%"+strings.Trim(flags, "#0+ ")+width+"s", fmt.Sprint(number))
		case verb == 's':
			fmt.Fprintf(&out, "%"+strings.Trim(flags, "#0+ ")+width+"s", value)
		case isInt && (verb == 'd' || verb == 'i' || verb == 'u'):
			fmt.Fprintf(&out, "%"+strings.ReplaceAll(flags, "#", "")+width+"d", number)
		case isInt && strings.IndexByte("xXo", verb) >= 0 && !strings.Contains(flags, "#"):
			fmt.Fprintf(&out, "%"+flags+width+string(verb), number)
		default:
			return "", fmt.Errorf("%%(%s) is followed by a format that only supervisord knows", showName(name))
		}
		text = spec[n+1:]
	}
}

// unknownName is a name that cannot be expanded.
type unknownName struct{ name string }

func (e *unknownName) Error() string { return showName(e.name) + " cannot be expanded" }

func closingParenthesis(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
