package chaos

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What a keeper that is killed may have read of one stream and not logged yet,
// in lines of testdata/numbers. In bytes: what the shim had read for it
// meanwhile and handed over (its maxRing), what the pump holds (DefaultLimit),
// and a buffer of that size with the stream's goroutine. In records: the
// journal's queue, and as much again that is being written.
const (
	numberLine = len("number 0000000\n")
	lossBound  = 3*(64<<10)/numberLine + 2*4096
)

// numbers is what a log has of numbered lines.
type numbers struct {
	gaps      []gap
	fragments int      // lines of which somebody else had read the beginning
	wrong     []string // doubled, out of order, not ours
}

// gap is numbers that are missing, both included.
type gap struct{ from, to int }

func (g gap) size() int { return g.to - g.from + 1 }

var numbered = regexp.MustCompile(`^number (\d{7})$`)

// readNumbers looks at the lines of a stream, of which last was the last.
func readNumbers(lines []string, last int) (n numbers) {
	before := 0
	miss := func(to int) {
		if to > before {
			n.gaps = append(n.gaps, gap{before + 1, to})
		}
	}
	for _, line := range lines {
		m := numbered.FindStringSubmatch(line)
		if m == nil {
			if next := fmt.Sprintf("number %07d", before+1); line != "" && len(line) < len(next) {
				n.fragments++ // that it is the end of a missing line, its gap tells
			} else {
				n.wrong = append(n.wrong, fmt.Sprintf("%q after %d", line, before))
			}
			continue
		}
		i, _ := strconv.Atoi(m[1])
		if i <= before || i > last {
			n.wrong = append(n.wrong, fmt.Sprintf("%d after %d, of %d", i, before, last))
			continue
		}
		miss(i - 1)
		before = i
	}
	miss(last)
	return n
}

// lost is how many are missing.
func (n numbers) lost() (sum int) {
	for _, g := range n.gaps {
		sum += g.size()
	}
	return sum
}

// lastNumber reads what testdata/numbers leaves when it has ended.
func lastNumber(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNumbersAreReadExactly(t *testing.T) {
	line := func(n int) string { return fmt.Sprintf("number %07d", n) }
	for _, test := range []struct {
		name             string
		lines            []string
		lost, gaps, bits int
		wrong            int
	}{
		{"all", []string{line(1), line(2), line(3)}, 0, 0, 0, 0},
		{"first", []string{line(2), line(3)}, 1, 1, 0, 0},
		{"middle", []string{line(1), line(3)}, 1, 1, 0, 0},
		{"last", []string{line(1)}, 2, 1, 0, 0},
		{"none", nil, 3, 1, 0, 0},
		{"end of one", []string{line(1), "0002", line(3)}, 1, 1, 1, 0},
		{"doubled", []string{line(1), line(2), line(2), line(3)}, 0, 0, 0, 1},
		{"out of order", []string{line(2), line(1), line(3)}, 1, 1, 0, 1},
		{"never written", []string{line(1), line(2), line(3), line(4)}, 0, 0, 0, 1},
		{"two in one", []string{line(1) + line(2), line(3)}, 2, 1, 0, 1},
	} {
		n := readNumbers(test.lines, 3)
		if n.lost() != test.lost || len(n.gaps) != test.gaps || n.fragments != test.bits || len(n.wrong) != test.wrong {
			t.Errorf("%s: %+v", test.name, n)
		}
	}
}
