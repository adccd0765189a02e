package systemtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// work outlives single tests and is removed after the last.
var work string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if work, err = os.MkdirTemp("", "systemtest"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(work)
		return m.Run()
	}())
}

// sourceTree is what "make install" needs.
var sourceTree = sync.OnceValues(func() (string, error) {
	tree := filepath.Join(work, "tree")
	return tree, MakeTree("../..", tree, "test")
})

// installed boots a host with everything installed below /usr, files (by
// absolute path) laid over it, and nothing started.
func installed(t *testing.T, files map[string]string) *Host {
	t.Helper()
	t.Parallel() // most of a test is waiting
	tree, err := sourceTree()
	if err != nil {
		t.Fatal(err)
	}
	seed := t.TempDir()
	if err := Seed(tree, seed, files); err != nil {
		t.Fatal(err)
	}
	h := Boot(t, seed)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the host's journal ends\n%s", h.Run("journalctl", "--no-pager", "-n", "60"))
		}
	})
	return h
}

// serving is installed with the keeper started; streams are the texts of
// stream files by name.
func serving(t *testing.T, streams map[string]string, files map[string]string) *Host {
	t.Helper()
	all := map[string]string{}
	for path, text := range files {
		all[path] = text
	}
	for name, text := range streams {
		all[streamFile(name)] = text
	}
	h := installed(t, all)
	h.Run("systemctl", "start", "ffkeeper")
	return h
}

func streamFile(name string) string { return "/etc/ffkeeper/streams.d/" + name + ".stream" }

// write puts a file on the running host.
func (h *Host) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.Path(path), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// waitHealthy waits until the streams deliver.
func (h *Host) waitHealthy(names ...string) {
	h.t.Helper()
	for _, name := range names {
		h.WaitJournal(30*time.Second, "FFKEEPER_STREAM="+name, "FFKEEPER_EVENT=delivering")
	}
}

// processes are those of both users, as directories of /proc.
func (h *Host) processes() string {
	h.t.Helper()
	return h.Run("find", "/proc", "-mindepth", "1", "-maxdepth", "1", "(", "-user", "ffkeeper", "-o", "-user", "ffkeeper-streams", ")")
}

// pid of a stream, by way of busctl.
func (h *Host) pid(name string) string {
	h.t.Helper()
	out := h.Run("busctl", "get-property", "org.ffkeeper1", "/org/ffkeeper1/stream/"+name, "org.ffkeeper1.Stream", "PID")
	return strings.TrimPrefix(out, "u ")
}

// Streams of real ffmpeg.
const (
	hlsStream = `[Stream]
ExecStart=ffmpeg -y -re -f lavfi -i testsrc2=size=160x90:rate=10 -f lavfi -i sine=frequency=440 \
    -c:v libx264 -preset ultrafast -g 10 -c:a aac -f hls -hls_time 1 /var/lib/ffkeeper-streams/${NAME}.m3u8
`
	mp4Stream = `[Stream]
ExecStart=ffmpeg -re -f lavfi -i testsrc2=size=160x90:rate=10 -c:v libx264 -preset ultrafast \
    /var/lib/ffkeeper-streams/${NAME}.mp4
`
)

// copyIn copies a directory of this machine onto the host.
func (h *Host) copyIn(from, to string) {
	h.t.Helper()
	if out, err := exec.Command("cp", "-a", from, h.Path(to)).CombinedOutput(); err != nil {
		h.t.Fatalf("cp: %v: %s", err, out)
	}
}
