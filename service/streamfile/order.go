package streamfile

import (
	"fmt"
	"slices"
	"strings"
)

// Check finds what is wrong between the streams and adds it to the entries
// concerned, which lose their Definition: a stream in Requires= that does not
// exist or is masked, and circles of After= and Requires=. What is only odd
// becomes a warning: After=, OnFailure= and OnRestart= with names that do not
// exist. Load has called it already.
func (s *Set) Check() {
	errs := slices.Concat(s.missing(), s.cycles())
	for _, e := range s.sorted() {
		if d := e.Definition; d != nil {
			e.Warnings = append(e.Warnings, s.odd(d)...)
		}
	}
	for _, err := range errs {
		e := s.Streams[err.Stream]
		e.Errors = append(e.Errors, err)
		e.Definition = nil
	}
}

// Order answers the streams that have a Definition in the order in which they
// can be started: each group may start at once when the groups before it are
// up. Stopping goes the other way round. Streams that are part of a circle, or
// come after one, are in no group; errs names the circles. On a set that has
// been checked there are none.
func (s *Set) Order() (start [][]string, errs []*Error) {
	start, _ = s.order()
	return start, s.cycles()
}

// order also answers the streams that are in no group.
func (s *Set) order() (start [][]string, left map[string]int) {
	left = make(map[string]int) // how many a stream still waits for
	after := make(map[string][]string)
	var group []string
	for _, e := range s.sorted() {
		if e.Definition == nil {
			continue
		}
		for _, other := range s.Before(e.Name) {
			if s.Streams[other].Definition != nil {
				left[e.Name]++
				after[other] = append(after[other], e.Name)
			}
		}
		if left[e.Name] == 0 {
			group = append(group, e.Name)
		}
	}
	for len(group) > 0 {
		start = append(start, group)
		var next []string
		for _, name := range group {
			for _, follower := range after[name] {
				if left[follower]--; left[follower] == 0 {
					delete(left, follower)
					next = append(next, follower)
				}
			}
		}
		slices.Sort(next)
		group = next
	}
	return start, left
}

// Before are the streams of the set that name waits for, sorted: those of its
// After= and Requires= that exist, not what these in turn wait for.
func (s *Set) Before(name string) []string {
	e := s.Streams[name]
	if e == nil || e.Definition == nil {
		return nil
	}
	all := slices.Concat(e.Definition.After, e.Definition.Requires)
	all = slices.DeleteFunc(all, func(other string) bool { return s.Streams[other] == nil || s.Streams[other].Masked })
	slices.Sort(all)
	return slices.Compact(all)
}

// Dependents are the streams that cannot be without name, sorted: those that
// require it, those that require these, and so on.
func (s *Set) Dependents(name string) []string {
	requiredBy := make(map[string][]string)
	for _, e := range s.Streams {
		if e.Definition != nil {
			for _, other := range e.Definition.Requires {
				requiredBy[other] = append(requiredBy[other], e.Name)
			}
		}
	}
	seen := map[string]bool{name: true}
	out := []string{name}
	for i := 0; i < len(out); i++ {
		for _, next := range requiredBy[out[i]] {
			if !seen[next] {
				seen[next] = true
				out = append(out, next)
			}
		}
	}
	out = out[1:]
	slices.Sort(out)
	return out
}

// missing are the errors of Requires= with names that cannot be had.
func (s *Set) missing() (errs []*Error) {
	for _, e := range s.sorted() {
		if e.Definition == nil {
			continue
		}
		before := len(errs)
		for _, other := range e.Definition.Requires {
			switch o := s.Streams[other]; {
			case len(errs)-before > maxErrors:
			case o == nil:
				errs = append(errs, e.Definition.problem(e.Definition.where["Requires "+other], "Requires", s.noStream(other)))
			case o.Masked:
				errs = append(errs, e.Definition.problem(e.Definition.where["Requires "+other], "Requires",
					wrong("remove the mask, or write After=", "the stream %s is masked by %s", other, printable(o.Files[0]))))
			}
		}
	}
	return errs
}

// odd are the warnings of a definition within its set.
func (s *Set) odd(d *Definition) (warnings []*Error) {
	warn := func(option, other string) {
		if s.Streams[other] == nil && len(warnings) < maxErrors {
			warnings = append(warnings, d.problem(d.where[option+" "+other], option, s.noStream(other)))
		}
	}
	for _, other := range d.After {
		warn("After", other)
	}
	for _, h := range d.OnFailure {
		if h.Stream != "" {
			warn("OnFailure", h.Stream)
		}
	}
	for _, h := range d.OnRestart {
		if h.Stream != "" {
			warn("OnRestart", h.Stream)
		}
	}
	return warnings
}

func (s *Set) noStream(name string) *problem {
	names := make([]string, 0, len(s.Streams))
	for _, e := range s.sorted() {
		names = append(names, e.Name)
	}
	hint := ""
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return wrong(hint, "there is no stream %s", name)
}

// maxCircle is how many streams of a circle an error names.
const maxCircle = 32

// cycles are the errors of streams that wait for themselves, one for each
// stream concerned, which names the shortest way round.
func (s *Set) cycles() (errs []*Error) {
	_, left := s.order() // only these can be part of a circle
	for _, e := range s.sorted() {
		if left[e.Name] == 0 {
			continue
		}
		circle := s.circle(e.Name, left)
		if circle == nil {
			continue
		}
		option, at := e.Definition.edge(circle[1])
		rest := ""
		if n := len(circle) - maxCircle; n > 0 {
			circle, rest = circle[:maxCircle], fmt.Sprintf(" and %d more", n)
		}
		steps := make([]string, len(circle)-1)
		for i, name := range circle[:len(circle)-1] {
			option, at := s.Streams[name].Definition.edge(circle[i+1])
			steps[i] = fmt.Sprintf("%s has %s=%s", name, option, circle[i+1])
			if at.file != "" {
				steps[i] += " at " + at.String()
			}
		}
		errs = append(errs, e.Definition.problem(at, option, wrong("remove one of them",
			"the streams wait for each other: %s%s: %s", strings.Join(circle, " → "), rest, strings.Join(steps, ", "))))
	}
	return errs
}

// edge is where d says that it comes after other.
func (d *Definition) edge(other string) (option string, at position) {
	option = "Requires"
	if slices.Contains(d.After, other) {
		option = "After"
	}
	return option, d.where[option+" "+other]
}

// circle is the shortest way from name back to name through streams of among,
// both ends included; nil if there is none.
func (s *Set) circle(name string, among map[string]int) []string {
	from := map[string]string{}
	queue := []string{name}
	for i := 0; i < len(queue); i++ {
		for _, next := range s.Before(queue[i]) {
			if next == name {
				way := []string{name}
				for at := queue[i]; at != name; at = from[at] {
					way = append(way, at)
				}
				slices.Reverse(way[1:])
				return append(way, name)
			}
			if _, ok := from[next]; !ok && among[next] > 0 {
				from[next] = queue[i]
				queue = append(queue, next)
			}
		}
	}
	return nil
}
