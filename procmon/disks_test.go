package procmon

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waitFull asks until the answer is that, for a look is made meanwhile.
func waitFull(t *testing.T, d *Disks, dir string, full bool) time.Time {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if since := d.FullSince(dir); !since.IsZero() == full {
			return since
		}
	}
	t.Fatalf("%s is not seen to be full: %v", dir, full)
	return time.Time{}
}

func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("root can mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestFullDiskIsSeenUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=1m")
	d := NewDisks()
	below := filepath.Join(dir, "not", "there")
	if since := d.FullSince(below); !since.IsZero() {
		t.Errorf("full since %v, before any look", since)
	}
	waste := filepath.Join(dir, "waste")
	if err := os.WriteFile(waste, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	since := waitFull(t, d, below, true)
	if again := waitFull(t, d, below, true); !again.Equal(since) {
		t.Errorf("full since %v, and later since %v", since, again)
	}
	if err := os.Remove(waste); err != nil {
		t.Fatal(err)
	}
	waitFull(t, d, below, false)
}

func TestDiskWithoutRoomForFilesIsFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=10m,nr_inodes=4")
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	waitFull(t, NewDisks(), dir, true)
}

func TestFileSystemWithoutSizeIsNotFull(t *testing.T) {
	for _, dir := range []string{"/proc", "/sys", "/", "/nosuch/dir", "relative", ""} {
		if isFull(dir) {
			t.Errorf("%q is full", dir)
		}
	}
}
