package importer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// program is one process of a [program:x].
type program struct {
	*supervisord
	sec   *section
	names map[string]any
	draft draft
	bad   bool
}

// translate makes the stream of the process.
func (p *program) translate(process string) {
	name := streamName(process)
	p.draft = draft{name: name, origin: fmt.Sprintf("[%s] in %s", p.sec.name, p.sec.file)}
	if err := streamfile.CheckName(name); err != nil || strings.HasSuffix(name, "@") {
		p.fail(p.sec.file, p.sec.line, "["+printable(p.sec.name)+"]", "its name cannot be that of a stream; rename it")
		return
	}
	if name != process {
		p.remark(p.sec.file, p.sec.line, "["+printable(p.sec.name)+"]", "the stream is called %s, for names have letters, digits and - _ . @", name)
	}
	p.environment()
	p.command()
	// All keys there are, those of [DEFAULT] as well, in the order written.
	keys := slices.Clone(p.sec.keys)
	if d := p.config.defaults; d != nil {
		for _, k := range d.keys {
			if p.sec.get(k.key) == nil {
				keys = append(keys, k)
			}
		}
	}
	slices.SortStableFunc(keys, func(a, b *setting) int { return orderOf(a.key) - orderOf(b.key) })
	for _, k := range keys {
		p.setting(k)
	}
	if p.config.find(p.sec, "autorestart") == nil {
		p.draft.set("Restart", "on-failure")
	}
	if p.bad {
		return
	}
	private := p.draft.private()
	if private {
		at := p.config.find(p.sec, "command")
		p.remark(at.file, at.line, "command=", "%s", secretRemark)
	}
	p.Streams = append(p.Streams, Stream{Name: name, Text: p.draft.text(), Private: private, File: p.sec.file, Line: p.sec.line})
}

// programOrder is the order in which a person would write the options.
var programOrder = []string{"directory", "umask", "autostart", "autorestart", "startretries", "startsecs", "stopwaitsecs"}

func orderOf(key string) int {
	if i := slices.Index(programOrder, key); i >= 0 {
		return i
	}
	return len(programOrder)
}

func (p *program) wrong(at *setting, format string, args ...any) {
	p.fail(at.file, at.line, at.key+"=", format, args...)
	p.bad = true
}

func (p *program) note(at *setting, format string, args ...any) {
	p.remark(at.file, at.line, at.key+"=", format, args...)
}

// expanded is the value of a setting; false: it has been complained of.
func (p *program) expanded(at *setting) (string, bool) {
	text, err := p.expand(at.file, at.value, p.names)
	if err != nil {
		p.failExpansion(at, err)
		p.bad = true
	}
	return text, err == nil
}

