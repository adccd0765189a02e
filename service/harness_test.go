package service_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ffkeeper/ffkeeper/service"
	"github.com/ffkeeper/ffkeeper/service/ffmpeg/ffmpegtest"
	"github.com/ffkeeper/ffkeeper/service/shim"
	"github.com/ffkeeper/ffkeeper/service/stream"
)

func TestMain(m *testing.M) {
	shim.ExecHelperMain()
	flag.Parse()
	flag.Set("test.parallel", "4") // they mostly wait
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// keeper is a Keeper on stream files of its own, with what it logged.
type keeper struct {
	*service.Keeper
	t    *testing.T
	dir  string // of stream files
	work string // for what streams write
	log  *recorder
}

// newKeeper makes a keeper with the given stream files, name to content; in
// them @WORK@ is a directory for output, @FAKE@ the fake ffmpeg. Nothing is
// started. At the test's end all streams are stopped.
func newKeeper(t *testing.T, files map[string]string, change ...func(*service.Options)) *keeper {
	t.Helper()
	k := &keeper{t: t, dir: t.TempDir(), work: t.TempDir(), log: &recorder{t: t}}
	for name, content := range files {
		k.file(name, content)
	}
	opts := service.Options{Path: []string{k.dir}, Log: k.log}
	for _, c := range change {
		c(&opts)
	}
	var err error
	if k.Keeper, err = service.New(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, f := range k.StopAll(ctx, service.CallOptions{Timeout: 500 * time.Millisecond}) {
			t.Errorf("at the end: stop %s: %v", f.Name, f.Err)
		}
		k.Close()
		if t.Failed() {
			t.Log("the journal was:\n" + k.log.String())
		}
	})
	return k
}

// file writes a stream file.
func (k *keeper) file(name, content string) {
	k.t.Helper()
	content = strings.ReplaceAll(content, "@WORK@", k.work)
	if strings.Contains(content, "@FAKE@") {
		content = strings.ReplaceAll(content, "@FAKE@", ffmpegtest.Build(k.t))
	}
	if err := os.WriteFile(filepath.Join(k.dir, name+".stream"), []byte("[Stream]\n"+content+"\n"), 0o644); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) start(name string) int {
	k.t.Helper()
	pid, err := k.Start(k.ctx(), name, service.CallOptions{})
	if err != nil {
		k.t.Fatalf("start %s: %v", name, err)
	}
	return pid
}

// startOK starts a stream and waits until it delivers.
func (k *keeper) startOK(name string) int {
	k.t.Helper()
	pid, err := k.Start(k.ctx(), name, service.CallOptions{Wait: service.WaitOK})
	if err != nil {
		k.t.Fatalf("start %s: %v", name, err)
	}
	return pid
}

func (k *keeper) stop(name string) *stream.Snapshot {
	k.t.Helper()
	if err := k.Stop(k.ctx(), name, service.CallOptions{}); err != nil {
		k.t.Fatalf("stop %s: %v", name, err)
	}
	return k.snap(name)
}

func (k *keeper) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	k.t.Cleanup(cancel)
	return ctx
}

func (k *keeper) snap(name string) *stream.Snapshot {
	k.t.Helper()
	s, err := k.Snapshot(name)
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

// until waits until cond holds of a stream, looking at every event and, for
// figures, which are no events, ten times a second.
func (k *keeper) until(name, what string, cond func(*stream.Snapshot) bool) *stream.Snapshot {
	k.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		changed := k.Changed()
		s := k.snap(name)
		if cond(s) {
			return s
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("%s: waited in vain for %s; it is %s/%s/%q (%s), %+v, %+v", name, what, s.State, s.Health, s.Reason, s.Detail, s.Progress, s.Usage)
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (k *keeper) untilState(name string, state stream.State) *stream.Snapshot {
	k.t.Helper()
	return k.until(name, "state "+string(state), func(s *stream.Snapshot) bool { return s.State == state })
}

// path is a file in the streams' work directory.
func (k *keeper) path(name string) string { return filepath.Join(k.work, name) }

// playable fails the test unless ffprobe reads the file to its end and finds
// at least that many seconds in it.
func playable(t *testing.T, file string, seconds float64) {
	t.Helper()
	ffmpegtest.Real(t)
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe %s: %v: %s", file, err, out)
	}
	var got float64
	if _, err := fmt.Sscan(string(out), &got); err != nil || got < seconds {
		t.Errorf("%s: duration %q, want at least %g", file, strings.TrimSpace(string(out)), seconds)
	}
}

// alive says whether a process exists and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(b[strings.LastIndexByte(string(b), ')')+2:])
	return rest[0] != 'Z' && rest[0] != 'X'
}

// recorder is a log that tests can read.
type recorder struct {
	t  *testing.T
	mu sync.Mutex
	r  []record
}

type record struct {
	level slog.Level
	text  string
	attrs map[string]string
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) WithAttrs(a []slog.Attr) slog.Handler     { return &withAttrs{r, a} }
func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	return r.add(rec, nil)
}

func (r *recorder) add(rec slog.Record, with []slog.Attr) error {
	e := record{rec.Level, rec.Message, map[string]string{}}
	put := func(a slog.Attr) bool { e.attrs[a.Key] = a.Value.String(); return true }
	for _, a := range with {
		put(a)
	}
	rec.Attrs(put)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.r = append(r.r, e)
	return nil
}

// forget drops what has been recorded.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.r = nil
}

// of is the records of one stream.
func (r *recorder) of(name string) []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []record
	for _, e := range r.r {
		if e.attrs["FFKEEPER_STREAM"] == name {
			out = append(out, e)
		}
	}
	return out
}

// events is the kinds of events of one stream, in order.
func (r *recorder) events(name string) (kinds []string) {
	for _, e := range r.of(name) {
		if k := e.attrs["FFKEEPER_EVENT"]; k != "" {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func (r *recorder) has(name string, k stream.Kind) bool {
	return slices.Contains(r.events(name), string(k))
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.r {
		fmt.Fprintf(&b, "%v %s %v\n", e.level, e.text, e.attrs)
	}
	return b.String()
}

type withAttrs struct {
	r    *recorder
	with []slog.Attr
}

func (w *withAttrs) Enabled(context.Context, slog.Level) bool { return true }
func (w *withAttrs) WithGroup(string) slog.Handler            { return w }
func (w *withAttrs) WithAttrs(a []slog.Attr) slog.Handler {
	return &withAttrs{w.r, slices.Concat(w.with, a)}
}
func (w *withAttrs) Handle(_ context.Context, rec slog.Record) error { return w.r.add(rec, w.with) }

// readPID is the number in a file; 0 where there is none yet.
func readPID(file string) (pid int) {
	b, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(string(b), "\n") {
		return 0
	}
	fmt.Sscan(string(b), &pid)
	return pid
}

// buildShim builds ffkeeper-shim.
func buildShim(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "ffkeeper-shim")
	out, err := exec.Command("go", "build", "-o", program, "github.com/ffkeeper/ffkeeper/cmd/ffkeeper-shim").CombinedOutput()
	if err != nil {
		t.Fatalf("cannot build the shim: %v\n%s", err, out)
	}
	return program
}

// launcher starts shims as children and keeps the newest client.
func launcher(program string, client *atomic.Pointer[shim.Client]) service.ShimConnector {
	return func(_ context.Context, h shim.Handler) (*shim.Client, error) {
		c, err := shim.Launch(program, h)
		if err == nil {
			client.Store(c)
		}
		return c, err
	}
}
