package streamfile

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// graph makes a set of streams: "a: b c!" is a stream a after b that requires c.
func graph(lines ...string) *Set {
	s := &Set{Streams: make(map[string]*Entry)}
	for _, line := range lines {
		name, others, _ := strings.Cut(line, ":")
		d := New(name, []string{"program"})
		for _, other := range strings.Fields(others) {
			if required, ok := strings.CutSuffix(other, "!"); ok {
				d.Requires = append(d.Requires, required)
			} else {
				d.After = append(d.After, other)
			}
		}
		s.Streams[name] = &Entry{Name: name, Definition: d}
	}
	return s
}

func TestOrderStartsTogetherWhatIsFree(t *testing.T) {
	for _, test := range []struct {
		set  *Set
		want [][]string
	}{
		{graph(), nil},
		{graph("b", "a"), [][]string{{"a", "b"}}},
		{graph("c: b", "b: a", "a", "x"), [][]string{{"a", "x"}, {"b"}, {"c"}}},
		{graph("c: a! b!", "b: a", "a"), [][]string{{"a"}, {"b"}, {"c"}}},
		{graph("a: nobody"), [][]string{{"a"}}},
		{graph("d: b c", "c: a", "b: a", "a"), [][]string{{"a"}, {"b", "c"}, {"d"}}},
		{graph("b: a a! a", "a"), [][]string{{"a"}, {"b"}}},
	} {
		got, errs := test.set.Order()
		if diff := cmp.Diff(test.want, got); diff != "" || len(errs) > 0 {
			t.Errorf("%s %s", diff, texts(errs))
		}
	}
}

func TestCirclesAreNamedWhole(t *testing.T) {
	for _, test := range []struct {
		set   *Set
		start [][]string
		want  map[string]string // circle by stream
	}{
		{graph("a: b", "b: a"), nil, map[string]string{"a": "a → b → a", "b": "b → a → b"}},
		{graph("a: b", "b: c!", "c: a", "x: a", "y"), [][]string{{"y"}}, map[string]string{"a": "a → b → c → a", "b": "b → c → a → b", "c": "c → a → b → c"}},
		// Two circles that share a stream: each names the shortest way.
		{graph("a: b c", "b: a", "c: d", "d: a"), nil, map[string]string{"a": "a → b → a", "b": "b → a → b", "c": "c → d → a → c", "d": "d → a → c → d"}},
	} {
		start, errs := test.set.Order()
		if diff := cmp.Diff(test.start, start); diff != "" {
			t.Error(diff)
		}
		got := make(map[string]string)
		for _, e := range errs {
			_, circle, _ := strings.Cut(e.Msg, "each other: ")
			got[e.Stream], _, _ = strings.Cut(circle, ":")
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Error(diff)
		}

		test.set.Check()
		for name, e := range test.set.Streams {
			if _, wrong := test.want[name]; wrong != (e.Definition == nil) || wrong != (len(e.Errors) == 1) {
				t.Errorf("%s: definition %v, errors %s", name, e.Definition != nil, texts(e.Errors))
			}
		}
		if _, errs := test.set.Order(); len(errs) > 0 {
			t.Errorf("after the check there are still circles: %s", texts(errs))
		}
	}
}

func TestBrokenStreamsHoldNobodyUp(t *testing.T) {
	s := graph("a", "b: a", "c: b!")
	s.Streams["a"].Definition = nil
	s.Streams["masked"] = &Entry{Name: "masked", Masked: true, Files: []string{"/x"}}
	s.Streams["b"].Definition.After = append(s.Streams["b"].Definition.After, "masked")
	s.Check()
	start, errs := s.Order()
	if diff := cmp.Diff([][]string{{"b"}, {"c"}}, start); diff != "" || len(errs) > 0 {
		t.Error(diff, texts(errs))
	}
}

func TestBeforeAndDependents(t *testing.T) {
	s := graph("a", "b: a!", "c: b! a nobody", "d: c", "e: b!", "f: e!")
	s.Streams["masked"] = &Entry{Name: "masked", Masked: true}
	s.Streams["c"].Definition.After = append(s.Streams["c"].Definition.After, "masked")
	if diff := cmp.Diff([]string{"a", "b"}, s.Before("c")); diff != "" {
		t.Error(diff)
	}
	if got := s.Before("nobody"); got != nil {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{"b", "c", "e", "f"}, s.Dependents("a")); diff != "" {
		t.Error(diff)
	}
	if got := s.Dependents("d"); len(got) != 0 {
		t.Errorf("After= alone makes a dependent: %q", got)
	}
}

func TestRequiresOfMissingStreamBreaksOnlyThatStream(t *testing.T) {
	s := graph("camera", "a: camara! x!", "b: a!", "c: nobody")
	s.Check()
	if got := texts(s.Streams["a"].Errors); got != "a: Requires=: there is no stream camara; did you mean camera?\na: Requires=: there is no stream x\n" {
		t.Errorf("got %q", got)
	}
	if s.Streams["a"].Definition != nil || s.Streams["b"].Definition == nil {
		t.Error("the wrong stream is broken")
	}
	if w := texts(s.Streams["c"].Warnings); w != "c: After=: there is no stream nobody\n" || s.Streams["c"].Definition == nil {
		t.Errorf("After= of a stream that there is not: %q", w)
	}
}

func TestInstancesOfTemplatesWaitForEachOther(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/enc@.stream":   minimal + "Requires=in@${INSTANCE}\n",
		"etc/enc@1.stream":  "-> enc@.stream",
		"etc/in@.stream":    minimal,
		"etc/in@1.stream":   "-> in@.stream",
		"etc/enc@2.stream":  "-> enc@.stream",
		"etc/after.stream":  minimal + "After=enc@1.stream\n",
		"etc/after2.stream": minimal + "After=after.stream\n",
	})
	s := loaderFor(root).Load()
	if got, want := texts(s.Streams["enc@2"].Errors), filepath.Join(root, "etc/enc@.stream")+":3: Requires=: there is no stream in@2; did you mean in@1?\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	start, _ := s.Order()
	if diff := cmp.Diff([][]string{{"in@1"}, {"enc@1"}, {"after"}, {"after2"}}, start); diff != "" {
		t.Error(diff)
	}
}

func TestLongCircleAndLongChain(t *testing.T) {
	const n = 300
	var chain []string
	for i := range n {
		chain = append(chain, fmt.Sprintf("s%d: s%d", i, i+1))
	}
	start, errs := graph(append(chain, fmt.Sprintf("s%d", n))...).Order()
	if len(start) != n+1 || len(errs) != 0 {
		t.Errorf("a chain of %d streams starts in %d groups, %d errors", n+1, len(start), len(errs))
	}
	start, errs = graph(append(chain, fmt.Sprintf("s%d: s0", n))...).Order()
	if len(start) != 0 || len(errs) != n+1 {
		t.Errorf("a circle of %d streams starts in %d groups, %d errors", n+1, len(start), len(errs))
	}
	if text := errs[0].Error(); !strings.Contains(text, fmt.Sprintf("and %d more", n+2-maxCircle)) || len(text) > 10_000 {
		t.Errorf("got %q", text)
	}
}
