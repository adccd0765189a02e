package importer

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// service is one unit being made a stream.
type service struct {
	*unit
	set   *assignments
	sp    specifiers
	draft draft
	bad   bool
	files bool // it reads environment files
}

// stream makes a stream, or a template, of a unit.
func (u *unit) stream(unitName string, set *assignments, sp specifiers) (Stream, bool) {
	// As systemd-escape writes it, a dash is \x2d.
	readable := unitName
	if prefix, instance, ok := strings.Cut(unitName, "@"); ok {
		readable = unescapeKeepingDashes(prefix) + "@" + unescapeKeepingDashes(instance)
	} else {
		readable = unescapeKeepingDashes(readable)
	}
	name := streamName(readable)
	if sp.abstract {
		name = streamName(strings.TrimSuffix(readable, "@")) + "@"
	}
	s := &service{unit: u, set: set, sp: sp, draft: draft{name: name, origin: unitName + serviceSuffix + " in " + filepath.Dir(u.file)}}
	if err := streamfile.CheckName(name); err != nil {
		u.fail(u.file, 0, "", "its name cannot be that of a stream; rename it")
		return Stream{}, false
	}
	if name != unitName {
		u.remark(u.file, 0, "", "the stream of %s is called %s, for names have letters, digits and - _ . @", printable(unitName+serviceSuffix), name)
	}
	s.translate(unitName)
	if s.bad {
		return Stream{}, false
	}
	private := s.draft.private()
	command, _ := set.last("Service", "ExecStart")
	if private {
		s.note(command, "%s", secretRemark)
	}
	return Stream{Name: name, Text: s.draft.text(), Private: private, File: u.file}, true
}

// unescapeKeepingDashes reads \xHH; a dash that would be a slash stays one.
func unescapeKeepingDashes(s string) string {
	parts := strings.Split(s, "-")
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	return strings.Join(parts, "-")
}

func (s *service) wrong(at assigned, format string, args ...any) {
	s.fail(at.file, at.Line, at.Key+"=", format, args...)
	s.bad = true
}

func (s *service) note(at assigned, format string, args ...any) {
	s.remark(at.file, at.Line, at.Key+"=", format, args...)
}

// translate goes through the options in the order of a stream file, then
// through all that are left.
func (s *service) translate(unitName string) {
	s.description()
	s.environment()
	s.command()
	s.plain("Service", "WorkingDirectory")
	s.streams()
	s.restart()
	s.stop()
	for _, key := range copied {
		if at, ok := s.set.last("Service", key); ok {
			if v, ok := s.value(at); ok {
				s.check(at, s.draft.setPlain(key, v))
			}
		}
	}
	s.install(unitName)
	for _, a := range s.set.list {
		s.rest(a)
	}
}

// copied are the options that mean here what they mean there.
var copied = []string{
	"RuntimeMaxSec", "MemoryMax", "MemoryHigh", "CPUQuota", "CPUWeight", "IOWeight", "TasksMax", "Nice", "UMask", "CPUAffinity",
	"LimitCPU", "LimitFSIZE", "LimitDATA", "LimitSTACK", "LimitCORE", "LimitRSS", "LimitNOFILE", "LimitAS", "LimitNPROC", "LimitMEMLOCK",
	"LimitLOCKS", "LimitSIGPENDING", "LimitMSGQUEUE", "LimitNICE", "LimitRTPRIO", "LimitRTTIME",
}

func (s *service) check(at assigned, err error) {
	if err != nil {
		s.wrong(at, "%v", err)
	}
}

// value is a value in which ffkeeper expands nothing.
func (s *service) value(at assigned) (string, bool) {
	v, err := s.sp.expand(at.Value, false, false)
	s.check(at, err)
	return v, err == nil
}

// plain sets an option in which ${INSTANCE} may stand.
func (s *service) plain(section, key string) {
	at, ok := s.set.last(section, key)
	if !ok {
		return
	}
	v, err := s.sp.expand(at.Value, true, true)
	if err == nil {
		err = s.draft.setPlain(key, v)
	}
	s.check(at, err)
}

// description is for people: what it cannot say here is left out.
func (s *service) description() {
	if at, ok := s.set.last("Unit", "Description"); ok {
		v, err := s.sp.expand(at.Value, true, true)
		if err == nil {
			err = s.draft.setPlain("Description", v)
		}
		if err != nil {
			s.note(at, "%v", err)
		}
	}
	for _, at := range s.set.all("Unit", "Documentation") {
		v, err := s.sp.expand(at.Value, false, false)
		if err == nil {
			err = s.draft.setPlain("Documentation", v)
		}
		if err != nil {
			s.note(at, "%v", err)
		}
	}
}

// provided are variables that systemd sets and ffkeeper too.
var provided = []string{"PATH", "LANG", "HOME", "USER"}

// own are ffkeeper's own, which a unit's variables of that name must not be
// taken for.
var own = []string{"NAME", "PREFIX", "INSTANCE", "START"}

