package ffmpeg_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg"
)

// split feeds text in pieces of n bytes; a line that ended in a bare carriage
// return gets a < behind it.
func split(s *ffmpeg.LineSplitter, text string, n int) (lines []string) {
	take := func(raw []byte, stats bool) {
		mark := ""
		if stats {
			mark = "<"
		}
		lines = append(lines, string(raw)+mark)
	}
	for text != "" {
		n := min(n, len(text))
		s.Feed([]byte(text[:n]), take)
		text = text[n:]
	}
	s.Flush(take)
	return lines
}

func TestLineSplitterSplitsAtEveryLineEnd(t *testing.T) {
	for text, want := range map[string][]string{
		"a\nb\n":                {"a", "b"},
		"a\r\nb\r\n":            {"a", "b"},
		"a\rb\rc\n":             {"a<", "b<", "c"},
		"a\r":                   {"a<"},
		"a":                     {"a"},
		"":                      nil,
		"\n\n\r\r\n\r":          nil,
		"a\n\nb":                {"a", "b"},
		"a\r\r\nb":              {"a<", "b"},
		"\xff\x00\xfe\nb":       {"\xff\x00\xfe", "b"},
		"frame=1  \rx\r\ny\r\n": {"frame=1  <", "x", "y"},
	} {
		for n := 1; n <= len(text)+1; n++ {
			var s ffmpeg.LineSplitter
			if got := split(&s, text, n); !slices.Equal(got, want) {
				t.Errorf("%q in pieces of %d: %q, want %q", text, n, got, want)
			}
			if s.Cut() != 0 {
				t.Errorf("%q: %d lines were cut", text, s.Cut())
			}
		}
	}
}

func TestLineSplitterHandsALineOutAsItEnds(t *testing.T) {
	var s ffmpeg.LineSplitter
	var got []string
	take := func(raw []byte, _ bool) { got = append(got, string(raw)) }
	s.Feed([]byte("one\ntw"), take)
	if !slices.Equal(got, []string{"one"}) {
		t.Fatalf("after a line and a half: %q", got)
	}
	s.Feed([]byte("o\r"), take)
	s.Feed([]byte("\nthree"), take)
	if !slices.Equal(got, []string{"one", "two"}) {
		t.Fatalf("after two lines and a half: %q", got)
	}
	s.Flush(take)
	s.Flush(take)
	if !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Fatalf("at the end: %q", got)
	}
}

func TestLineSplitterCutsALongLineBetweenWords(t *testing.T) {
	secret := "rtmp://host/app/" + strings.Repeat("s", 200)
	long := strings.Repeat("word ", 1630) + secret + " and more " + strings.Repeat("y", 20_000)
	for _, n := range []int{1, 100, 8192, 1 << 20} {
		var s ffmpeg.LineSplitter
		got := split(&s, "before\n"+long+"\nafter\n", n)
		if len(got) != 3 || got[0] != "before" || got[2] != "after" {
			t.Fatalf("in pieces of %d: %d lines", n, len(got))
		}
		if len(got[1]) > ffmpeg.DefaultMaxLine || strings.Contains(got[1], "rtmp:") || !strings.HasSuffix(got[1], "word") {
			t.Errorf("in pieces of %d: cut at %d: …%q", n, len(got[1]), got[1][len(got[1])-20:])
		}
		if s.Cut() != 1 {
			t.Errorf("in pieces of %d: Cut() = %d", n, s.Cut())
		}
	}
}

func TestLineSplitterKeepsALineOfExactlyTheMaximum(t *testing.T) {
	for _, n := range []int{1, 7, 100} {
		s := ffmpeg.LineSplitter{Max: 20}
		if got := split(&s, "aaaaaaaaa bbbbbbbbbb\nx\n", n); !slices.Equal(got, []string{"aaaaaaaaa bbbbbbbbbb", "x"}) || s.Cut() != 0 {
			t.Errorf("in pieces of %d: %q, %d cut", n, got, s.Cut())
		}
		if got := split(&s, "aaaaaaaaa bbbbbbbbbbb\rx\n", n); !slices.Equal(got, []string{"aaaaaaaaa<", "x"}) || s.Cut() != 1 {
			t.Errorf("in pieces of %d, a byte more: %q, %d cut", n, got, s.Cut())
		}
	}
}

func TestLineSplitterDropsTheLastKiBOfALineOfOneWord(t *testing.T) {
	var s ffmpeg.LineSplitter
	got := split(&s, strings.Repeat("ä", 10_000)+"\n", 1000)
	if len(got) != 1 || len(got[0]) < 7*1024-4 || len(got[0]) > 7*1024 {
		t.Fatalf("%d lines, the first of %d bytes", len(got), len(got[0]))
	}
	if strings.Trim(got[0], "ä") != "" {
		t.Errorf("a character was cut: …%q", got[0][len(got[0])-4:])
	}
}

func TestALineReadOnElsewhereIsWhole(t *testing.T) {
	const text = "one\ntwo\r\nthree\rfour\n\n\rfive"
	var want []string
	collect := func(to *[]string) func([]byte, bool) {
		return func(raw []byte, stats bool) { *to = append(*to, fmt.Sprintf("%s %v", raw, stats)) }
	}
	var whole ffmpeg.LineSplitter
	whole.Feed([]byte(text), collect(&want))
	whole.Flush(collect(&want))
	for cut := range len(text) + 1 {
		var got []string
		var a, b ffmpeg.LineSplitter
		a.Feed([]byte(text[:cut]), collect(&got))
		b.Resume(a.Leave())
		b.Feed([]byte(text[cut:]), collect(&got))
		b.Flush(collect(&got))
		if !slices.Equal(got, want) {
			t.Errorf("cut at %d: %q, want %q", cut, got, want)
		}
	}
}

func TestNothingOfALongLineIsReadOnElsewhere(t *testing.T) {
	a := ffmpeg.LineSplitter{Max: 10}
	a.Feed([]byte("one two three"), func(raw []byte, _ bool) { t.Errorf("%q", raw) })
	var b ffmpeg.LineSplitter
	b.Resume(a.Leave())
	var got []string
	b.Feed([]byte(" four\nfive\n"), func(raw []byte, _ bool) { got = append(got, string(raw)) })
	if !slices.Equal(got, []string{"five"}) {
		t.Errorf("%q", got)
	}
}