// environment sets the variables, and has them count as ENV_ from now on.
func (p *program) environment() {
	variables := map[string]string{}
	where := map[string]*setting{}
	for _, o := range p.common {
		variables[o.key], where[o.key] = o.value, p.commonAt
	}
	if at := p.config.find(p.sec, "environment"); at != nil {
		own, err := p.pairs(at, p.names)
		if err != nil {
			p.bad = true
			return
		}
		// A map of its own: the next process begins anew.
		p.supervisord = &supervisord{Importer: p.Importer, Result: p.Result, file: p.file,
			config: p.config, env: maps.Clone(p.supervisord.env), common: p.common, commonAt: p.commonAt}
		for _, o := range own {
			variables[o.key], where[o.key] = o.value, at
			p.supervisord.env[o.key] = o.value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if err := p.draft.setEnvironment(name, variables[name]); err != nil {
			p.wrong(where[name], "%v", err)
		}
	}
}

func (p *program) command() {
	at := p.config.find(p.sec, "command")
	if at == nil {
		p.fail(p.sec.file, p.sec.line, "["+printable(p.sec.name)+"]", "it has no command=")
		p.bad = true
		return
	}
	text, ok := p.expanded(at)
	if !ok {
		return
	}
	argv, err := shlexSplit(text)
	switch {
	case err != nil:
		p.wrong(at, "%v", err)
		return
	case len(argv) == 0 || argv[0] == "":
		p.wrong(at, "it is empty")
		return
	case slices.ContainsFunc(argv, func(a string) bool { return strings.IndexByte(a, 0) >= 0 }):
		p.wrong(at, "it has a NUL byte")
		return
	case !filepath.IsAbs(argv[0]) && strings.Contains(argv[0], "/"):
		p.wrong(at, "its program is a relative path, which depends on where supervisord was started; write an absolute one")
		return
	case strings.Contains(argv[0], "$"), strings.HasPrefix(argv[0], ":"), strings.HasPrefix(argv[0], "-"), strings.ContainsAny(argv[0][:1], "@+!|"):
		p.wrong(at, "its program has a name that a stream file cannot have")
		return
	}
	for i := range argv {
		argv[i] = escapeDollars(argv[i])
	}
	p.draft.setCommand("", argv)
	if remark := p.draft.setType(p.FFmpeg); remark != "" {
		p.note(at, "%s", remark)
	}
}

// untranslated are the settings that have no counterpart, and why.
var untranslated = map[string]string{
	"user":                    "all streams run as the user ffkeeper-streams, who must be able to read their input and to write their output",
	"priority":                "streams wait for each other by After= and Requires=, not by numbers",
	"serverurl":               "the stream finds the keeper on D-Bus",
	"stdout_logfile_maxbytes": journalRotates, "stderr_logfile_maxbytes": journalRotates,
	"stdout_logfile_backups": journalRotates, "stderr_logfile_backups": journalRotates,
	"stdout_capture_maxbytes": noCapture, "stderr_capture_maxbytes": noCapture,
	"stdout_events_enabled": noCapture, "stderr_events_enabled": noCapture,
}

const (
	journalRotates = "lines go to the journal, which journald.conf bounds"
	noCapture      = "there are no events of output; lines are in the journal, and ffkeeperctl logs -f follows them"
)

// understood are those that need nothing said: they stand elsewhere, or
// ffkeeper does so anyway.
var understood = []string{"command", "environment", "process_name", "numprocs", "numprocs_start",
	"stopasgroup", "killasgroup", "redirect_stderr", "stdout_syslog", "stderr_syslog"}

func (p *program) setting(at *setting) {
	if slices.Contains(understood, at.key) {
		return
	}
	if why, ok := untranslated[at.key]; ok {
		p.note(at, "%s", why)
		return
	}
	value, ok := p.expanded(at)
	if !ok {
		return
	}
	value = strings.TrimSpace(value)
	d := &p.draft
	switch at.key {
	case "autostart":
		if yes, ok := p.boolean(at, value); ok && !yes {
			d.set("Autostart", "no")
		}
	case "autorestart":
		if strings.EqualFold(value, "unexpected") {
			d.set("Restart", "on-failure")
		} else if yes, ok := p.boolean(at, value); ok && !yes {
			d.set("Restart", "no")
		}
	case "exitcodes":
		if value != "0" {
			p.note(at, "with Restart=on-failure only an exit with 0 is expected")
		}
	case "startsecs":
		if n, ok := p.count(at, value); ok {
			d.set("RestartResetSec", fmt.Sprintf("%ds", n))
		}
	case "startretries":
		if n, ok := p.count(at, value); ok {
			d.set("RestartMaxAttempts", strconv.Itoa(n))
			p.note(at, "RestartMaxAttempts= also counts runs that lasted for startsecs= and delivered nothing; without it the stream is tried for ever")
		}
	case "stopwaitsecs":
		if n, ok := p.count(at, value); ok {
			d.set("TimeoutStopSec", fmt.Sprintf("%ds", max(n, 1)))
		}
	case "stopsignal":
		if !strings.EqualFold(strings.TrimPrefix(strings.ToUpper(value), "SIG"), "TERM") && value != "15" {
			p.note(at, "a stream is stopped by ffmpeg's q, then SIGTERM; ffmpeg finishes its files with each")
		}
	case "umask":
		if _, err := strconv.ParseUint(value, 8, 9); err != nil {
			p.wrong(at, "it is no octal number up to 777")
			return
		}
		d.set("UMask", value)
	case "directory":
		p.directory(at, value)
	case "stdout_logfile", "stderr_logfile":
		option := map[string]string{"stdout_logfile": "StandardOutput", "stderr_logfile": "StandardError"}[at.key]
		switch strings.ToLower(value) {
		case "none", "off", "/dev/null":
			d.set(option, "null")
		case "auto", "syslog":
		default:
			p.note(at, "lines go to the journal: journalctl -t %s", d.name)
		}
	default:
		p.note(at, "it is no setting of supervisord's")
	}
}

func (p *program) directory(at *setting, value string) {
	switch {
	case value == "~":
		p.note(at, "the home directory is that of the user ffkeeper-streams")
	case !filepath.IsAbs(value):
		p.wrong(at, "it is a relative path, which depends on where supervisord was started; write an absolute one")
		return
	}
	if err := p.draft.setPlain("WorkingDirectory", escapeDollars(value)); err != nil {
		p.wrong(at, "%v", err)
	}
}

func (p *program) boolean(at *setting, value string) (yes, ok bool) {
	switch strings.ToLower(value) {
	case "yes", "true", "on", "1":
		return true, true
	case "no", "false", "off", "0":
		return false, true
	}
	p.wrong(at, "it is neither true nor false")
	return false, false
}

// mostSeconds bounds time spans and counts.
const mostSeconds = 1 << 31

func (p *program) count(at *setting, value string) (int, bool) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n >= mostSeconds {
		p.wrong(at, "it is no whole number that is at least 0")
		return 0, false
	}
	return n, true
}
