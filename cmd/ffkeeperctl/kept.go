package main

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// keptMax is how many lines of a stream the keeper keeps.
const keptMax = 50

// keptLines shows the lines that the keeper keeps of streams, in the order of
// time, and with follow what comes.
func (a *app) keptLines(ctx context.Context, k *keeper, names []string, f logsFlags) error {
	var since time.Time
	if f.since != "" {
		since, _ = parseSince(f.since, a.now()) // checked with the flags
	}
	followers := make([]*follower, len(names))
	var first []journalLine
	for i, name := range names {
		followers[i] = &follower{name: name}
		lines, err := k.lines(ctx, name, keptMax)
		if err != nil {
			return explain("logs "+name, err)
		}
		fresh, _ := followers[i].next(lines)
		first = append(first, fresh...)
	}
	first = slices.DeleteFunc(first, func(l journalLine) bool { return l.time().Before(since) })
	sortLines(first)
	if f.lines >= 0 && len(first) > f.lines {
		first = first[len(first)-f.lines:]
	}
	if !f.follow {
		if a.json {
			return a.printJSON(orEmpty(first))
		}
		if len(first) == 0 {
			a.note("-- no lines kept --")
		}
		return a.printKept(first, len(names) > 1)
	}
	if err := a.printFollowed(first, len(names) > 1); err != nil {
		return err
	}
	return a.followKept(ctx, k, followers)
}

// followInterval is how often the keeper is asked for new lines: D-Bus has no
// signal for them, on purpose.
const followInterval = 500 * time.Millisecond

func (a *app) followKept(ctx context.Context, k *keeper, followers []*follower) error {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var fresh []journalLine
		for _, f := range followers {
			lines, err := k.lines(ctx, f.name, keptMax)
			if err != nil {
				return explain("logs "+f.name, err)
			}
			more, lost := f.next(lines)
			if lost {
				a.note("-- " + f.name + ": more lines than the keeper keeps; some are missing --")
			}
			fresh = append(fresh, more...)
		}
		sortLines(fresh)
		if err := a.printFollowed(fresh, len(followers) > 1); err != nil {
			return err
		}
	}
}

func (a *app) printFollowed(lines []journalLine, named bool) error {
	if !a.json {
		return a.printKept(lines, named)
	}
	for _, l := range lines {
		if err := a.printJSON(l); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printKept(lines []journalLine, named bool) error {
	out := make([]line, 0, len(lines))
	for _, l := range lines {
		r := renderLine(l.logLine, a.now())
		if named {
			r = slices.Insert(r, 1, piece{bold, l.Name + ": "})
		}
		out = append(out, r)
	}
	// lines are data: whole, also in a narrow terminal
	p := a.printer()
	p.width = 0
	return fail(p.print(out...))
}

func sortLines(lines []journalLine) {
	slices.SortStableFunc(lines, func(x, y journalLine) int { return cmp.Compare(x.RealtimeUsec, y.RealtimeUsec) })
}

// follower finds what is new in successive looks at a stream's kept lines.
// Lines have no number; but they only ever leave at the front, so the longest
// end of the last look that the new one begins with is what is known already.
type follower struct {
	name string
	last []logLine
}

// next answers the new lines, and whether some may have come and gone between
// the looks.
func (f *follower) next(lines []logLine) (fresh []journalLine, lost bool) {
	known := 0
	for start := range f.last {
		end := f.last[start:]
		if len(end) <= len(lines) && slices.Equal(end, lines[:len(end)]) {
			known = len(end)
			break
		}
	}
	lost = len(f.last) > 0 && known == 0 && len(lines) == keptMax
	f.last = lines
	for _, l := range lines[known:] {
		fresh = append(fresh, journalLine{f.name, l})
	}
	return fresh, lost
}
