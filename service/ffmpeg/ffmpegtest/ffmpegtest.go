// Package ffmpegtest gives tests an ffmpeg: the fake one, built once and
// shared, or the real one; and a way to run either and to watch it.
//
// It is for tests only. The fake is for numbers, stalls and crashes at will;
// the real one is the truth, and the fake's own tests hold it against that.
package ffmpegtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const fakePackage = "github.com/ffkeeper/ffkeeper/service/ffmpeg/fakeffmpeg"

// Build returns the path of the fake ffmpeg. Its base name is ffmpeg, so that
// the keeper takes it for one. It is built at most once a process, and only
// where no earlier process, of whatever package, has built it from the same
// sources with the same Go: it is kept in the user's cache directory.
func Build(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("cannot build the fake ffmpeg: %v", err)
	}
	return path
}

// Real returns the path of the real ffmpeg. Without one the test fails: what
// it would have shown is not shown.
func Real(t testing.TB) string { return installed(t, "ffmpeg") }

// Probe returns the path of the real ffprobe, as Real.
func Probe(t testing.TB) string { return installed(t, "ffprobe") }

func installed(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("this test needs the real %s: %v", program, err)
	}
	return path
}

// build is once a process: the sources do not change under a running test.
var build = sync.OnceValues(func() (string, error) {
	sum, err := sourceSum()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("ffkeeper-test-%d", os.Getuid()))
	}
	dir := filepath.Join(cache, "ffkeeper", "fakeffmpeg-"+sum)
	path := filepath.Join(dir, "ffmpeg")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Built beside its place and renamed: another process may be at it too.
	temporary, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	fresh := filepath.Join(temporary, "ffmpeg")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", fresh, fakePackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	prune(filepath.Dir(dir))
	return path, os.Rename(fresh, path)
})

// prune removes what was built of sources of more than a week ago.
func prune(cache string) {
	old, _ := filepath.Glob(filepath.Join(cache, "fakeffmpeg-*"))
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 7*24*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

// sourceSum is a digest of all that the fake is made of.
func sourceSum() (string, error) {
	const files = `{{if not .Standard}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}` + "\n" + `{{end}}{{end}}`
	out, err := exec.Command("go", "list", "-deps", "-f", files, fakePackage).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("go list: %w: %s", err, exit.Stderr)
		}
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	for path := range strings.FieldsSeq(string(out)) {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, path, len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
