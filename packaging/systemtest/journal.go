package systemtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Record is a record of the host's journal, by field.
type Record map[string]string

// Journal answers the records that journalctl finds with these arguments,
// oldest first.
func (h *Host) Journal(args ...string) []Record {
	h.t.Helper()
	out := h.Run(append([]string{"journalctl", "--no-pager", "--all", "-o", "json"}, args...)...)
	var records []Record
	for line := range strings.Lines(out) {
		r, err := parseRecord([]byte(line))
		if err != nil {
			h.t.Fatalf("journalctl %s: %v", strings.Join(args, " "), err)
		}
		records = append(records, r)
	}
	return records
}

// WaitJournal answers the first record that journalctl finds with these
// arguments, waiting for it to be written if it is not there yet.
func (h *Host) WaitJournal(limit time.Duration, args ...string) Record {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := h.Command(ctx, append([]string{"journalctl", "--no-pager", "--all", "--no-tail", "-f", "-o", "json"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	line, readErr := bufio.NewReader(out).ReadBytes('\n')
	cancel() // it follows the journal for ever
	cmd.Wait()
	if readErr != nil {
		h.t.Fatalf("journalctl %s: nothing within %v; the journal ends\n%s", strings.Join(args, " "), limit,
			h.Run("journalctl", "--no-pager", "-n", "40"))
	}
	r, err := parseRecord(line)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// parseRecord reads a line of journalctl -o json, in which a field that is
// not text is an array of bytes, and one that occurs more than once an array
// of values, of which the first is taken.
func parseRecord(line []byte) (Record, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, fmt.Errorf("%w in %q", err, line)
	}
	r := Record{}
	for name, value := range fields {
		r[name] = text(value)
	}
	return r, nil
}

func text(value any) string {
	list, ok := value.([]any)
	if !ok {
		s, _ := value.(string)
		return s
	}
	var b strings.Builder
	for _, v := range list {
		n, isByte := v.(float64)
		if !isByte {
			return text(v)
		}
		b.WriteByte(byte(n))
	}
	return b.String()
}

func (r Record) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, "%s=%s\n", name, r[name])
	}
	return b.String()
}
