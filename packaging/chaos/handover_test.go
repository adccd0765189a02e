package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

// handOvers is how often TestNoLineIsLostAtAHandOver hands over.
const handOvers = 60

// TestNoLineIsLostAtAHandOver has keepers in this process take over from each
// other, as at a restart of the service, in the middle of lines.
func TestNoLineIsLostAtAHandOver(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"enc":   "ExecStart=@FAKE@ -re -stats_period 0.05 -f lavfi -i testsrc -f null /dev/null",
		"brief": "Type=simple\nRestartSec=50ms\nRestartFactor=1\nRestartJitter=0\nExecStart=@LONE@ perl @DATA@/brief @WORK@/brief.runs",
	}
	for i := range 4 {
		files[fmt.Sprintf("num%d", i)] = "Type=simple\nExecStart=@LONE@ perl @DATA@/numbers 0.006 @WORK@/${NAME}.last half"
	}
	p := newPlain(t, files)
	rnd := random(t)
	endWatch := watchLone(t, p.shim.pid)
	log := newRecorder()
	var before map[string]*stream.Snapshot
	for i := range handOvers {
		k := p.inProcess(log, i == 0)
		after := map[string]*stream.Snapshot{}
		for _, s := range k.Snapshots() {
			after[s.Name] = s
		}
		for name, was := range before {
			steadyAcross(t, i, was, after[name])
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(60 * time.Millisecond)))) // the moment is random
		before = map[string]*stream.Snapshot{}
		for _, s := range k.Snapshots() {
			before[s.Name] = s
		}
		if err := k.HandOver(context.Background()); err != nil {
			t.Fatal(err)
		}
		k.Close()
	}
	endWatch()
	k := p.inProcess(log, false)
	for _, f := range k.StopAll(p.ctx(), service.CallOptions{}) {
		t.Errorf("%s: %v", f.Name, f.Err)
	}
	k.Close()
	for i := range 4 {
		name := fmt.Sprintf("num%d", i)
		last := lastNumber(t, p.work+"/"+name+".last")
		n := readNumbers(log.numbersOf(name), last)
		if n.lost() > 0 || n.fragments > 0 || len(n.wrong) > 0 {
			t.Errorf("%s, of %d lines: %d lost (%v), %d ends, %v", name, last, n.lost(), n.gaps, n.fragments, n.wrong)
		}
		t.Logf("%s: %d lines", name, last)
	}
	everyEndOnce(t, p.runs(), log.of("brief"), 0)
}

// inProcess is a keeper of this process on the host's shim; the first starts
// what is to be started.
func (p *plain) inProcess(log *recorder, first bool) *service.Keeper {
	p.t.Helper()
	k, err := service.New(service.Options{
		Path: []string{p.streams}, Log: log,
		Shim: func(ctx context.Context, h shim.Handler) (*shim.Client, error) { return shim.Dial(ctx, p.socket, h) },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { k.Close() })
	k.Autostart(context.Background())
	if first {
		eventually(p.t, "all up", func() string {
			for _, s := range k.Cores() {
				if s.State != stream.StateRunning && s.Name != "brief" {
					return s.Name + " is " + string(s.State)
				}
			}
			return ""
		})
	}
	return k
}

// steadyAcross holds a stream after a hand-over against what it was before.
func steadyAcross(t *testing.T, i int, was, is *stream.Snapshot) {
	t.Helper()
	if was.Name == "brief" {
		return
	}
	if is == nil {
		t.Errorf("at hand-over %d: %s is gone", i, was.Name)
		return
	}
	same := is.PID == was.PID && is.PID != 0 && is.State == was.State && is.RestartCount == 0 && len(is.ExitCodes) == 0
	if same && was.Progress != nil {
		same = is.Progress != nil && is.Progress.Frame >= was.Progress.Frame && is.Health == was.Health
	}
	var kept []string
	for _, l := range is.Lines {
		kept = append(kept, l.Text)
	}
	// One after the other, also where what was handed over meets what is new.
	if numbers := numberLines(kept); len(numbers) > 1 {
		var first int
		fmt.Sscanf(numbers[0], "number %d", &first)
		for n, line := range numbers {
			same = same && line == fmt.Sprintf("number %07d", first+n)
		}
	}
	if !same {
		t.Errorf("at hand-over %d: %s was %s/%s, pid %d, %+v, and is %s/%s, pid %d, %+v, %q", i, was.Name,
			was.State, was.Health, was.PID, was.Progress, is.State, is.Health, is.PID, is.Progress, kept)
	}
}

// recorder is a log that forgets nothing and writes at once.
type recorder struct {
	name string // of the stream, where it is known
	all  *records
}

type records struct {
	mu    sync.Mutex
	lines map[string][]string
}

func newRecorder() *recorder { return &recorder{all: &records{lines: map[string][]string{}}} }

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithGroup(string) slog.Handler            { return r }

func (r *recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *r
	for _, a := range attrs {
		if a.Key == "FFKEEPER_STREAM" {
			n.name = a.Value.String()
		}
	}
	return &n
}

func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.all.lines[r.name] = append(r.all.lines[r.name], record.Message)
	return nil
}

// of are the lines and events of a stream.
func (r *recorder) of(name string) []string {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	return slices.Clone(r.all.lines[name])
}

// numbersOf are the numbered lines among them, and ends of such.
func (r *recorder) numbersOf(name string) (lines []string) { return numberLines(r.of(name)) }

func numberLines(all []string) (lines []string) {
	for _, line := range all {
		if strings.HasPrefix(line, "number ") || strings.Trim(line, "0123456789") == "" {
			lines = append(lines, line)
		}
	}
	return lines
}
