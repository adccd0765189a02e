package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fieldWidth is where the values of a status begin, as in systemctl status.
const fieldWidth = 14

// field is one "Name: value"; without a name it goes on with the one before.
func field(name string, value ...piece) line {
	colon := ": "
	if name == "" {
		colon = "  "
	}
	return append(line{{plain, fmt.Sprintf("%*s%s", fieldWidth-2, name, colon)}}, value...)
}

// renderUnreachable is in place of all streams of a host.
func renderUnreachable(v *view, g glyphs) []line {
	return []line{{v.dot(g), {plain, " "}, {bold, v.Host}, {plain, ": "}, {red, v.State}, {plain, because(v.Detail)}}}
}

// renderStatus is one stream as systemctl status shows a unit.
func renderStatus(v *view, now time.Time, g glyphs) []line {
	if v.unreachable() {
		return renderUnreachable(v, g)
	}
	head := line{v.dot(g), {plain, " "}, {bold, v.Name}}
	if v.Description != "" {
		head = append(head, piece{plain, " - " + v.Description})
	}
	out := []line{head}
	add := func(name string, value ...piece) { out = append(out, field(name, value...)) }

	if v.Host != "" {
		add("Host", piece{plain, v.Host})
	}
	p := v.properties
	if p != nil && p.SourceFile != "" {
		add("Loaded", piece{plain, p.SourceFile})
		if p.NeedsRestart {
			add("", piece{yellow, "changed since this run began; a restart brings it into force"})
		}
	}
	since := ""
	if p != nil && p.StateChangeTimestamp != 0 {
		since = " since " + stamp(fromUsec(p.StateChangeTimestamp), now)
	}
	add("State", piece{v.stateStyle(), v.State}, piece{plain, since})
	add("Health", piece{v.healthStyle(), v.Health})
	if v.Reason != "" {
		details := detailLines(v)
		if len(details) == 1 {
			add("Reason", piece{plain, v.Reason + because(details[0])})
		} else {
			add("Reason", piece{plain, v.Reason})
			for _, l := range details {
				add("", piece{plain, l})
			}
		}
	}
	if p != nil {
		add("Wanted", piece{plain, yesNo(p.Wanted)})
	}
	if v.NextRestartUsec != nil && *v.NextRestartUsec != 0 {
		add("Next start", piece{yellow, ago(fromUsec(*v.NextRestartUsec), now)})
	}
	if v.PID != 0 {
		add("Main PID", piece{plain, fmt.Sprintf("%d, up %s", v.PID, span(v.uptime()))})
	}
	if p != nil && len(p.Command) > 0 {
		add("Command", piece{plain, quoteCommand(p.Command)})
	}
	if s := usageText(v); s != "" {
		add("Usage", piece{plain, s})
	}
	if s := cgroupText(v); s != "" {
		add("Cgroup", piece{plain, s})
	}
	name := "Progress"
	for _, s := range progressTexts(v) {
		add(name, piece{plain, s})
		name = ""
	}
	if v.LastActivityAgo != nil {
		add("Activity", piece{plain, span(seconds(*v.LastActivityAgo)) + " ago"})
	}
	add("Restarts", piece{plain, restartsText(v, now)})
	if len(v.ExitCodes) > 0 {
		add("Exit codes", piece{plain, exitCodesText(v.ExitCodes)})
	}
	if len(v.Lines) > 0 {
		out = append(out, nil)
		out = append(out, renderLines(v.Lines, now)...)
	}
	return out
}

