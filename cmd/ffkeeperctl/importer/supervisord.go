package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Supervisord makes streams of the [program:x] sections in supervisord's
// configuration files, and in what these include.
func (im *Importer) Supervisord(files []string) *Result {
	r := &Result{}
	for _, file := range files {
		(&supervisord{Importer: im, Result: r, file: file}).run()
	}
	seen := map[string]string{}
	r.Streams = slices.DeleteFunc(r.Streams, func(s Stream) bool {
		at := fmt.Sprintf("%s:%d", s.File, s.Line)
		if before, ok := seen[s.Name]; ok {
			r.fail(s.File, s.Line, "process_name=", "the stream %s is already made of %s; give it another process_name=", s.Name, before)
			return true
		}
		seen[s.Name] = at
		return false
	})
	r.finish()
	return r
}

// supervisord is one main file with what it includes.
type supervisord struct {
	*Importer
	*Result
	file     string // the main one
	config   pyConfig
	env      map[string]string // of %(ENV_NAME)s
	common   []option          // environment= of [supervisord], for every program
	commonAt *setting
}

func (s *supervisord) run() {
	s.env = map[string]string{}
	for _, kv := range s.Environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			s.env[name] = value
		}
	}
	if !s.read(s.file) {
		return
	}
	s.include()
	s.ownEnvironment()
	groups := s.groups()
	for _, sec := range s.config.sections {
		if kind, name, ok := strings.Cut(sec.name, ":"); ok && kind == "program" {
			s.program(sec, strings.TrimSpace(name), groups)
			continue
		}
		s.otherSection(sec)
	}
}

// read adds a file to the configuration.
func (s *supervisord) read(file string) bool {
	data, err := readFile(file)
	if err != nil {
		s.fail(file, 0, "", "cannot read it: %v", err)
		return false
	}
	errs := s.config.read(file, data)
	for _, e := range errs {
		s.fail(file, e.line, "", "%s, so that supervisord would not start with this file", e.text)
	}
	return len(errs) == 0
}

func (s *supervisord) include() {
	i := slices.IndexFunc(s.config.sections, func(sec *section) bool { return sec.name == "include" })
	if i < 0 {
		return
	}
	files := s.config.find(s.config.sections[i], "files")
	if files == nil {
		s.fail(s.file, s.config.sections[i].line, "[include]", "it has no files=")
		return
	}
	list, err := s.expand(files.file, files.value, nil)
	if err != nil {
		s.failExpansion(files, err)
		return
	}
	base := filepath.Dir(s.file)
	for _, pattern := range strings.Fields(list) {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(base, pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			s.remark(files.file, files.line, "files=", "no file matches one of its patterns")
		}
		sort.Strings(found)
		for _, file := range found {
			s.read(file)
		}
	}
}

// ownEnvironment is what [supervisord] gives to all programs.
func (s *supervisord) ownEnvironment() {
	for _, sec := range s.config.sections {
		if sec.name != "supervisord" {
			continue
		}
		at := s.config.find(sec, "environment")
		if at == nil {
			return
		}
		list, err := s.pairs(at, nil)
		if err != nil {
			return
		}
		s.common, s.commonAt = list, at
		for _, o := range list {
			s.env[o.key] = o.value
		}
	}
}

// groups are the names of groups by program.
func (s *supervisord) groups() map[string]string {
	groups := map[string]string{}
	for _, sec := range s.config.sections {
		name, ok := strings.CutPrefix(sec.name, "group:")
		if !ok {
			continue
		}
		if programs := s.config.find(sec, "programs"); programs != nil {
			for _, p := range strings.Split(programs.value, ",") {
				groups[strings.TrimSpace(p)] = strings.TrimSpace(name)
			}
		}
	}
	return groups
}

// otherSections are those that are no programs, by what stands before the
// colon.
var otherSections = map[string]string{
	"supervisord":      "it sets up supervisord itself; what ffkeeperd has to be told is in /etc/default/ffkeeper",
	"supervisorctl":    "ffkeeperctl needs no such settings",
	"unix_http_server": "ffkeeper is controlled over D-Bus, where polkit says who may",
	"inet_http_server": "ffkeeper is controlled over D-Bus, and from elsewhere by ssh: ffkeeperctl -H HOST",
	"rpcinterface":     "ffkeeper has no plug-ins; its interface is D-Bus (org.ffkeeper1)",
	"ctlplugin":        "ffkeeper has no plug-ins; its interface is D-Bus (org.ffkeeper1)",
	"eventlistener":    "a listener has to be written for D-Bus, as the notifier among the examples is, or as OnFailure= and OnRestart= of the streams",
	"fcgi-program":     "it is no stream: a FastCGI program gets a socket, which ffkeeper does not make",
	"group":            "there are no groups; give the streams names that begin alike, for ffkeeperctl takes patterns",
}

