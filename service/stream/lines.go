package stream

import (
	"strings"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

// How many lines of a stream are kept, and how many are taken for errors.
const (
	keptLines    = 50
	keptErrors   = 5
	warnPriority = 4 // syslog's warning
	// plainPriority is info: that of lines without a level.
	plainPriority = 6
)

// lineRing keeps the newest lines and, apart from them, the newest at warning
// or worse, which chatter would soon push out.
type lineRing struct {
	lines  [keptLines]Line
	n      int // lines ever kept
	errors []string
}

func (r *lineRing) add(l Line, isError bool) {
	r.lines[r.n%keptLines] = l
	r.n++
	if !isError {
		return
	}
	if len(r.errors) == keptErrors {
		copy(r.errors, r.errors[1:])
		r.errors = r.errors[:keptErrors-1]
	}
	r.errors = append(r.errors, l.Text)
}

// last answers the newest lines, oldest first.
func (r *lineRing) last(n int) []Line {
	n = min(n, r.n, keptLines)
	out := make([]Line, 0, n)
	for i := r.n - n; i < r.n; i++ {
		out = append(out, r.lines[i%keptLines])
	}
	return out
}

func (o *owner) feedStderr(data []byte) {
	if len(data) == 0 {
		return
	}
	o.proc.received += uint64(len(data))
	o.proc.errLines.Feed(data, o.line)
	o.sawOutput()
}

func (o *owner) feedStdout(data []byte) {
	if len(data) == 0 {
		return
	}
	o.proc.received += uint64(len(data))
	o.proc.outLines.Feed(data, o.line)
	o.sawOutput()
}

// sawOutput: any output is activity where there is no progress to judge by.
func (o *owner) sawOutput() {
	if o.m.simple() {
		o.step(evOutput{})
	}
}

// line takes one line of stderr, or of a stdout that goes to the journal.
func (o *owner) line(raw []byte, stats bool) {
	if stats || len(raw) == 0 {
		return // progress tells the same, better
	}
	text := o.cfg.Redact.String(string(raw))
	if ffmpeg.IsStats(text) {
		return
	}
	now := o.time()
	l := Line{Time: now, Priority: plainPriority, Text: text}
	isError := true
	if o.m.def.Type == streamfile.TypeFFmpeg {
		parsed := ffmpeg.ParseLine(text)
		if parsed.HasLevel {
			o.proc.prevLevel, o.proc.tagged = parsed.Level.Priority(), true
			l.Text = parsed.Text
		}
		l.Priority = o.proc.prevLevel
		// A -loglevel of the user's own may leave the levels out.
		isError = l.Priority <= warnPriority || !o.proc.tagged
	}
	if strings.TrimSpace(l.Text) == "" {
		return // ffmpeg parts its paragraphs by tagged empty lines
	}
	o.lines.add(l, isError)
	o.sawSomething(false)
	o.log.line(o.m, now, l)
}

// explain finds in the last lines what the exit code does not say.
func (o *owner) explain(x *exit) {
	last := o.lines.last(keptLines)
	texts := make([]string, 0, len(last))
	for _, l := range last {
		if o.proc != nil && l.Time.Before(o.proc.started) {
			continue // of an earlier run
		}
		texts = append(texts, tagged(l))
	}
	hint := ffmpeg.Explain(texts)
	x.exists = hint.OutputExists && x.code != 0
	if x.code != 0 || x.signal != 0 {
		x.hint = hint.Text
	}
}

// tagged is a line with its level again: it says which line is the cause.
func tagged(l Line) string {
	switch {
	case l.Priority <= 2:
		return "[fatal] " + l.Text
	case l.Priority == 3:
		return "[error] " + l.Text
	case l.Priority == 4:
		return "[warning] " + l.Text
	case l.Priority == 6:
		return "[info] " + l.Text
	}
	return "[verbose] " + l.Text
}