// detailLines are the lines of the detail, of a broken file one an error.
func detailLines(v *view) []string {
	if v.Detail == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(v.Detail, "\n"), "\n")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func usageText(v *view) string {
	var parts []string
	if v.CPUPercent != nil {
		parts = append(parts, "CPU "+figure(*v.CPUPercent, 1)+"%")
	}
	if v.RSSBytes != nil {
		parts = append(parts, "memory "+byteSize(*v.RSSBytes))
	}
	if v.Threads != nil {
		parts = append(parts, fmt.Sprintf("threads %d", *v.Threads))
	}
	if v.ReadBytes != nil {
		parts = append(parts, "read "+byteSize(*v.ReadBytes))
	}
	if v.WriteBytes != nil {
		parts = append(parts, "written "+byteSize(*v.WriteBytes))
	}
	return strings.Join(parts, ", ")
}

// cgroupText is what all processes of the stream use, and for how much of the
// last ten seconds they waited.
func cgroupText(v *view) string {
	var parts, waits []string
	if v.CgroupCPUPercent != nil {
		parts = append(parts, "CPU "+figure(*v.CgroupCPUPercent, 1)+"%")
	}
	if v.CgroupMemoryBytes != nil {
		parts = append(parts, "memory "+byteSize(*v.CgroupMemoryBytes))
	}
	wait := func(what string, percent *float64) {
		if percent != nil {
			waits = append(waits, what+" "+figure(*percent, 0)+"%")
		}
	}
	wait("CPU", v.PressureCPUPercent)
	wait("memory", v.PressureMemoryPercent)
	wait("I/O", v.PressureIOPercent)
	if len(waits) > 0 {
		parts = append(parts, "waits for "+strings.Join(waits, ", "))
	}
	return strings.Join(parts, ", ")
}

// progressTexts is what ffmpeg says of itself, in two lines that fit into 80
// columns: how it goes, and how far it is.
func progressTexts(v *view) []string {
	var pace, sum []string
	if v.Frame != nil {
		pace = append(pace, fmt.Sprintf("frame %d", *v.Frame))
	}
	if v.FPS != nil {
		pace = append(pace, "fps "+figure(*v.FPS, 1))
	}
	if v.Speed != nil {
		pace = append(pace, "speed "+figure(*v.Speed, 2)+"x")
	}
	if v.BitrateBPS != nil {
		pace = append(pace, "bitrate "+bitrate(*v.BitrateBPS))
	}
	if v.OutTimeUsec != nil {
		sum = append(sum, "time "+clock(*v.OutTimeUsec))
	}
	if v.TotalBytes != nil {
		sum = append(sum, "size "+byteSize(*v.TotalBytes))
	}
	if v.DroppedFrames != nil {
		sum = append(sum, fmt.Sprintf("dropped %d", *v.DroppedFrames))
	}
	if v.DuplicatedFrames != nil && *v.DuplicatedFrames > 0 {
		sum = append(sum, fmt.Sprintf("duplicated %d", *v.DuplicatedFrames))
	}
	var out []string
	for _, parts := range [][]string{pace, sum} {
		if len(parts) > 0 {
			out = append(out, strings.Join(parts, ", "))
		}
	}
	return out
}

func restartsText(v *view, now time.Time) string {
	s := strconv.FormatUint(uint64(v.RestartCount), 10)
	if v.LastRestartUsec != nil && *v.LastRestartUsec != 0 {
		s += ", last " + ago(fromUsec(*v.LastRestartUsec), now)
	}
	if v.ConsecutiveFailures > 0 {
		s += fmt.Sprintf(", %d in a row without a healthy run", v.ConsecutiveFailures)
	}
	return s
}

// exitCodesText puts the newest first: it is the one that is asked for.
func exitCodesText(codes []int32) string {
	parts := make([]string, 0, len(codes))
	for _, c := range slices.Backward(codes) {
		parts = append(parts, exitCode(c))
	}
	return strings.Join(parts, ", ") + " (newest first)"
}

// quoteCommand writes a command so that a shell would read it back.
func quoteCommand(argv []string) string {
	parts := make([]string, len(argv))
	for i, a := range argv {
		parts[i] = quoteWord(a)
	}
	return strings.Join(parts, " ")
}

func quoteWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_./:=,+@%^", r) || r > 0x7f)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
