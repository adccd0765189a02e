package main

import (
	"path"
	"slices"
	"strings"
)

// unknownName is an argument that names no stream.
type unknownName struct {
	arg  string
	near string // the most alike name there is, "" if none is
}

func (u unknownName) text() string {
	switch {
	case isGlob(u.arg):
		return u.arg + ": no stream matches"
	case u.near != "":
		return u.arg + ": no such stream; did you mean " + u.near + "?"
	}
	return u.arg + ": no such stream (ffkeeperctl list shows all; after adding a file: ffkeeperctl reload)"
}

// expand resolves arguments to names in the order given, each once. Patterns
// are those of systemctl: * ? [].
func expand(args, names []string) (found []string, unknown []unknownName) {
	seen := map[string]bool{}
	add := func(n string) {
		if !seen[n] {
			seen[n] = true
			found = append(found, n)
		}
	}
	for _, arg := range args {
		name := strings.TrimSuffix(arg, ".stream")
		switch {
		case slices.Contains(names, arg):
			add(arg)
		case slices.Contains(names, name):
			add(name)
		case isGlob(name):
			matched := false
			for _, n := range names {
				if ok, err := path.Match(name, n); ok && err == nil {
					add(n)
					matched = true
				}
			}
			if !matched {
				unknown = append(unknown, unknownName{arg: arg})
			}
		default:
			unknown = append(unknown, unknownName{arg: arg, near: nearest(name, names)})
		}
	}
	return found, unknown
}

func isGlob(s string) bool { return strings.ContainsAny(s, "*?[") }

// plausible reports whether a stream may have that name (letters, digits and
// -_.@, at most 100). A keeper sends no others; what is
// on the bus in its place, or on another host, might.
func plausible(name string) bool {
	strange := strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.@", r))
	})
	return name != "" && len(name) <= 100 && strange < 0 && !strings.HasPrefix(name, "-")
}

// nearest is the name that was probably meant: one mistake in a short name,
// two in one of 7 characters or more.
func nearest(name string, names []string) string {
	best, limit := "", 1
	if len(name) >= 7 {
		limit = 2
	}
	for _, n := range names {
		if d := distance(name, n); d <= limit {
			best, limit = n, d-1
		}
	}
	return best
}

// distance is how many letters have to be changed, added, left out or swapped
// with their neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
