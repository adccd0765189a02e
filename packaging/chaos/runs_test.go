package chaos

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// runsAreExact holds what the keepers know of the brief stream's many lives
// against what its processes wrote down themselves.
func (l *lives) runsAreExact() {
	l.t.Helper()
	codes := l.runs()
	h := l.report()["brief"]
	// One that was stopped before it could say that it cannot be has written
	// nothing either.
	known := slices.DeleteFunc(slices.Clone(h.ExitCodes), func(c int32) bool { return c == -15 })
	const byHand = 3 // by Autostart=, and twice by calm
	// Each of calm's two stops may fall into a start: that run is no restart
	// then, or it is one and was stopped before it could write anything.
	const inBetween = 2
	off := int(h.RestartCount) - (len(codes) - byHand)
	if off < -inBetween || off > inBetween || !slices.Equal(known, codes[max(0, len(codes)-len(known)):]) {
		l.t.Errorf("brief has run %d times and is said to have been restarted %d times; its last codes are %v, not %v",
			len(codes), h.RestartCount, codes[max(0, len(codes)-10):], h.ExitCodes)
	}
	l.t.Logf("brief has lived and died %d times", len(codes))
	everyEndOnce(l.t, codes, l.logged("brief"), l.deaths)
}

// runs are the exit codes that testdata/brief has written down.
func (p *plain) runs() (codes []int32) {
	p.t.Helper()
	b, err := os.ReadFile(p.work + "/brief.runs")
	if err != nil {
		p.t.Fatal(err)
	}
	for s := range strings.FieldsSeq(string(b)) {
		n, _ := strconv.Atoi(s)
		codes = append(codes, int32(n))
	}
	return codes
}

// everyEndOnce holds the ends that were logged against those that were: none is
// told twice, and with no death of a keeper none is missing but the one that
// was asked for.
func everyEndOnce(t *testing.T, codes []int32, logged []string, deaths int) {
	t.Helper()
	n, rest := 0, codes
	for _, line := range logged {
		_, text, ok := strings.Cut(line, "ended unasked: exited with code ")
		if !ok {
			continue
		}
		n++
		code, _ := strconv.Atoi(text)
		i := slices.Index(rest, int32(code))
		if i < 0 || i > deaths {
			t.Errorf("the end with code %d is told twice, or out of order", code)
			return
		}
		rest = rest[i+1:]
	}
	if deaths == 0 && n < len(codes)-1 {
		t.Errorf("of %d ends %d were told", len(codes), n)
	}
}
