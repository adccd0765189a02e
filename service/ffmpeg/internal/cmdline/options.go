package cmdline

// valueKind says what follows an option of ffmpeg's own on the command line.
type valueKind uint8

const (
	// takesValue is everything that is not in the table: every other option
	// of ffmpeg's own, and every option of its libraries (AVOptions), which
	// always take one.
	takesValue valueKind = iota
	// boolean takes no value and has a -noX form.
	boolean
	// noValue takes no value and has no -noX form.
	noValue
	// maybeValue is a boolean that takes a value up to ffmpeg 6.1 and none
	// from 7.0 on. A command line that works with either is told apart by
	// what follows: a word for true or false, or something else.
	maybeValue
)

// option is one row of the table of options that do not simply take a value.
type option struct {
	name string
	kind valueKind
}

// options is ffmpeg's own table (fftools/ffmpeg_opt.c and opt_common.h) of 5.1
// to 7.1, less all that takes a value. What `-h full` prints after a name does
// not tell (`-xerror error` takes nothing, `-reinit_filter` takes a number);
// the test asks the installed ffmpeg how it reads each of its options.
//
// Sorted by name, so that it needs no initialisation.
var options = [...]option{
	{"accurate_seek", boolean},
	{"an", boolean},
	{"auto_conversion_filters", boolean},
	{"autorotate", maybeValue},
	{"autoscale", maybeValue},
	{"benchmark", boolean},
	{"benchmark_all", boolean},
	{"bitexact", boolean},
	{"copy_unknown", boolean},
	{"copyinkf", boolean},
	{"copyts", boolean},
	{"debug_ts", boolean},
	{"display_hflip", boolean}, // 6.0
	{"display_vflip", boolean}, // 6.0
	{"dn", boolean},
	{"dump", boolean},
	{"find_stream_info", boolean},
	{"fix_sub_duration", boolean},
	{"fix_sub_duration_heartbeat", boolean}, // 6.0
	{"force_fps", boolean},
	{"hex", boolean},
	{"hide_banner", boolean},
	{"ignore_unknown", boolean},
	{"n", boolean},
	{"psnr", boolean},   // gone in 7.0
	{"qphist", boolean}, // a function without a value in 7.0
	{"re", boolean},
	{"recast_media", boolean},
	{"report", noValue},
	{"shortest", boolean},
	{"sn", boolean},
	{"start_at_zero", boolean},
	{"stats", boolean},
	{"stdin", boolean},
	{"vn", boolean},
	{"vstats", noValue},
	{"xerror", boolean},
	{"y", boolean},
}

// kindOf is what follows the option of that name (no dash, no specifier).
func kindOf(name string) valueKind {
	lo, hi := 0, len(options)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if options[mid].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(options) && options[lo].name == name {
		return options[lo].kind
	}
	return takesValue
}

// truthValue reports whether s is a word ffmpeg's parser of booleans takes
// for true or false (fftools/cmdutils.c: a number).
func truthValue(s string) bool {
	return s == "0" || s == "1"
}
