package ffmpeg

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg/internal/cmdline"
)

// Args is a command line ready to run, and what it says of the streams around
// the process.
type Args struct {
	// Argv is the command line to run, argv[0] first; never the slice that
	// was passed in.
	Argv []string
	// ControlQ: ffmpeg reads single keys from stdin, so that writing q ends
	// it gracefully. False with -nostdin and with any input from a pipe.
	ControlQ bool
	// StdinIsData: an input is read from stdin. Nothing but data may be
	// written there, and closing it ends that input.
	StdinIsData bool
	// StdinPlain: stdin is opened by its path (/dev/stdin), which fails on a
	// socket: it must be a plain pipe.
	StdinPlain bool
	// StdoutIsData: an output is written to stdout.
	StdoutIsData bool

	// Progress: blocks will come on fd 3.
	Progress bool
	// ProgressElsewhere: the user sends the blocks to another place than fd
	// 3, which was left so. None will come on fd 3, and delivery cannot be
	// judged by them.
	ProgressElsewhere bool
	// StatsPeriod is how often a block comes: as given, or 1 s as added, or
	// ffmpeg's own 500 ms. 0: given, but not understood here.
	StatsPeriod time.Duration
	// Levels: each line of the log carries its level, `[info] text`. False
	// where the user gave a -loglevel (or -v) without "level+": it is kept
	// as it is, and every line then comes without a tag ([Line.HasLevel] is
	// false), so that errors cannot be told from chatter.
	Levels bool
}

// progressFD is the descriptor on which a child finds its progress pipe.
const progressFD = 3

// defaultStatsPeriod is ffmpeg's own (fftools/ffmpeg_opt.c, stats_period).
const defaultStatsPeriod = 500 * time.Millisecond

// Prepare reads an ffmpeg command line and, with addProgress, adds right after
// argv[0] what the keeper needs and the user did not give himself:
//
//   - -nostats, unless -stats or -nostats is given
//   - -progress pipe:3, unless -progress is given (the last one counts)
//   - -stats_period 1, unless -stats_period is given
//   - -loglevel repeat+level+info, unless -loglevel or -v is given
//   - -n, unless -y or -n is given: an output that exists is never lost, and
//     ffmpeg fails with a clear line instead of waiting for an answer
//
// All of them are global options: they hold wherever they stand. Pass
// addProgress only for a program that [IsFFmpeg] knows; without it the command
// line is only read. Of another program the result says nothing but Argv. An
// argv that is broken, even empty, is passed on: ffmpeg says best what is
// wrong. Preparing a prepared command line adds nothing.
func Prepare(argv []string, addProgress bool) Args {
	r := reader{
		args:     Args{StatsPeriod: defaultStatsPeriod},
		stdinOn:  true,
		progress: "",
	}
	if len(argv) > 0 {
		for _, item := range cmdline.Split(argv[1:]) {
			r.read(item)
		}
	}
	if addProgress && len(argv) > 0 {
		added := r.missing()
		for _, item := range cmdline.Split(added) {
			r.read(item)
		}
		r.args.Argv = slices.Concat(argv[:1], added, argv[1:])
	} else {
		r.args.Argv = slices.Clone(argv)
	}
	return r.result()
}

// reader gathers what the items of a command line mean together.
type reader struct {
	args Args

	hasStats, hasPeriod, hasLevel, hasOverwrite, hasProgress bool

	progress string // the last -progress
	stdinOn  bool   // the last of -stdin and -nostdin; on by default
	noKeys   bool   // an input has taken stdin from the keys

	format, fd string // of the file whose options are being read
}

func (r *reader) read(item cmdline.Item) {
	switch item.Kind {
	case cmdline.Option:
		r.option(item)
		return
	case cmdline.Input:
		src := inputSource(item.Value, r.fd)
		r.args.StdinIsData = r.args.StdinIsData || src.stdin
		r.args.StdinPlain = r.args.StdinPlain || src.plain
		r.noKeys = r.noKeys || src.noKeys
	case cmdline.Output:
		if outputIsStdout(item.Value, r.format, r.fd) {
			r.args.StdoutIsData = true
		}
	}
	r.format, r.fd = "", ""
}

