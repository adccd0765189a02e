package redact

import (
	"cmp"
	"slices"
	"strings"
)

// span is a part of a text, [from, to) in bytes, that must be removed.
type span struct{ from, to int }

// replace puts Marker in the place of each of the found parts, in any order
// and overlapping as they may be; parts that touch become one. It reports
// whether anything changed: nothing does where all that was found are markers
// of an earlier pass.
func replace(s string, found []span) (out string, changed bool) {
	// Markers are atoms: a part that reaches into one takes all of it, or
	// what is left of it would be gibberish that the next pass sees anew.
	for at := 0; ; {
		i := strings.Index(s[at:], Marker)
		if i < 0 {
			break
		}
		found = append(found, span{at + i, at + i + len(Marker)})
		at += i + len(Marker)
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	merged := found[:0]
	for _, f := range found {
		if f.from >= f.to {
			continue
		}
		if n := len(merged); n > 0 && f.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, f.to)
			continue
		}
		merged = append(merged, f)
	}
	size := len(s)
	for _, f := range merged {
		size += len(Marker) - (f.to - f.from)
		changed = changed || s[f.from:f.to] != Marker
	}
	if !changed {
		return s, false
	}
	var b strings.Builder
	b.Grow(size)
	at := 0
	for _, f := range merged {
		b.WriteString(s[at:f.from])
		b.WriteString(Marker)
		at = f.to
	}
	b.WriteString(s[at:])
	return b.String(), true
}
