package importer

import (
	"slices"
	"strings"
)

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
