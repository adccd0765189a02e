package streamfile

import (
	"slices"
	"testing"
)

func TestQuotedWordIsThatWordInACommand(t *testing.T) {
	for _, w := range []string{"", "plain", "two words", "#", ";", `\`, `"`, "'", "a\nb\tc\x01\xff\x7f", "%03d", "ü", "-vf", "x;y", "a=b,c"} {
		d := definition(t, "[Stream]\nExecStart=program \\\n"+QuoteWord(w)+" \\\n"+QuoteWord(w)+"\n")
		if got := d.ExecStart.Words; !slices.Equal(got, []string{"program", w, w}) {
			t.Errorf("%q, quoted as %s, is read as %q", w, QuoteWord(w), got)
		}
	}
}

func TestCommandsArePartedByASemicolonThatStandsAlone(t *testing.T) {
	got, err := SplitCommands(`a b; ";" \; c ; ; d ;e`)
	want := [][]string{{"a", "b;", ";", ";", "c"}, {"d", ";e"}}
	if err != nil || !slices.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := SplitCommands(`a "b`); err == nil {
		t.Error("an open quote is taken")
	}
}

func TestUnitIsReadWithSectionsAndLines(t *testing.T) {
	got, errs := ParseUnit("x.service", []byte("[Unit]\nA=1 \\\n 2\njunk\n[Service]\nB = \"c\"\n"))
	want := []Assignment{{"Unit", "A", "1   2", 2}, {"Service", "B", `"c"`, 6}}
	if !slices.Equal(got, want) || len(errs) != 1 || errs[0].Line != 4 || errs[0].File != "x.service" {
		t.Errorf("got %+v, %v", got, errs)
	}
}
