package systemtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestExamplesVerify(t *testing.T) {
	tree, err := sourceTree()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, pattern := range []string{"*.stream", "demo/*.stream"} {
		files, err := filepath.Glob(filepath.Join(tree, "contrib/examples", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			verify(t, tree, file)
		}
	}
	// What the template says of itself, with the password elsewhere.
	instance := filepath.Join(dir, "camera@192.168.7.21.stream")
	env := filepath.Join(dir, "camera.env")
	err = errors.Join(
		os.Symlink(filepath.Join(tree, "contrib/examples/camera@.stream"), instance),
		os.WriteFile(env, []byte("PASSWORD=x\n"), 0o600),
		os.Mkdir(instance+".d", 0o755),
		os.WriteFile(instance+".d/env.conf", []byte("[Stream]\nEnvironmentFile=\nEnvironmentFile="+env+"\n"), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, tree, instance)
}

func verify(t *testing.T, tree, file string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(tree, "bin/ffkeeperctl"), "verify", file)
	credentials := t.TempDir()
	for _, name := range []string{"studio-key", "channel-key", "radio-password"} {
		if err := os.WriteFile(filepath.Join(credentials, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = append(os.Environ(), "FFKEEPER_CREDENTIAL_PATH="+credentials)
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffkeeperctl verify %s: %v\n%s", filepath.Base(file), err, out)
	}
}
