package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// columns are the peers; bareLoop is no supervisor but the least that starting
// processes costs here.
var columns = []string{"ffkeeper", "supervisord", bareLoop}

const bareLoop = "bare loop"

// table collects rows: a figure, what is wanted of it, and who reached what.
type table struct{ rows []row }

type row struct {
	what, want string
	value      map[string]figure // by peer
}

// figure is a number with its unit.
type figure struct {
	n      float64
	format string // how to print n
}

func (f figure) String() string {
	if f.format == "" {
		return "-"
	}
	return fmt.Sprintf(f.format, f.n)
}

// share is what the first of two peers takes of what the other does: it tells
// more than either alone, for machines differ, and the same one by the hour.
func (r row) share() figure {
	a, b := r.value[columns[0]], r.value[columns[1]]
	if a.format == "" || b.n == 0 {
		return figure{}
	}
	return figure{a.n / b.n, "%.3f"}
}

func newTable() *table { return &table{} }

// set stores one figure of one peer.
func (t *table) set(what, want, peer string, value figure) {
	fmt.Fprintf(os.Stderr, "%-58s %-12s %s\n", what, peer, value)
	i := slices.IndexFunc(t.rows, func(r row) bool { return r.what == what })
	if i < 0 {
		t.rows = append(t.rows, row{what, want, map[string]figure{}})
		i = len(t.rows) - 1
	}
	t.rows[i].value[peer] = value
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(tw, "\nfigure\twanted\t%s\tshare\n", strings.Join(columns, "\t"))
	for _, r := range t.rows {
		fmt.Fprintf(tw, "%s\t%s", r.what, r.want)
		for _, c := range columns {
			fmt.Fprintf(tw, "\t%s", r.value[c])
		}
		fmt.Fprintf(tw, "\t%s\n", r.share())
	}
	tw.Flush()
}

func median[T int | float64 | time.Duration](v []T) T { return percentile(v, 50) }

// percentile is the nearest-rank percentile.
func percentile[T int | float64 | time.Duration](v []T, p int) T {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, len(s)*p/100)]
}

func ms(d time.Duration) figure { return figure{float64(d) / 1e6, "%.2f ms"} }