func (s *supervisord) otherSection(sec *section) {
	kind, _, _ := strings.Cut(sec.name, ":")
	switch why, ok := otherSections[kind]; {
	case ok:
		s.remark(sec.file, sec.line, "["+printable(sec.name)+"]", "%s", why)
	case kind != "include":
		s.remark(sec.file, sec.line, "["+printable(sec.name)+"]", "supervisord knows no such section either")
	}
}

// expand replaces %(name)s in a text of a file; more are names beside those that
// all files know.
func (s *supervisord) expand(file, text string, more map[string]any) (string, error) {
	return pyFormat(text, func(name string) (any, bool) {
		if v, ok := more[name]; ok {
			return v, true
		}
		if variable, ok := strings.CutPrefix(name, "ENV_"); ok {
			v, ok := s.env[variable]
			return v, ok
		}
		switch name {
		case "here":
			return filepath.Dir(absolute(file)), true
		case "host_node_name":
			return s.Hostname, true
		}
		return nil, false
	})
}

func (s *supervisord) failExpansion(at *setting, err error) {
	remedy := ""
	var unknown *unknownName
	if errors.As(err, &unknown) {
		if variable, ok := strings.CutPrefix(unknown.name, "ENV_"); ok {
			remedy = fmt.Sprintf("; supervisord had the variable %s in its environment: give it to ffkeeperctl import, too", showName(variable))
		}
	}
	s.fail(at.file, at.line, at.key+"=", "%v%s", err, remedy)
}

// pairs is an environment=, expanded; what is wrong has been told.
func (s *supervisord) pairs(at *setting, more map[string]any) ([]option, error) {
	text, err := s.expand(at.file, at.value, more)
	if err != nil {
		s.failExpansion(at, err)
		return nil, err
	}
	list, err := pairs(text)
	if err != nil {
		s.fail(at.file, at.line, at.key+"=", "%v", err)
	}
	return list, err
}

// mostProcesses bounds numprocs=.
const mostProcesses = 1000

// program makes the streams of a section, one for each of its processes.
func (s *supervisord) program(sec *section, name string, groups map[string]string) {
	if name == "" || strings.ContainsAny(name, " :/") {
		s.fail(sec.file, sec.line, "["+printable(sec.name)+"]", "it is no name of a program")
		return
	}
	group := groups[name]
	if group == "" {
		group = name
	}
	names := map[string]any{"program_name": name, "group_name": group}
	number := func(key string, other int) (int, bool) {
		at := s.config.find(sec, key)
		if at == nil {
			return other, true
		}
		n, err := s.number(at, names)
		if err != nil || n < 0 || n > mostProcesses {
			s.fail(at.file, at.line, key+"=", "it is no number from 0 to %d", mostProcesses)
			return 0, false
		}
		return n, true
	}
	processes, ok1 := number("numprocs", 1)
	first, ok2 := number("numprocs_start", 0)
	if !ok1 || !ok2 {
		return
	}
	names["numprocs"] = processes
	at := s.config.find(sec, "process_name")
	if at == nil {
		at = &setting{key: "process_name", value: "%(program_name)s", file: sec.file, line: sec.line}
	}
	if processes > 1 && !strings.Contains(at.value, "%(process_num)") {
		s.fail(sec.file, sec.line, "numprocs=", "supervisord wants %%(process_num) in process_name= with more than one process")
		return
	}
	for n := first; n < first+processes; n++ {
		names["process_num"] = n
		p := &program{supervisord: s, sec: sec, names: names}
		process, err := s.expand(at.file, at.value, names)
		if err != nil {
			s.failExpansion(at, err)
			return
		}
		p.translate(process)
	}
}

func (s *supervisord) number(at *setting, names map[string]any) (int, error) {
	text, err := s.expand(at.file, at.value, names)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(text))
}