func (r *reader) option(item cmdline.Item) {
	if item.FromFile || item.Missing {
		return
	}
	switch item.Name {
	case "f":
		r.format = item.Value
	case "fd":
		r.fd = item.Value
	case "stdin":
		r.stdinOn = !item.Off
	case "stats":
		r.hasStats = true
	case "y", "n":
		r.hasOverwrite = r.hasOverwrite || !item.Off
	case "progress":
		r.hasProgress, r.progress = true, item.Value
	case "stats_period":
		r.hasPeriod, r.args.StatsPeriod = true, statsPeriod(item.Value)
	case "loglevel", "v":
		r.hasLevel = true
		r.args.Levels = levelTags(item.Value, r.args.Levels)
	}
}

// missing are the arguments to add.
func (r *reader) missing() []string {
	var add []string
	if !r.hasStats {
		add = append(add, "-nostats")
	}
	if !r.hasProgress {
		add = append(add, "-progress", "pipe:"+strconv.Itoa(progressFD))
	}
	if !r.hasPeriod {
		add = append(add, "-stats_period", "1")
	}
	if !r.hasLevel {
		add = append(add, "-loglevel", "repeat+level+info")
	}
	if !r.hasOverwrite {
		add = append(add, "-n")
	}
	return add
}

func (r *reader) result() Args {
	r.args.ControlQ = r.stdinOn && !r.noKeys && !r.args.StdinIsData
	r.args.Progress = r.hasProgress && isProgressFD(r.progress)
	r.args.ProgressElsewhere = r.hasProgress && !r.args.Progress
	return r.args
}

// isProgressFD reports whether the -progress URL is fd 3.
func isProgressFD(url string) bool {
	if number, ok := strings.CutPrefix(url, "pipe:"); ok {
		return descriptor(number, "", 1) == progressFD
	}
	path := strings.TrimPrefix(url, "file:")
	return path == "/dev/fd/3" || path == "/proc/self/fd/3"
}

// levelTags reports whether -loglevel value makes every line carry its level;
// before says whether it did without this value. `level+warning` does, plain
// `warning` does not, for a value without a leading + or - sets all flags
// anew; `+level` adds to them (fftools/opt_common.c, opt_loglevel).
func levelTags(value string, before bool) bool {
	tags := before
	for first := true; ; first = false {
		sign := byte(0)
		if value != "" && (value[0] == '+' || value[0] == '-') {
			sign, value = value[0], value[1:]
		}
		if first && sign == 0 {
			tags = false
		}
		if rest, ok := strings.CutPrefix(value, "repeat"); ok {
			value = rest
		} else if rest, ok := strings.CutPrefix(value, "level"); ok {
			value = rest
			tags = sign != '-'
		} else {
			return tags
		}
	}
}

// statsPeriod reads the value of -stats_period, a time duration: seconds with
// an optional fraction and unit, or [HH:]MM:SS (libavutil/parseutils.c). 0 if
// it is neither, or not above zero, or longer than a day.
func statsPeriod(value string) time.Duration {
	unit := time.Second
	switch {
	case strings.HasSuffix(value, "us"):
		unit, value = time.Microsecond, strings.TrimSuffix(value, "us")
	case strings.HasSuffix(value, "ms"):
		unit, value = time.Millisecond, strings.TrimSuffix(value, "ms")
	default:
		value = strings.TrimSuffix(value, "s")
	}
	sum := 0.0
	for part := range strings.SplitSeq(value, ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil || !(n >= 0) {
			return 0
		}
		sum = sum*60 + n
	}
	if day := float64(24 * time.Hour); !(sum*float64(unit) <= day) {
		return 0
	}
	return time.Duration(sum * float64(unit))
}
