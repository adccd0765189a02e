package streamfile

import (
	"strings"
)

const commandKind = "command"

// command is an option with one command line. A second one without a reset
// between is an error, for only one could be run.
func command(option string, at func(*Definition) *Command) value {
	return value{
		kind: commandKind,
		set: func(d *Definition, src *source, text string) *problem {
			before := *at(d)
			c, err := parseCommand(src, text)
			if err == nil {
				err = checkCommand(&c)
			}
			if err != nil {
				c.Words = nil
			}
			*at(d) = c
			if before.File != "" {
				return wrong("remove one of them, or put an empty "+option+"= between to forget the first",
					"there is one already, at %v", position{before.File, before.Line})
			}
			return err
		},
		reset: func(d *Definition) { *at(d) = Command{} },
		check: func(d *Definition) *problem {
			if c := at(d); len(c.Words) > 0 {
				return checkCommand(c)
			}
			return nil
		},
	}
}

// prefixes are systemd's special executable prefixes that mean nothing here.
var prefixes = map[byte]string{
	'-': "what an exit code leads to is Restart='s",
	'@': "argv[0] tells whether the program is ffmpeg and is always the program as written",
	'+': "all streams run as their own user",
	'!': "all streams run as their own user",
	'|': `for a shell write /bin/sh -c "..."`,
}

// parseCommand splits a command line. On failure it still says where it stood.
func parseCommand(src *source, text string) (Command, *problem) {
	c := Command{File: src.file, Line: src.line}
	s := splitter{value: text}
	var words []word
	for s.skipBlanks() {
		rest := text[s.at:]
		if len(words) > 0 && standsAlone(rest, ";") {
			return c, wrong(`for the argument ; write \; or ";", for several commands write /bin/sh -c "..."`,
				"a stream has one command, not several separated by ;").in(s.at)
		}
		if len(words) > 0 && standsAlone(rest, `\;`) {
			words = append(words, word{";", s.at})
			s.at += len(`\;`)
			continue
		}
		w, err := s.word()
		if err != nil {
			return c, err
		}
		words = append(words, w)
	}
	for _, w := range s.warnings {
		src.warn(w)
	}
	program := words[0].text
	for program != "" {
		if program[0] == ':' {
			c.Literal = true
		} else if why, ok := prefixes[program[0]]; ok {
			return c, wrong("remove it; "+why, "systemd's prefix %c before the program is of no use here", program[0])
		} else {
			break
		}
		program = program[1:]
	}
	words[0].text = program

	c.Line = src.lineAt(words[0].at)
	several := false
	lines := make([]int, len(words))
	c.Words = make([]string, len(words))
	for i, w := range words {
		c.Words[i] = w.text
		lines[i] = src.lineAt(w.at)
		several = several || lines[i] != c.Line
	}
	if several {
		c.Lines = lines
	}
	return c, nil
}

// standsAlone: s begins with word, and a blank or the end follows.
func standsAlone(s, word string) bool {
	rest, ok := strings.CutPrefix(s, word)
	return ok && (rest == "" || strings.IndexByte(blanks, rest[0]) >= 0)
}

func checkCommand(c *Command) *problem {
	program := c.Words[0]
	switch {
	case program == "":
		return wrong("write an absolute path, or a name found in PATH", "the program is empty")
	case !c.Literal && strings.HasPrefix(program, "$"), !c.Literal && strings.Contains(program, "${"):
		return wrong("write it out, or print the command by CommandBuilder=", "the program cannot be a variable, as in systemd")
	case program[0] != '/' && strings.Contains(program, "/"):
		return wrong("write an absolute path, or a name found in PATH", "the program %s is a relative path", quoted(program))
	}
	for _, w := range c.Words {
		if strings.IndexByte(w, 0) >= 0 {
			return wrong("", "an argument holds a NUL byte")
		}
	}
	return nil
}

// line is the line of word i, for errors.
func (c *Command) line(i int) int {
	if i < len(c.Lines) {
		return c.Lines[i]
	}
	return c.Line
}

// streamHook is what begins a hook that starts another stream.
const streamHook = "stream:"

// maxHooks is how many an option may have.
const maxHooks = 100

func hooks(option string, at func(*Definition) *[]Hook) value {
	return value{
		kind: "command or stream:NAME",
		list: true,
		set: func(d *Definition, src *source, text string) *problem {
			if len(*at(d)) == maxHooks {
				return wrong("", "there are more than %d", maxHooks)
			}
			h, err := parseHook(src, text)
			if err == nil {
				err = checkHook(d, h)
			}
			if err != nil {
				return err
			}
			*at(d) = append(*at(d), h)
			if h.Stream != "" {
				d.where[option+" "+h.Stream] = src.position(0)
			}
			return nil
		},
		reset: func(d *Definition) { *at(d) = nil },
		check: func(d *Definition) *problem {
			return each(*at(d), func(h Hook) *problem { return checkHook(d, h) })
		},
	}
}

func parseHook(src *source, text string) (h Hook, err *problem) {
	if !strings.HasPrefix(text, streamHook) {
		h.Command, err = parseCommand(src, text)
		return h, err
	}
	name, err := src.own(strings.TrimPrefix(text, streamHook))
	if err != nil {
		return h, err.in(len(streamHook))
	}
	h.Stream = strings.TrimSuffix(name, suffix)
	return h, checkName(h.Stream)
}

func checkHook(d *Definition, h Hook) *problem {
	switch {
	case h.Stream == d.Name && d.Name != "":
		return wrong("Restart= restarts it", "the stream names itself")
	case h.Stream != "":
		return checkName(h.Stream)
	case len(h.Command.Words) == 0:
		return wrong("", "a hook has neither a stream nor a command")
	}
	return checkCommand(&h.Command)
}
