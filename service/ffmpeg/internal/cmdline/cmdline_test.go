package cmdline

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestOptionsAreSorted(t *testing.T) {
	if !slices.IsSortedFunc(options[:], func(a, b option) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the table of options is not sorted by name")
	}
	for _, o := range options {
		if kindOf(o.name) != o.kind {
			t.Errorf("kindOf(%q) does not find it", o.name)
		}
	}
}

func TestSplitReadsAsFFmpegDoes(t *testing.T) {
	in := func(url string) Item { return Item{Kind: Input, Value: url} }
	out := func(url string) Item { return Item{Kind: Output, Value: url} }
	opt := func(name, value string) Item { return Item{Name: name, Value: value} }
	for _, c := range []struct {
		line string
		want []Item
	}{
		{"-i - -f - -", []Item{in("-"), opt("f", "-"), out("-")}},
		{"-vn -", []Item{{Name: "vn"}, out("-")}},
		{"-y -n a", []Item{{Name: "y"}, {Name: "n"}, out("a")}},
		{"-c:v:0 copy a", []Item{{Name: "c", Spec: "v:0", Value: "copy"}, out("a")}},
		{"-nostdin -nostats a", []Item{{Name: "stdin", Off: true}, {Name: "stats", Off: true}, out("a")}},
		{"-noautorotate:v a", []Item{{Name: "autorotate", Spec: "v", Off: true}, out("a")}},
		{"-autorotate 0 -i a", []Item{opt("autorotate", "0"), in("a")}},
		{"-autorotate -i a", []Item{{Name: "autorotate"}, in("a")}},
		{"-autoscale", []Item{{Name: "autoscale"}}},
		// An option of a library takes a value, whatever it looks like.
		{"-fflags -i a", []Item{opt("fflags", "-i"), out("a")}},
		{"-noise 3 a", []Item{opt("noise", "3"), out("a")}},
		{"-x264-params no-scenecut=1 a", []Item{opt("x264-params", "no-scenecut=1"), out("a")}},
		{"-/filter_complex graph -map [v] a", []Item{{Name: "filter_complex", Value: "graph", FromFile: true}, opt("map", "[v]"), out("a")}},
		{"-- -a.mp4 -y", []Item{out("-a.mp4"), {Name: "y"}}},
		{"a --", []Item{out("a")}},
		{"-xerror -reinit_filter 0 -vstats -report a", []Item{{Name: "xerror"}, opt("reinit_filter", "0"), {Name: "vstats"}, {Name: "report"}, out("a")}},
		{"-h full", []Item{opt("h", "full")}},
		{"--help long", []Item{opt("-help", "long")}},
		{"-i", []Item{{Kind: Input, Missing: true}}},
		{"-b:v", []Item{{Name: "b", Spec: "v", Missing: true}}},
		{"-/y f", []Item{{Name: "y", Value: "f", FromFile: true}}},
		{"", nil},
	} {
		got := Split(strings.Fields(c.line))
		if len(got) == 0 && len(c.want) == 0 {
			continue
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("Split(%s)\n got %+v\nwant %+v", c.line, got, c.want)
		}
	}
}

func TestEmptyArgumentIsAnOutput(t *testing.T) {
	if got := Split([]string{"", "-"}); len(got) != 2 || got[0].Kind != Output || got[1].Kind != Output {
		t.Errorf("Split of an empty argument and a dash: %+v", got)
	}
}
