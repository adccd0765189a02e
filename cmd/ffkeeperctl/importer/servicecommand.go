package importer

import (
	"slices"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func (s *service) command() {
	all := s.set.all("Service", "ExecStart")
	if len(all) == 0 {
		s.fail(s.file, 0, "ExecStart=", "it has none")
		s.bad = true
		return
	}
	at := all[0]
	commands, err := streamfile.SplitCommands(at.Value)
	switch {
	case err != nil:
		s.wrong(at, "%v", err)
		return
	case len(all) > 1 || len(commands) != 1:
		s.wrong(at, `a stream has one command; for several write /bin/sh -c "..."`)
		return
	}
	words := commands[0]
	prefix, named := "", false
	for words[0] != "" && strings.IndexByte("-@:+!|", words[0][0]) >= 0 {
		switch words[0][0] {
		case ':':
			prefix = ":"
		case '@':
			named = true
		case '-':
			s.note(at, "the prefix - makes every exit a good one; here Restart= decides, and only an exit with 0 is good")
		default:
			s.note(at, "the prefix %c has no counterpart: all streams run as the user ffkeeper-streams", words[0][0])
		}
		words[0] = words[0][1:]
	}
	if named && len(words) > 1 {
		words = slices.Delete(words, 1, 2)
		s.note(at, "the prefix @ has no counterpart: argv[0] is always the program as written")
	}
	for i, w := range words {
		w, err := s.sp.expand(w, prefix == "", false)
		if err != nil {
			s.wrong(at, "%v", err)
			return
		}
		words[i] = w
	}
	if words[0] == "" || strings.Contains(words[0], "$") {
		s.wrong(at, "its program cannot be a variable; write it out")
		return
	}
	if prefix == "" {
		s.unset(at, words)
	}
	s.draft.setCommand(prefix, words)
	if remark := s.draft.setType(s.FFmpeg); remark != "" {
		s.note(at, "%s", remark)
	}
}

// unset deals with variables of the command that the unit does not set, which
// for systemd are empty and for ffkeeper an error.
func (s *service) unset(at assigned, words []string) {
	set := map[string]bool{}
	for _, kv := range s.draft.env {
		name, _, _ := strings.Cut(kv, "=")
		set[name] = true
	}
	var empty []string
	for _, name := range variablesOf(words) {
		fromInstance := name == "INSTANCE" && s.sp.abstract // which we have put there
		switch {
		case slices.Contains(own, name) && !fromInstance:
			s.wrong(at, "the variable %s has a meaning of its own in stream files; rename it in the unit and its environment files", name)
		case fromInstance, set[name], slices.Contains(provided, name), slices.Contains(empty, name):
		default:
			empty = append(empty, name)
		}
	}
	if s.files {
		return // which have them, or else verify says so
	}
	for _, name := range empty {
		s.check(at, s.draft.setEnvironment(name, ""))
		s.note(at, "no Environment= sets the variable %s, which is empty for systemd; so it is here, by Environment=%[1]s=", name)
	}
}

// variablesOf are the variables that systemd expands in words.
func variablesOf(words []string) []string {
	var names []string
	for _, w := range words[1:] {
		if name, ok := strings.CutPrefix(w, "$"); ok && validVariable(name) {
			names = append(names, name)
			continue
		}
		for rest := w; ; {
			_, after, ok := strings.Cut(rest, "$")
			if !ok {
				break
			}
			switch {
			case strings.HasPrefix(after, "$"):
				after = after[1:]
			case strings.HasPrefix(after, "{"):
				name, _, closed := strings.Cut(after[1:], "}")
				if closed && validVariable(name) {
					names = append(names, name)
				}
			}
			rest = after
		}
	}
	return names
}
