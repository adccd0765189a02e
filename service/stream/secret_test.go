package stream

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ffkeeper/ffkeeper/service/redact"
	"github.com/ffkeeper/ffkeeper/service/streamfile"
)

func TestSecretPipeHoldsTheLargestAndIsReadOnce(t *testing.T) {
	large := strings.Repeat("x", streamfile.MaxCredential)
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "cam1.stream"), []byte("[Stream]\nExecStart=/bin/sh ${CREDENTIAL_FD:a} ${CREDENTIAL_FD:b}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := &streamfile.Loader{Credential: func(string) ([]byte, error) { return []byte(large), nil }}
	launch, err := l.LoadFile(filepath.Join(root, "cam1.stream")).Definition.Resolve(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := secretPipes(launch.Files)
	if err != nil || len(ends) != 2 {
		t.Fatalf("%d pipes, %v", len(ends), err)
	}
	defer closeFiles(ends)
	for _, want := range []string{large, ""} {
		if got, err := io.ReadAll(ends[1]); err != nil || string(got) != want {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
		}
	}
}

// The notes of a keeper say how a stream was started, but not with what; the
// next keeper reads that anew, and knows what must not be shown.
func TestNotesForTheNextKeeperHoldNoCredential(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "cam1.stream")
	err := os.WriteFile(file, []byte(`[Stream]
Type=simple
EnvironmentCredential=TOKEN=token
OutputPreset=live rtmp_playpath=${CREDENTIAL:key}
ExecStart=/bin/sh ${PRESET_live} ${CREDENTIAL_FD:key} run
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	r2 := redact.New()
	loader := &streamfile.Loader{Path: []string{root}, Credential: func(name string) ([]byte, error) {
		r2.Register("s3cret-" + name)
		return []byte("s3cret-" + name), nil
	}}
	def := loader.LoadFile(file).Definition
	if def == nil {
		t.Fatal("not loaded")
	}
	onRig(t, "run", func(r *rig) {
		if _, err := r.Start(background(), WaitDone); err != nil {
			t.Fatal(err)
		}
		r.is(StateRunning)
		check := func() {
			t.Helper()
			r.shim.mu.Lock()
			defer r.shim.mu.Unlock()
			if len(r.shim.notes) < 2 {
				t.Errorf("only %d notes", len(r.shim.notes))
			}
			told := false
			for key, packed := range r.shim.notes {
				note, err := unpack(packed)
				if err != nil {
					t.Errorf("%s: %v", key, err)
				}
				told = told || bytes.Contains(note, []byte("CREDENTIAL:key"))
				if bytes.Contains(note, []byte("s3cret")) {
					t.Errorf("%s: %s", key, note)
				}
			}
			if !told {
				t.Error("no note names the credential")
			}
		}
		check()
		r2 = redact.New()
		r.die()
		r.keeper(func(c *Config) { c.Redact, c.Definition, c.FileGone = r2, nil, true })
		if got := r2.String("s3cret-key s3cret-token"); got != "[redacted] [redacted]" {
			t.Errorf("the next keeper shows %q", got)
		}
		check()
	}, func(c *Config) { c.Definition, c.Loader = def, loader })
}

func TestTheNextKeeperKnowsWhatIsSecretInAHook(t *testing.T) {
	hook := streamfile.Command{Words: []string{"/bin/sh", "--token", "s3cret-of-hook-77e0", "run"}, Literal: true}
	onRig(t, "exit 1", func(r *rig) {
		r.Start(background(), WaitNone)
		synctest.Wait()
		r.is(StateFailed)
		if _, alive := r.shim.held(); alive != 1 {
			t.Fatalf("%d alive, not the hook", alive)
		}
		r.die()
		next := redact.New()
		r.keeper(func(c *Config) { c.Redact = next })
		synctest.Wait()
		if got := next.String("I am s3cret-of-hook-77e0"); got != "I am [redacted]" {
			t.Error(got)
		}
	}, func(c *Config) {
		c.Definition.Restart = streamfile.RestartNo
		c.Definition.OnFailure = []streamfile.Hook{{Command: hook}}
	})
}
