package importer

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
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

// translated are the options dealt with above.
var translated = append([]string{
	"Description", "Documentation", "Environment", "EnvironmentFile", "ExecStart", "WorkingDirectory", "StandardInput", "StandardOutput",
	"StandardError", "Restart", "RestartSec", "RestartSteps", "RestartMaxDelaySec", "TimeoutStopSec", "TimeoutSec",
}, copied...)

// rest says of all other options why they have no counterpart.
func (s *service) rest(at assigned) {
	if strings.HasPrefix(at.Section, "X-") || strings.HasPrefix(at.Key, "X-") || at.Section == "Install" || slices.Contains(translated, at.Key) {
		return
	}
	switch at.Key {
	case "After", "Requires":
		s.order(at)
		return
	case "Type":
		switch at.Value {
		case "simple", "exec", "idle":
		case "forking":
			s.wrong(at, "a stream stays in the foreground; start the program without its option to become a daemon")
		case "oneshot":
			s.note(at, "a stream runs on; one that ends by itself is Restart=no")
		default:
			s.note(at, "nothing waits for the program's own word: ffmpeg's progress tells that it delivers")
		}
		return
	case "KillSignal", "RestartKillSignal":
		if at.Value != "SIGTERM" && at.Value != "TERM" && at.Value != "15" {
			s.note(at, "a stream is stopped by ffmpeg's q, then SIGTERM; ffmpeg finishes its files with each")
		}
		return
	case "StartLimitIntervalSec", "StartLimitInterval":
		if at.Value == "0" {
			return // no limit, as here
		}
	case "KillMode":
		if at.Value != "control-group" && at.Value != "mixed" {
			s.note(at, "a stream's processes are all ended with it")
		}
		return
	}
	s.note(at, "%s", whyNot(at))
}

// order keeps what is among the units imported at the same time.
func (s *service) order(at assigned) {
	others := 0
	for _, name := range strings.Fields(at.Value) {
		if stream, ok := s.known[name]; ok && stream != s.draft.name {
			s.draft.set(at.Key, stream)
		} else {
			others++
		}
	}
	if others > 0 {
		s.note(at, "%s", orderingIsForUnits)
	}
}

const (
	orderingIsForUnits = "streams wait for streams, and try again while a network or a disk is not there yet; to order one with other units there is ffkeeper-stream@NAME.service, see docs/units.md"
	sandboxIsCommon    = "all streams share the sandbox of ffkeeper-streams.service; drop-ins for that are in docs/security.md"
	ownUser            = "all streams run as the user ffkeeper-streams, who must be able to read their input and to write their output"
	noHooks            = `nothing runs beside the command; OnRestart= and OnFailure= do afterwards, or write /bin/sh -c "..."`
)