func (s *service) environment() {
	for _, at := range s.set.all("Service", "Environment") {
		words, err := streamfile.SplitWords(at.Value)
		if err != nil {
			s.wrong(at, "%v", err)
			continue
		}
		for _, w := range words {
			w, err := s.sp.expand(w, false, false)
			if err != nil {
				s.wrong(at, "%v", err)
				break
			}
			name, value, ok := strings.Cut(w, "=")
			if !ok {
				s.note(at, "a word of it is no NAME=value, which systemd passes over")
				continue
			}
			s.check(at, s.draft.setEnvironment(name, value))
		}
	}
	for _, at := range s.set.all("Service", "EnvironmentFile") {
		s.files = true
		v, err := s.sp.expand(at.Value, true, true)
		if err == nil {
			err = s.draft.setPlain("EnvironmentFile", v)
		}
		s.check(at, err)
		s.note(at, "the file has to be readable for the keeper's user, ffkeeper")
	}
}

// streams are the standard ones.
func (s *service) streams() {
	for _, key := range []string{"StandardOutput", "StandardError"} {
		at, ok := s.set.last("Service", key)
		if !ok {
			continue
		}
		switch at.Value {
		case "null":
			s.draft.set(key, "null")
		case "journal", "inherit", "syslog", "journal+console", "kmsg":
		default:
			name := s.draft.name
			if s.sp.abstract {
				name += "INSTANCE"
			}
			s.note(at, "lines go to the journal: journalctl -t %s", name)
		}
	}
	if at, ok := s.set.last("Service", "StandardInput"); ok && at.Value != "null" {
		s.note(at, "standard input is for ffmpeg's q, or for data by D-Bus (StandardInput=pipe)")
	}
}

// span is a time span; false: it is none, which has been said.
func (s *service) span(at assigned) (time.Duration, bool) {
	d, err := streamfile.ParseTimeSpan(at.Value)
	if err != nil {
		s.note(at, "it is no time span, so that systemd passes it over")
	}
	return d, err == nil
}

func (s *service) restart() {
	policy := "no"
	at, given := s.set.last("Service", "Restart")
	if given {
		policy = at.Value
	}
	switch policy {
	case "always":
	case "no", "on-failure":
		s.draft.set("Restart", policy)
	case "on-abnormal", "on-abort", "on-watchdog":
		s.draft.set("Restart", "on-failure")
		s.note(at, "the nearest is Restart=on-failure, which also restarts after an exit with another code than 0")
	case "on-success":
		s.note(at, "the nearest is Restart=always, the default")
	default:
		s.note(at, "systemd knows no such value")
		s.draft.set("Restart", "no")
	}
	if policy == "no" && !given {
		s.remark(s.file, 0, "Restart=", "it is not given, which is Restart=no: the stream is started once, and not again when it ends")
	}
	s.delays()
}

// delays: those of systemd are the same each time, unless RestartSteps= says
// in how many steps they grow.
func (s *service) delays() {
	at, ok := s.set.last("Service", "RestartSec")
	if !ok {
		return
	}
	base, ok := s.span(at)
	if !ok || base == streamfile.Infinity {
		s.note(at, "a restart cannot wait for ever; the delay is ffkeeper's default")
		return
	}
	s.draft.set("RestartSec", formatSpan(base))
	factor := 1.0
	stepsAt, hasSteps := s.set.last("Service", "RestartSteps")
	mostAt, hasMost := s.set.last("Service", "RestartMaxDelaySec")
	if hasSteps && hasMost {
		steps, err := strconv.Atoi(stepsAt.Value)
		most, ok := s.span(mostAt)
		if ok && err == nil && steps > 0 && base > 0 && most > base && most != streamfile.Infinity {
			factor = min(math.Pow(float64(most)/float64(base), 1/float64(steps)), 1000)
			s.draft.set("RestartMaxDelaySec", formatSpan(most))
		}
	}
	s.draft.set("RestartFactor", strconv.FormatFloat(math.Round(factor*1e6)/1e6, 'f', -1, 64))
}

// formatSpan writes a time span exactly.
func formatSpan(d time.Duration) string {
	switch {
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	case d%time.Millisecond == 0:
		return fmt.Sprintf("%dms", d/time.Millisecond)
	}
	return fmt.Sprintf("%dus", d/time.Microsecond)
}

func (s *service) stop() {
	at, ok := s.set.last("Service", "TimeoutStopSec")
	if !ok {
		at, ok = s.set.last("Service", "TimeoutSec")
	}
	if !ok {
		return
	}
	d, ok := s.span(at)
	const most = 24 * time.Hour
	switch {
	case !ok:
	case d == 0 || d > most:
		s.draft.set("TimeoutStopSec", "1d")
		s.note(at, "a stop has to end, so that it has a day")
	default:
		s.draft.set("TimeoutStopSec", formatSpan(d))
	}
}

func (s *service) install(unitName string) {
	switch {
	case s.sp.abstract || s.enabled(unitName):
	case len(s.set.all("Install", "WantedBy"))+len(s.set.all("Install", "RequiredBy")) > 0 && len(s.dirs) == 1:
		// A file from elsewhere: nobody knows whether it was enabled.
	default:
		s.draft.set("Autostart", "no")
		s.remark(s.file, 0, "", "nothing starts %s at boot, nor does ffkeeper (Autostart=no)", printable(unitName+serviceSuffix))
	}
}
