package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanNeutralisesWhatATerminalActsOn(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä 庭 🎥":          "plain ä 庭 🎥",
		"\x1b[31mred":          `\x1b[31mred`,
		"a\tb":                 "a b",
		"a\nb\rc":              `a\nb\rc`,
		"\x00\x07\x7f":         `\x00\x07\x7f`,
		"\u009b31m":            `\x9b31m`,
		"bad \xff\xfe utf-8":   `bad \xff\xfe utf-8`,
		"\u202egnp.exe":        `\u202egnp.exe`,
		"a\u2028b":             `a\u2028b`,
		"\u2066x\u2069 \u200f": `\u2066x\u2069 \u200f`,
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanIsHarmlessAndIdempotent(f *testing.F) {
	for _, s := range []string{"", "x", "\x1b[2J", "\u009b", "\xff", "e\u0301", "\u202e", "🎥", "a\tb\n"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		c := clean(s)
		if !utf8.ValidString(c) || firstUnsafe(c) >= 0 {
			t.Fatalf("clean(%q) = %q is not harmless", s, c)
		}
		if clean(c) != c {
			t.Fatalf("clean is not idempotent for %q", s)
		}
		for l := range strings.Lines(cleanText(s)) {
			l = strings.ReplaceAll(strings.TrimSuffix(l, "\n"), "\t", "")
			if firstUnsafe(l) >= 0 {
				t.Fatalf("cleanText(%q) leaves %q", s, l)
			}
		}
		if width > 0 && width < 1000 {
			if w := textWidth(cut(c, width, "…")); w > width {
				t.Fatalf("cut(%q, %d) is %d wide", c, width, w)
			}
		}
	})
}

func TestWidthCountsCells(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "ä": 1, "e\u0301": 1, "庭": 2, "한국어": 6, "🎥": 2, "…": 1, "●": 1, "x\u200by": 2, "ｱ": 1, "Ａ": 2,
	} {
		if got := textWidth(s); got != want {
			t.Errorf("textWidth(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestCutKeepsWithinTheWidth(t *testing.T) {
	for _, c := range []struct {
		s     string
		width int
		want  string
	}{
		{"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"庭庭庭", 5, "庭庭…"}, {"庭庭庭", 4, "庭…"},
		{"abc", 1, "…"}, {"abc", 0, ""}, {"", 0, ""},
	} {
		if got := cut(c.s, c.width, "…"); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.s, c.width, got, c.want)
		}
	}
}

func TestPrinterWritesNoEscapesWithoutColour(t *testing.T) {
	var b strings.Builder
	p := printer{w: &b, glyphs: utf8Glyphs}
	if err := p.print(line{{red, "a\x1b[0m"}, {plain, "b"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), `a\x1b[0mb`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrinterCutsAcrossPiecesAndEndsEveryColour(t *testing.T) {
	var b strings.Builder
	p := printer{w: &b, color: true, width: 6, glyphs: utf8Glyphs}
	if err := p.print(line{{red, "abc"}, {plain, "def"}, {green, "ghi"}}, line{{red, "abcdef"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "\x1b[1;31mabc\x1b[0mde…\n\x1b[1;31mabcdef\x1b[0m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
