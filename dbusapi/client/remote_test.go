package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestArgumentsOfSSH(t *testing.T) {
	for _, c := range []struct {
		r    Remote
		bus  string
		want string // after -xT; "" is an error
	}{
		{Remote{Host: "studio"}, "system", "-- studio systemd-stdio-bridge"},
		{Remote{Host: "ann@studio:2222"}, "system", "-p 2222 -- ann@studio systemd-stdio-bridge"},
		{Remote{Host: "ann@[fe80::1]:22"}, "session", "-p 22 -- ann@fe80::1 systemd-stdio-bridge --user"},
		{Remote{Host: "[::1]"}, "system", "-- ::1 systemd-stdio-bridge"},
		{Remote{Host: "fe80::1"}, "system", "-- fe80::1 systemd-stdio-bridge"},
		{Remote{Host: "a", Batch: true}, "unix:path=/it's", `-o BatchMode=yes -o ConnectTimeout=8 -- a systemd-stdio-bridge --bus-path='unix:path=/it'\''s'`},
		{Remote{Host: ""}, "system", ""},
		{Remote{Host: "-oProxyCommand=reboot"}, "system", ""},
		{Remote{Host: "ann@-x"}, "system", ""},
		{Remote{Host: "@a"}, "system", ""},
		{Remote{Host: "a b"}, "system", ""},
		{Remote{Host: "a\n"}, "system", ""},
		{Remote{Host: "a/b"}, "system", ""},
		{Remote{Host: "a:x"}, "system", ""},
		{Remote{Host: "[::1"}, "system", ""},
		{Remote{Host: "[::1]x"}, "system", ""},
		{Remote{Host: "a"}, "private", ""},
	} {
		args, err := c.r.arguments(c.bus)
		if c.want == "" {
			if err == nil {
				t.Errorf("%+v: %q", c.r, args)
			}
			continue
		}
		if got := strings.Join(args, " "); err != nil || got != "-xT "+c.want {
			t.Errorf("%+v: %q, %v", c.r, got, err)
		}
	}
}

func FuzzHostIsNoOption(f *testing.F) {
	for _, s := range []string{"a", "u@h:22", "[::1]:22", "-x", "u@-x", "[-x]", "@", "::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		args, err := (&Remote{Host: host}).arguments("system")
		if err != nil {
			return
		}
		i := slices.Index(args, "--")
		if i < 0 || len(args) != i+3 {
			t.Fatalf("%q: %q", host, args)
		}
		name := args[i+1]
		if name == "" || name[0] == '-' || strings.Contains(name, "@-") || strings.ContainsAny(name, " \n\t\x00/") {
			t.Errorf("%q: %q", host, args)
		}
	})
}

// program puts a shell script where ssh is looked for.
func program(t *testing.T, script string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ssh")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEMD_SSH", file)
}

func TestUnreachableHostSaysWhatSSHSaid(t *testing.T) {
	program(t, "echo 'some banner' >&2; echo 'ssh: connect to host studio port 22: Connection refused' >&2; exit 255")
	_, err := DialRemote(t.Context(), Remote{Host: "studio"}, "system")
	if want := "cannot connect to studio: ssh: connect to host studio port 22: Connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	program(t, "exit 1")
	if _, err := DialRemote(t.Context(), Remote{Host: "studio"}, "system"); err == nil || !strings.HasPrefix(err.Error(), "cannot connect to studio: ") {
		t.Errorf("got %v", err)
	}
	t.Setenv("SYSTEMD_SSH", "/nosuch/ssh")
	if _, err := DialRemote(t.Context(), Remote{Host: "studio"}, "system"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A host that does not answer holds nobody up beyond the context, and its ssh
// is ended.
func TestDiallingEndsWithItsContext(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	fifo := filepath.Join(t.TempDir(), "fifo")
	program(t, "mkfifo "+fifo+"; echo $$ > "+pid+".new; mv "+pid+".new "+pid+"; exec cat "+fifo)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := DialRemote(ctx, Remote{Host: "studio", Batch: true}, "system")
		done <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(pid); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("ssh has not been started")
		}
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("connected")
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("ssh, pid %d, has not ended: %v", n, err)
	}
}
