package streamfile

import "time"

// specs is the one table of all options: what the parser knows, what New sets,
// what Validate checks and what the manual says.
func specs() []spec {
	type d = Definition
	rows := []spec{
		{Option{Name: "Description", Group: "The stream", Description: "What the stream is, in a few words, for lists and logs."},
			"", text(func(d *d) *string { return &d.Description })},
		{Option{Name: "Documentation", Group: "The stream", Description: "Where to read about it: http:, https:, file:, info: or man: addresses."},
			"", documentation()},
		{Option{Name: "Type", Group: "The stream", Description: "How health is judged: ffmpeg, by its own progress; simple, any command, where any output is activity."},
			"ffmpeg", enum(func(d *d) *Type { return &d.Type }, TypeFFmpeg, TypeSimple)},
		{Option{Name: "Autostart", Group: "The stream", Description: "Whether the stream is wanted after boot and when its file appears."},
			"yes", boolean(func(d *d) *bool { return &d.Autostart })},
		{Option{Name: "After", Group: "The stream", Description: "Streams to wait for, until they deliver, have failed or used up their TimeoutStartSec=; stopped in the opposite order. A name that does not exist is passed over."},
			"", streamNames("After", func(d *d) *[]string { return &d.After })},
		{Option{Name: "Requires", Group: "The stream", Description: "As After=, but they have to exist and to deliver, else this stream is not started; started and stopped together with them."},
			"", streamNames("Requires", func(d *d) *[]string { return &d.Requires })},

		{Option{Name: "ExecStart", Group: "The command", Default: "required, unless CommandBuilder= is given", Description: "The program, absolute or found in PATH, and its arguments."},
			"", command("ExecStart", func(d *d) *Command { return &d.ExecStart })},
		{Option{Name: "CommandBuilder", Group: "The command", Description: "A command run before every start, for at most 10 s; what it prints, a JSON array of strings, is the command to run."},
			"", command("CommandBuilder", func(d *d) *Command { return &d.CommandBuilder })},
		{Option{Name: "Progress", Group: "The command", Description: "auto: make ffmpeg report its progress, by adding the arguments it takes, each unless given; no: add nothing."},
			"auto", progress()},
		{Option{Name: "StandardInput", Group: "The command", Description: "control: only ffmpeg's q is ever written; pipe: data from clients; null. auto: pipe where an input is standard input, else control for ffmpeg and null for simple."},
			"auto", enum(func(d *d) *Stdin { return &d.StandardInput }, StdinAuto, StdinControl, StdinPipe, StdinNull)},
		{Option{Name: "StandardOutput", Group: "The command", Description: "journal; null; pipe: handed to a client. auto: pipe where an output is standard output, else journal."},
			"auto", enum(func(d *d) *Stdout { return &d.StandardOutput }, StdoutAuto, StdoutJournal, StdoutNull, StdoutPipe)},
		{Option{Name: "StandardError", Group: "The command", Description: "journal; null: not read at all, so that neither lines nor the reasons of errors are known."},
			"journal", enum(func(d *d) *Stderr { return &d.StandardError }, StderrJournal, StderrNull)},
		{Option{Name: "Environment", Group: "The command", Description: "Environment variables, NAME=value, several on a line; quote one that has blanks."},
			"", environment()},
		{Option{Name: "EnvironmentFile", Group: "The command", Description: "A file of variables, absolute, * and ? allowed, read anew at each start; with - before it the file need not exist."},
			"", environmentFile()},
		{Option{Name: "EnvironmentCredential", Group: "The command", Description: "Environment variables whose value is a credential, VARIABLE=CREDENTIAL, read anew at each start."},
			"", environmentCredential()},
		{Option{Name: "OutputPreset", Group: "The command", Description: "Options for an output of ffmpeg that are not to be seen, for -fpre ${PRESET_NAME}; values may hold ${CREDENTIAL:...}."},
			"", outputPreset()},
		{Option{Name: "WorkingDirectory", Group: "The command", Default: "/", Description: "Where the command runs: absolute, or ~ for the home directory; with - before it / is used where it does not exist."},
			"", workingDirectory()},

		{Option{Name: "Restart", Group: "Restarts", Description: "always; on-failure: not after an exit with code 0; no."},
			"always", enum(func(d *d) *RestartPolicy { return &d.Restart }, RestartAlways, RestartOnFailure, RestartNo)},
		{Option{Name: "RestartSec", Group: "Restarts", Description: "The delay before the first restart."},
			"2s", timeSpan(func(d *d) *time.Duration { return &d.RestartSec }, spanRule{zero: true})},
		{Option{Name: "RestartFactor", Group: "Restarts", Description: "How many times longer each further delay is, from 1 to 1000."},
			"2", scalar("number", func(d *d) *float64 { return &d.RestartFactor }, parseFactor, within(1, 1000))},
		{Option{Name: "RestartMaxDelaySec", Group: "Restarts", Default: "60s, or RestartSec= where that is longer", Description: "The longest delay."},
			"60s", timeSpan(func(d *d) *time.Duration { return &d.RestartMaxDelay }, spanRule{zero: true})},
		{Option{Name: "RestartJitter", Group: "Restarts", Description: "Up to this much is added to each delay, the longest too, so that many streams do not return in one instant; at most 100%."},
			"10%", percent(func(d *d) *float64 { return &d.RestartJitter }, 1)},
		{Option{Name: "RestartMaxAttempts", Group: "Restarts", Description: "How many restarts there may be without a healthy run between; the failure after them is final."},
			"infinity", attempts(func(d *d) *int { return &d.RestartMaxAttempts })},
		{Option{Name: "RestartResetSec", Group: "Restarts", Description: "A run that is ok for this long is a healthy one: delays and attempts begin anew."},
			"60s", timeSpan(func(d *d) *time.Duration { return &d.RestartReset }, spanRule{zero: true, infinity: true})},
		{Option{Name: "RuntimeMaxSec", Group: "Restarts", Description: "A run that has lasted this long is restarted as planned."},
			"infinity", timeSpan(func(d *d) *time.Duration { return &d.RuntimeMax }, spanRule{infinity: true})},
		{Option{Name: "OnRestart", Group: "Restarts", Description: "A command to run at each restart, or stream:NAME to start another stream."},
			"", hooks("OnRestart", func(d *d) *[]Hook { return &d.OnRestart })},
		{Option{Name: "OnFailure", Group: "Restarts", Description: "A command to run when the stream has failed for good, or stream:NAME to start another stream."},
			"", hooks("OnFailure", func(d *d) *[]Hook { return &d.OnFailure })},

		{Option{Name: "HealthCheckSec", Group: "Health and stopping", Description: "How often CPU, memory and threads are measured. Exits are seen at once."},
			"5s", timeSpan(func(d *d) *time.Duration { return &d.HealthCheck }, spanRule{})},
		{Option{Name: "TimeoutStartSec", Group: "Health and stopping", Description: "How long ffmpeg has until the first sign of delivery; 0 and infinity: for ever."},
			"30s", timeSpan(func(d *d) *time.Duration { return &d.TimeoutStart }, spanRule{infinity: true, same: zeroIsInfinity})},
		{Option{Name: "ActivityTimeoutSec", Group: "Health and stopping", Description: "No progress for this long is a stall; 0 and infinity: never."},
			"60s", timeSpan(func(d *d) *time.Duration { return &d.ActivityTimeout }, spanRule{zero: true, same: infinityIsZero})},
		{Option{Name: "OnStall", Group: "Health and stopping", Default: "restart for Type=ffmpeg, log for simple", Description: "What a stall leads to."},
			"restart", enum(func(d *d) *OnStall { return &d.OnStall }, OnStallRestart, OnStallLog)},
		{Option{Name: "MinSpeed", Group: "Health and stopping", Default: "0, which is off", Description: "An ffmpeg whose speed over the last 30 s is below this is degraded; 1 is real time."},
			"0", scalar("number", func(d *d) *float64 { return &d.MinSpeed }, parseFactor, within(0, 1000))},
		{Option{Name: "TimeoutStopSec", Group: "Health and stopping", Description: "How long a stop may take before the stream is killed; moves on while its files still grow, up to six times. At most a day."},
			"10s", timeSpan(func(d *d) *time.Duration { return &d.TimeoutStop }, spanRule{most: day})},

		{Option{Name: "MemoryMax", Group: "Resources", Description: "The most memory, beyond which the kernel kills; 20% is of what is installed."},
			"", amount("size", func(d *d) **uint64 { return &d.Resources.MemoryMax }, parseSize, installedMemory)},
		{Option{Name: "MemoryHigh", Group: "Resources", Description: "Memory beyond which the kernel slows the stream down and takes memory back."},
			"", amount("size", func(d *d) **uint64 { return &d.Resources.MemoryHigh }, parseSize, installedMemory)},
		{Option{Name: "CPUQuota", Group: "Resources", Description: "The most CPU time; 100% is one core, 250% two and a half."},
			"", optional("percentage", func(d *d) **float64 { return &d.Resources.CPUQuota }, parsePercent, quota)},
		{Option{Name: "CPUWeight", Group: "Resources", Description: "The share of the CPU under contention; others have 100."},
			"", weight(func(d *d) **uint64 { return &d.Resources.CPUWeight })},
		{Option{Name: "IOWeight", Group: "Resources", Description: "The share of disk input and output under contention; others have 100."},
			"", weight(func(d *d) **uint64 { return &d.Resources.IOWeight })},
		{Option{Name: "TasksMax", Group: "Resources", Description: "The most processes and threads; 10% is of what the kernel allows."},
			"", amount("count", func(d *d) **uint64 { return &d.Resources.TasksMax }, parseCount, systemTasks)},
		{Option{Name: "Nice", Group: "Resources", Description: "The nice level, from -20 (most favoured) to 19."},
			"", optional("number from -20 to 19", func(d *d) **int { return &d.Nice }, parseNice, niceRange)},
		{Option{Name: "UMask", Group: "Resources", Description: "The bits not set in the mode of new files, octal."},
			"", optional("octal number", func(d *d) **uint32 { return &d.UMask }, parseUMask, umaskRange)},
		{Option{Name: "CPUAffinity", Group: "Resources", Description: "The CPUs to run on: numbers and ranges such as 0-3,6."},
			"", cpuAffinity()},
	}
	for _, l := range limitRows {
		rows = append(rows, spec{Option{Name: "Limit" + l.name, Group: "Limits", Description: l.description}, "", limit(l.name, l.kind)})
	}
	return rows
}

