package procmon

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCgroupOfEveryHierarchy(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       Cgroup
		dir        string
	}{
		{"unified", "0::/system.slice/ffkeeper.service\n",
			Cgroup{Hierarchy: HierarchyUnified, Path: "/system.slice/ffkeeper.service"}, "/sys/fs/cgroup/system.slice/ffkeeper.service"},
		{"container", "0::/\n", Cgroup{Hierarchy: HierarchyUnified, Path: "/"}, "/sys/fs/cgroup"},
		{"hybrid", "12:memory:/\n2:cpu,cpuacct:/\n1:name=systemd:/system.slice/x.service\n0::/system.slice/x.service\n",
			Cgroup{Hierarchy: HierarchyHybrid, Path: "/system.slice/x.service"}, "/sys/fs/cgroup/unified/system.slice/x.service"},
		{"legacy", "12:memory:/system.slice/x.service\n1:name=systemd:/system.slice/x.service\n",
			Cgroup{Hierarchy: HierarchyLegacy, Path: "/system.slice/x.service"}, "/sys/fs/cgroup/systemd/system.slice/x.service"},
		{"legacy, version 2 unused", "1:name=systemd:/system.slice/x.service\n0::/\n",
			Cgroup{Hierarchy: HierarchyLegacy, Path: "/system.slice/x.service"}, "/sys/fs/cgroup/systemd/system.slice/x.service"},
		{"colon in the name", "0::/a:b/c\n", Cgroup{Hierarchy: HierarchyUnified, Path: "/a:b/c"}, "/sys/fs/cgroup/a:b/c"},
		{"removed", "0::/a.service (deleted)\n", Cgroup{Hierarchy: HierarchyUnified, Path: "/a.service", Deleted: true}, "/sys/fs/cgroup/a.service"},
		{"of another namespace", "0::/../other\n", Cgroup{Hierarchy: HierarchyUnified, Path: "/../other"}, ""},
	} {
		fs := fakeProc(t, map[string]string{"7/cgroup": test.text})
		c, err := cgroupOf(fs, 7)
		if err != nil || c != test.want || c.Dir() != test.dir {
			t.Errorf("%s: %+v in %q, %v", test.name, c, c.Dir(), err)
		}
	}
	for name, text := range map[string]string{"no cgroups": "", "version 1 without systemd": "3:memory:/x\n"} {
		if c, err := cgroupOf(fakeProc(t, map[string]string{"7/cgroup": text}), 7); !errors.Is(err, ErrNoCgroup) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if _, err := cgroupOf(fakeProc(t, map[string]string{"7/cgroup": "rubbish"}), 7); err == nil || !strings.Contains(err.Error(), "process 7") {
		t.Errorf("rubbish: %v", err)
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/system.slice/ffkeeper.service\n")
	f.Add("12:memory:/\n1:name=systemd:/x\n0::/x (deleted)\n")
	f.Add("0::/../..\n")
	f.Add("1:name=systemd:\n")
	f.Add(":::\n0:a:b\n-1::/\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := cgroupOf(fakeProc(t, map[string]string{"7/cgroup": text}), 7)
		if err != nil {
			if c != (Cgroup{}) {
				t.Errorf("%+v beside %v", c, err)
			}
			return
		}
		if !strings.HasPrefix(c.Path, "/") || c.Hierarchy == "" || !strings.Contains(text, c.Path) {
			t.Errorf("%+v", c)
		}
		if dir := c.Dir(); dir != "" && dir != "/sys/fs/cgroup" && !strings.HasPrefix(dir, "/sys/fs/cgroup/") {
			t.Errorf("directory %q", dir)
		}
	})
}

func TestKeysOfACgroup(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cpu.stat":       "usage_usec 5000000\nuser_usec 3000000\nsystem_usec 2000000\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1500\n",
		"memory.events":  "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n",
		"memory.current": "123456\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := ReadCPUStat(dir); err != nil || s != (CPUStat{5 * time.Second, 3 * time.Second, 2 * time.Second, 7, 3, 1500 * time.Microsecond}) {
		t.Errorf("%+v, %v", s, err)
	}
	if e, err := ReadMemoryEvents(dir); err != nil || e != (MemoryEvents{1, 2, 3, 4, 5}) {
		t.Errorf("%+v, %v", e, err)
	}
	if n, err := ReadMemoryCurrent(dir); err != nil || n != 123456 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := ReadMemoryEvents(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the controller: %v", err)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("usage_usec 1\nuser_usec 2\n"))
	f.Add([]byte("low 18446744073709551616"))
	f.Add([]byte("a\nb 1 2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parseKeys(text)
		if err != nil {
			return
		}
		for key := range values {
			if strings.ContainsAny(key, " \n") {
				t.Errorf("key %q", key)
			}
		}
	})
}

// On the real kernel: a cgroup of version 2 with a process that works.
func TestCgroupOfARealProcess(t *testing.T) {
	root := cgroup2Mount(t)
	dir, err := os.MkdirTemp(root, "procmon-test-")
	if err != nil {
		t.Fatalf("cannot make a cgroup (this test needs root): %v", err)
	}
	defer os.Remove(dir)
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(d.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	c, err := CgroupOf(cmd.Process.Pid)
	if err != nil || filepath.Base(c.Path) != filepath.Base(dir) {
		t.Fatalf("%+v, %v; want %s", c, err, dir)
	}
	if c.Dir() != dir {
		t.Errorf("directory %q, want %q", c.Dir(), dir)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s, err := ReadCPUStat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if s.Usage > 50*time.Millisecond && s.User > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("an endless loop used %+v", s)
		}
	}
	if n, err := ReadMemoryCurrent(dir); err == nil && n == 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("memory.current %d, %v", n, err)
	}
	if own, err := OwnCgroup(); err != nil || own.Hierarchy != c.Hierarchy || own.Path == c.Path {
		t.Errorf("own cgroup %+v, %v", own, err)
	}
}

// cgroup2Mount is where version 2 is mounted, by the file system's own word.
func cgroup2Mount(t testing.TB) string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var s unix.Statfs_t
		if unix.Statfs(dir, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	t.Fatal("cgroup version 2 is mounted nowhere")
	return ""
}
