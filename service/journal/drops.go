package journal

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxNames bounds of how many streams drops are counted one by one; more are
// only counted in total.
const maxNames = 4096

// drops counts dropped records. The zero value counts none.
type drops struct {
	n        uint64
	byStream map[string]uint64 // of records that were a stream's
}

func (d *drops) add(stream string, n uint64) {
	d.n += n
	if stream == "" {
		return
	}
	if d.byStream == nil {
		d.byStream = map[string]uint64{}
	}
	if _, known := d.byStream[stream]; known || len(d.byStream) < maxNames {
		d.byStream[strings.Clone(stream)] += n
	}
}

// merge adds what e counts.
func (d *drops) merge(e drops) {
	named := uint64(0)
	for stream, n := range e.byStream {
		d.add(stream, n)
		named += n
	}
	d.add("", e.n-named)
}

// drop counts n records of a stream as dropped. The caller holds the lock.
func (q *queue) drop(stream string, n uint64) {
	q.total.add(stream, n)
	q.news.add(stream, n)
}

func (q *queue) droppedTotal() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total.n
}

func (q *queue) droppedOf(stream string) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total.byStream[stream]
}

// shownNames is how many streams the record about drops names.
const shownNames = 10

// record returns the record that tells of the drops.
func (d drops) record(kind string) slog.Record {
	where := "the journal"
	if kind != KindJournal {
		where = "the output"
	}
	message := fmt.Sprintf("%d records were dropped while %s did not take them", d.n, where)
	if d.n == 1 {
		message = "1 record was dropped while " + where + " did not take it"
	}
	if names := d.names(); names != "" {
		message += ": " + names
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, message, 0)
	r.AddAttrs(slog.String(FieldEvent, "records-dropped"), slog.Uint64("FFKEEPER_DROPPED", d.n))
	return r
}

// names lists the streams with most drops: "cam1 900, cam2 80, 3 others 17".
func (d drops) names() string {
	most := slices.SortedFunc(maps.Keys(d.byStream), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.byStream[b], d.byStream[a]), strings.Compare(a, b))
	})
	var list []string
	for _, name := range most[:min(len(most), shownNames)] {
		list = append(list, fmt.Sprintf("%s %d", name, d.byStream[name]))
	}
	if more := most[min(len(most), shownNames):]; len(more) > 0 {
		var n uint64
		for _, name := range more {
			n += d.byStream[name]
		}
		list = append(list, fmt.Sprintf("%d others %d", len(more), n))
	}
	return strings.Join(list, ", ")
}