// reasons are why options have no counterpart: by name, or for names that begin
// with it where it ends with a *.
var reasons = []struct {
	names []string
	why   string
}{
	{[]string{"User", "Group", "DynamicUser", "SupplementaryGroups", "PAMName"}, ownUser},
	{[]string{"ExecStartPre", "ExecStartPost", "ExecCondition", "ExecStop", "ExecStopPost", "ExecReload"}, noHooks},
	{[]string{"StartLimit*"}, "starts are not counted by the hour; RestartMaxAttempts= ends the restarts of a stream that does not become healthy, and without it the delays grow"},
	{[]string{"RestartPreventExitStatus", "RestartForceExitStatus", "SuccessExitStatus", "RestartMode"}, "an exit with 0 is a good one, and so is ffmpeg's 255 after a stop"},
	{[]string{"TimeoutStartSec", "TimeoutAbortSec", "TimeoutStopFailureMode", "TimeoutStartFailureMode", "JobTimeout*"}, "TimeoutStartSec= of a stream is how long ffmpeg may take until it delivers, another thing"},
	{[]string{"WatchdogSec", "WatchdogSignal", "NotifyAccess", "BusName"}, "ffmpeg's progress is watched instead: ActivityTimeoutSec="},
	{[]string{"PIDFile", "GuessMainPID", "RemainAfterExit", "SendSIGKILL", "SendSIGHUP", "FinalKillSignal", "OOMPolicy", "FileDescriptorStore*", "Sockets", "NonBlocking", "ExitType", "IgnoreSIGPIPE", "TimeoutCleanSec", "USBFunction*", "PermissionsStartOnly", "RuntimeRandomizedExtraSec"}, "it has no meaning for a stream"},
	{[]string{"SyslogIdentifier", "SyslogFacility", "SyslogLevel*", "LogLevelMax", "LogExtraFields", "LogRateLimit*", "LogNamespace", "TTY*", "StandardInputText", "StandardInputData"}, "lines are in the journal under the stream's name, with ffmpeg's own levels"},
	{[]string{"ExecSearchPath"}, "the program is looked for in PATH, which Environment= can set; or write its absolute path"},
	{[]string{"PassEnvironment", "UnsetEnvironment"}, "a stream's environment is clean; what it needs stands in Environment= or EnvironmentFile="},
	{[]string{"LoadCredential*", "SetCredential*", "ImportCredential"}, "give it to ffkeeper.service, and to ffmpeg by OutputPreset=: docs/secrets.md"},
	{[]string{"MemoryLimit"}, "its successor MemoryMax= is understood"},
	{[]string{"CPUShares", "BlockIO*", "Startup*", "DefaultMemory*", "ManagedOOM*", "CPUQuotaPeriodSec", "MemoryLow", "MemoryMin", "MemorySwapMax", "MemoryZSwapMax", "IO*", "Slice", "Delegate*", "AllowedCPUs", "AllowedMemoryNodes", "DisableControllers", "CPUAccounting", "MemoryAccounting", "TasksAccounting", "IPAccounting"}, "of resources streams have MemoryMax=, MemoryHigh=, CPUQuota=, CPUWeight=, IOWeight= and TasksMax="},
	{[]string{"CPUScheduling*", "IOScheduling*", "NUMA*", "OOMScoreAdjust", "TimerSlackNSec", "Personality", "CoredumpFilter"}, "of scheduling streams have Nice=, CPUAffinity=, CPUWeight= and IOWeight="},
	{[]string{"RuntimeDirectory*", "StateDirectory*", "CacheDirectory*", "LogsDirectory*", "ConfigurationDirectory*"}, "/var/lib/ffkeeper-streams is there for the streams' files"},
	{[]string{"OnFailure*", "OnSuccess*"}, "OnFailure= of a stream starts a stream or a command; for units it is one of ffkeeper-stream@NAME.service, see docs/units.md"},
	{[]string{"After", "Before", "Requires", "Requisite", "Wants", "BindsTo", "PartOf", "Upholds", "Conflicts", "StopPropagatedFrom", "Propagate*", "ReloadPropagatedFrom", "RequiresOverridable", "RequisiteOverridable", "JobRunningTimeoutSec", "DefaultDependencies", "RequiresMountsFor", "WantsMountsFor", "JoinsNamespaceOf", "Condition*", "Assert*", "StopWhenUnneeded", "RefuseManual*", "AllowIsolate", "IgnoreOnIsolate", "CollectMode", "SourcePath", "SuccessAction*", "FailureAction*", "RebootArgument"}, orderingIsForUnits},
	{[]string{"Protect*", "Private*", "Restrict*", "NoNewPrivileges", "ReadWrite*", "ReadOnly*", "Inaccessible*", "ExecPaths", "NoExecPaths", "Bind*", "TemporaryFileSystem", "Mount*", "Root*", "Capability*", "AmbientCapabilities", "SystemCall*", "MemoryDenyWriteExecute", "LockPersonality", "Device*", "SecureBits", "UtmpIdentifier", "UtmpMode", "RemoveIPC", "KeyringMode", "ProcSubset", "IPAddress*", "IPIngress*", "IPEgress*", "BPFProgram", "Network*", "SELinuxContext", "AppArmorProfile", "SmackProcessLabel", "ExtensionImages", "ExtensionDirectories", "IPCNamespacePath", "Socket*"}, sandboxIsCommon},
}

func whyNot(at assigned) string {
	for _, r := range reasons {
		for _, name := range r.names {
			if prefix, ok := strings.CutSuffix(name, "*"); name == at.Key || ok && strings.HasPrefix(at.Key, prefix) {
				return r.why
			}
		}
	}
	if !keyPattern.MatchString(at.Key) {
		return "it is no option; where it goes on with the line above, that has to end with a backslash"
	}
	return "it has no counterpart"
}
