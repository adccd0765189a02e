package main

import "github.com/ffkeeper/ffkeeper/service/stream"

// reason explains one value of FFKEEPER_REASON= below the events that may
// carry it.
type reason struct {
	Reason  stream.Reason
	In      []stream.Kind
	Meaning string
}

func reasons() []reason {
	retried := []stream.Kind{stream.KindExited, stream.KindRestarting, stream.KindFailed}
	given := []stream.Kind{stream.KindRestarting, stream.KindFailed}
	final := []stream.Kind{stream.KindFailed}
	stalled := []stream.Kind{stream.KindStalled, stream.KindRestarting, stream.KindFailed}
	degraded := []stream.Kind{stream.KindDegraded}
	return []reason{
		{stream.ReasonRequested, []stream.Kind{stream.KindStopping, stream.KindStopped}, "somebody asked for it."},
		{stream.ReasonRuntimeMax, []stream.Kind{stream.KindStopping, stream.KindRestarting}, "it has run for RuntimeMaxSec= and is restarted as planned."},
		{stream.ReasonCleanExit, append(retried, stream.KindStopped), "the command ended by itself and without an error, as at the end of an input. That need not mean that all went well: ffmpeg calls a full disk clean, too."},
		{stream.ReasonExitCode, retried, "the command ended with an error; FFKEEPER_EXIT_CODE= has the code."},
		{stream.ReasonSignal, retried, "a signal from elsewhere ended it; FFKEEPER_EXIT_CODE= is minus its number."},
		{stream.ReasonCoreDump, retried, "it crashed and dumped core: coredumpctl shows where."},
		{stream.ReasonOOMKill, retried, "the kernel killed it for want of memory: see MemoryMax= and the host's memory."},
		{stream.ReasonTaskLimit, retried, "it had as many threads and processes as TasksMax= allows, could not start another, and ended."},
		{stream.ReasonUnknownExit, retried, "it is gone, and how it ended is not known."},
		{stream.ReasonShimLost, given, "the shim that held it is gone, and the process with it."},
		{stream.ReasonStalled, stalled, "nothing has come out of it for ActivityTimeoutSec=, though its process is alive."},
		{stream.ReasonPartialStall, append(stalled, stream.KindDegraded), "part of it stands still while the rest goes on, as with one dead input of two."},
		{stream.ReasonStartTimeout, stalled, "it has not delivered anything within TimeoutStartSec=: an input that does not answer, or an output that takes nothing."},
		{stream.ReasonSpawnFailed, given, "the process could not be started; the message says what the kernel answered."},
		{stream.ReasonBuilderFailed, given, "the command of CommandBuilder= failed, took too long, or did not print a JSON array of strings."},
		{stream.ReasonNoProgram, final, "the program does not exist or may not be executed."},
		{stream.ReasonBadSetting, final, "a setting of its file cannot be used; the message has file and line."},
		{stream.ReasonOutputExists, final, "the output file exists, and the command was given neither -y nor -n. ${START} in the name makes a new one at each start."},
		{stream.ReasonRestartLimit, final, "it has failed RestartMaxAttempts= times without a healthy run between."},
		{stream.ReasonRequiresFailed, final, "a stream that it needs by Requires= has failed."},
		{stream.ReasonStuck, []stream.Kind{stream.KindZombie}, "it was killed, yet the kernel has not let go of it."},
		{stream.ReasonTooSlow, degraded, "its speed over the last 30 s is below MinSpeed=, yet nothing of the host keeps it waiting: an input that is slow itself, an encoder with too much to do, or a limit of its own, which the message names."},
		{stream.ReasonHostSlow, degraded, "the stream waits for a CPU, memory or I/O for most of the time: less work for the host, or a faster one."},
		{stream.ReasonDiskFull, degraded, "a disk that it writes to has no more room, about which ffmpeg says nothing when it makes HLS. Make room; the message names the directory."},
		{stream.ReasonNoReader, degraded, "nobody reads its standard output, which is a pipe for a client."},
	}
}
