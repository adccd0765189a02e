package ffmpeg

import "strings"

// Level is the severity of a log line: ffmpeg's AV_LOG_ constants
// (libavutil/log.h). The zero value is a line of no known level.
type Level uint8

const (
	LevelUnknown Level = iota
	LevelPanic
	LevelFatal
	LevelError
	LevelWarning
	LevelInfo
	LevelVerbose
	LevelDebug
	LevelTrace
)

// levels holds what stands in brackets before a line, and the syslog priority
// it becomes, by Level. ffmpeg says fatal where this one process cannot go on:
// critical for the stream. A line without a level is shown as information.
var levels = [...]struct {
	name     string
	priority int
}{
	LevelUnknown: {"", 6},
	LevelPanic:   {"panic", 2},
	LevelFatal:   {"fatal", 2},
	LevelError:   {"error", 3},
	LevelWarning: {"warning", 4},
	LevelInfo:    {"info", 6},
	LevelVerbose: {"verbose", 7},
	LevelDebug:   {"debug", 7},
	LevelTrace:   {"trace", 7},
}

// Priority is the syslog priority: 2 critical, 3 error, 4 warning, 6
// information, 7 debug.
func (l Level) Priority() int {
	if int(l) >= len(levels) {
		l = LevelUnknown
	}
	return levels[l].priority
}

// String is ffmpeg's name of the level, "" for LevelUnknown.
func (l Level) String() string {
	if int(l) >= len(levels) {
		l = LevelUnknown
	}
	return levels[l].name
}

// Line is one line of ffmpeg's log.
type Line struct {
	Level Level
	// HasLevel: the line carried a level. The continuation lines of a
	// message that has several lines do not, nor does any line if the user
	// chose a -loglevel without "level+".
	HasLevel bool
	// Component is what wrote the line, innermost first: "flv", "libx264",
	// "tcp"; "" for ffmpeg itself.
	Component string
	// Text is the whole line less the level: "[flv @ 0x55d0] Broken pipe".
	Text string
}

// ParseLine takes a log line apart, without its line end. ffmpeg writes up to
// two contexts, the level, the text (libavutil/log.c, format_line):
//
//	[in#0 @ 0x55d0] [flv @ 0x55d4] [warning] text
//
// Only a line with both a context and a level costs an allocation: its Text is
// not a part of raw. A file name with a newline in it can forge any line;
// nothing in a line may be trusted further than its text.
func ParseLine(raw string) Line {
	rest := raw
	component := ""
	for range 2 {
		name, after, ok := cutContext(rest)
		if !ok {
			break
		}
		component, rest = name, after
	}
	level, text, ok := cutLevel(rest)
	if !ok {
		return Line{Component: component, Text: raw}
	}
	if contexts := raw[:len(raw)-len(rest)]; contexts != "" {
		text = contexts + text
	}
	return Line{Level: level, HasLevel: true, Component: component, Text: text}
}

// cutContext cuts "[name @ 0x55d0] " off the front of s.
func cutContext(s string) (name, rest string, ok bool) {
	if len(s) == 0 || s[0] != '[' {
		return "", s, false
	}
	const at = " @ 0x"
	i := strings.Index(s, at)
	if i < 1 || strings.IndexByte(s[:i], ']') >= 0 {
		return "", s, false
	}
	end := i + len(at)
	for end < len(s) && isHex(s[end]) {
		end++
	}
	if end == i+len(at) || !strings.HasPrefix(s[end:], "] ") {
		return "", s, false
	}
	return s[1:i], s[end+2:], true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// cutLevel cuts "[warning] " off the front of s. A line may consist of nothing
// else.
func cutLevel(s string) (level Level, rest string, ok bool) {
	if len(s) == 0 || s[0] != '[' {
		return 0, s, false
	}
	end := strings.IndexByte(s, ']')
	if end < 0 || end > len("[verbose") {
		return 0, s, false
	}
	for l := LevelPanic; int(l) < len(levels); l++ {
		if s[1:end] == levels[l].name {
			return l, strings.TrimPrefix(s[end+1:], " "), true
		}
	}
	return 0, s, false
}

// IsStats reports whether raw is ffmpeg's own running or final report
// (`frame=  10 fps=…`, for audio `size=  256kB time=…`), with or without a
// level before it. They say less than the progress blocks and would fill a
// journal. The final one is printed even with -nostats.
func IsStats(raw string) bool {
	if _, rest, ok := cutLevel(raw); ok {
		raw = rest
	}
	if !strings.HasPrefix(raw, "frame=") && !strings.HasPrefix(raw, "size=") && !strings.HasPrefix(raw, "Lsize=") {
		return false
	}
	return strings.Contains(raw, " time=") && strings.Contains(raw, " bitrate=")
}
