package ffmpeg

import "strings"

// Hint explains an exit from the last lines of the log.
type Hint struct {
	// OutputExists: ffmpeg refused to overwrite an output. Trying again
	// cannot help.
	OutputExists bool
	// Text is the one line of the log that best says what went wrong, less
	// its level and contexts; "" if none does.
	Text string
}

// Explain finds the line that says most about a failure in the last lines that
// ffmpeg wrote, oldest first, with or without their levels. It takes nothing
// away but what it says: redact the lines before, or the result.
//
// The last line of a failure is seldom the best one: ffmpeg wraps the cause in
// ever vaguer ones ("Failed to resolve hostname x: Name or service not known",
// then "http://x/: Input/output error", then, from 7.0 on, "Error opening input
// files: Input/output error"). So lines are graded, and the last of the best
// grade is taken.
func Explain(lines []string) Hint {
	var h Hint
	best := gradeNone
	tagged := false
	for _, raw := range lines {
		if ParseLine(raw).HasLevel {
			tagged = true
			break
		}
	}
	for _, raw := range lines {
		line := ParseLine(raw)
		text := strings.TrimSpace(bareText(line.Text))
		if outputExists(text) {
			h.OutputExists = true
			h.Text, best = text, gradeFinal
			continue
		}
		if g := gradeOf(line, text, tagged); g >= best && g > gradeNone {
			h.Text, best = text, g
		}
	}
	return h
}

// grade is how much a line says about a failure.
type grade uint8

const (
	gradeNone    grade = iota // nothing
	gradeWarning              // it may have to do with it
	gradeGeneric              // that something failed
	gradeVague                // what failed, but not why
	gradeCause
	gradeFinal // certain
)

func gradeOf(line Line, text string, tagged bool) grade {
	if text == "" || IsStats(text) {
		return gradeNone
	}
	if tagged {
		switch line.Level {
		case LevelPanic, LevelFatal, LevelError:
		case LevelWarning:
			return gradeWarning
		default:
			// Chatter, or the second line of a message.
			return gradeNone
		}
	} else if !looksLikeError(text) {
		return gradeNone
	}
	for _, p := range genericPrefixes {
		if strings.HasPrefix(text, p) {
			return gradeGeneric
		}
	}
	for _, s := range vagueSuffixes {
		if strings.HasSuffix(text, s) {
			return gradeVague
		}
	}
	return gradeCause
}

// genericPrefixes begin lines that only say that something has failed.
var genericPrefixes = [...]string{
	"Conversion failed!",
	"Cannot open connection ", // rtmp, after the tcp line
	"Could not open encoder before EOF",
	"Could not write header",
	"Error closing file ",
	"Error initializing output stream",
	"Error initializing the muxer",
	"Error muxing a packet",
	"Error opening input file",
	"Error opening output file",
	"Error parsing options for",
	"Error processing packet in thread",
	"Error reinitializing filters",
	"Error sending frames to consumers",
	"Error splitting the argument list",
	"Error submitting a packet to the muxer",
	"Error while opening encoder",
	"Error while processing the decoded data",
	"Error writing trailer of ",
	"Error writing trailer:",
	"Exiting normally",
	"Failed to inject frame into filter network",
	"Failed to set value ",
	"Nothing was written into output file",
	"Received > 3 system signals",
	"Task finished with error code",
	"Terminating thread with return code",
}

// vagueSuffixes end lines whose cause an earlier line may have named.
var vagueSuffixes = [...]string{
	": Invalid argument",
	": Input/output error",
	": Invalid data found when processing input",
	": Unknown error occurred",
	": Generic error in an external library",
	": Operation not permitted",
	": Option not found",
	": Immediate exit requested",
	": End of file",
}

// looksLikeError judges a line without a level by its words.
func looksLikeError(text string) bool {
	for _, w := range errorWords {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

var errorWords = [...]string{
	"rror", "ailed", "annot ", "not found", "nable to", "Unknown ", "Invalid ",
	"No such ", "No space", "refused", "denied", "unreachable", "timed out",
	"reset by peer", "Broken pipe", "Unrecognized", "matches no streams",
	"must be specified", "already in use", "Too many", "Is a directory",
	"in use", "not supported", "unauthorized", "Forbidden",
}

// outputExists reports whether ffmpeg says that it does not overwrite a file
// (fftools/ffmpeg_mux_init.c, assert_file_overwrite). The second form follows
// its question on the same line.
func outputExists(text string) bool {
	return strings.HasPrefix(text, "File '") && strings.HasSuffix(text, "' already exists. Exiting.") ||
		strings.HasSuffix(text, "Not overwriting - exiting")
}

// bareText is a line's text without the contexts before it.
func bareText(text string) string {
	for range 2 {
		_, rest, ok := cutContext(text)
		if !ok {
			break
		}
		text = rest
	}
	return text
}