// limitRows are the resource limits of setrlimit(2); the units of their values
// are those of systemd.exec(5).
var limitRows = []struct {
	name        string
	kind        limitKind
	description string
}{
	{"CPU", limitSec, "CPU time in all, after which the kernel kills."},
	{"FSIZE", limitSize, "The largest file it may write."},
	{"DATA", limitSize, "Its data segment."},
	{"STACK", limitSize, "The stack of its main thread."},
	{"CORE", limitSize, "The largest core dump; 0 is none."},
	{"RSS", limitSize, "Without effect in Linux; for files written for other systems."},
	{"NOFILE", limitCount, "Open files, sockets and pipes."},
	{"AS", limitSize, "Its address space."},
	{"NPROC", limitCount, "Processes and threads of the user that all streams share; TasksMax= is usually meant."},
	{"MEMLOCK", limitSize, "Memory it may lock."},
	{"LOCKS", limitCount, "Without effect in Linux; for files written for other systems."},
	{"SIGPENDING", limitCount, "Signals queued for its user."},
	{"MSGQUEUE", limitSize, "POSIX message queues of its user."},
	{"NICE", limitNice, "How far it may raise its priority: a nice level with its sign, or the kernel's own number, from 1 (for +19) to 40 (for -20)."},
	{"RTPRIO", limitCount, "The highest real-time priority it may take."},
	{"RTTIME", limitUsec, "Real-time CPU time without a blocking call; a bare number is microseconds."},
}
