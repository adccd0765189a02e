// Package cmdline splits an ffmpeg command line into options, inputs and
// outputs the way ffmpeg does (fftools/cmdutils.c, split_commandline). That
// takes knowing which options take a value: in `-vn -` the dash is an output,
// in `-f -` it is not.
//
// It is shared by the package above and by the fake ffmpeg, which must start
// within a millisecond: it imports nothing and initialises nothing.
package cmdline

// Kind says what an Item is.
type Kind uint8

const (
	Option Kind = iota
	Input       // Value is the URL after -i
	Output      // Value is the URL
)

// Item is one option, input or output. The options between two files, and
// those before the first, belong to the file that follows them, unless they
// are global: then they hold wherever they stand.
type Item struct {
	Kind Kind
	// Name of an option, without its dash, its stream specifier and the
	// "no" of a negated boolean: "c" for -c:v:0, "stdin" for -nostdin.
	Name string
	// Spec is the stream specifier without its colon: "v:0".
	Spec string
	// Off: a negated boolean, -noX.
	Off bool
	// Value of an option that takes one, or the URL of a file. Missing: the
	// command line ended where the value should have been.
	Value   string
	Missing bool
	// FromFile: the value is the name of a file that holds the value
	// (-/filter_complex graph.txt, from ffmpeg 7.0 on).
	FromFile bool
}

// Split splits args, the command line without the program. It never fails: a
// value that is missing at the end is marked so, for ffmpeg will say it best.
func Split(args []string) []Item {
	items := make([]Item, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			// What follows is a file, whatever it begins with.
			if i+1 < len(args) {
				i++
				items = append(items, Item{Kind: Output, Value: args[i]})
			}
			continue
		}
		if len(arg) < 2 || arg[0] != '-' {
			items = append(items, Item{Kind: Output, Value: arg})
			continue
		}
		var next string
		more := i+1 < len(args)
		if more {
			next = args[i+1]
		}
		item, used := read(arg[1:], next, more)
		items = append(items, item)
		if used {
			i++
		}
	}
	return items
}

// read makes an Item of the option opt (without its dash) and says whether it
// used up the argument after it, which is next if there is more.
func read(opt, next string, more bool) (item Item, used bool) {
	if opt == "i" {
		return Item{Kind: Input, Value: next, Missing: !more}, more
	}
	if opt[0] == '/' && len(opt) > 1 {
		item.FromFile = true
		opt = opt[1:]
	}
	item.Name, item.Spec = cutSpecifier(opt)
	switch kindOf(item.Name) {
	case boolean, noValue:
		if !item.FromFile {
			return item, false
		}
	case maybeValue:
		if !item.FromFile && !truthValue(next) {
			return item, false
		}
	default:
		if name, ok := negated(item.Name); ok {
			item.Name, item.Off = name, true
			return item, false
		}
	}
	item.Value, item.Missing = next, !more
	return item, more
}

// negated returns X for noX where X is a boolean. ffmpeg looks among the
// options of its libraries first; none of them collides.
func negated(name string) (string, bool) {
	if len(name) < 3 || name[:2] != "no" {
		return "", false
	}
	kind := kindOf(name[2:])
	return name[2:], kind == boolean || kind == maybeValue
}

// cutSpecifier splits name:specifier at the first colon.
func cutSpecifier(opt string) (name, spec string) {
	for i := range len(opt) {
		if opt[i] == ':' {
			return opt[:i], opt[i+1:]
		}
	}
	return opt, ""
}
