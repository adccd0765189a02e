package procmon

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// looked is what one more look finds, which comes diskAge after the one before.
func looked(d *Disks, file string) Room {
	one := d.files[file]
	if one == nil {
		one = &disk{}
		d.files[file] = one
	}
	if !one.since.IsZero() {
		one.since = one.since.Add(-diskAge)
	}
	d.slots <- struct{}{}
	d.look(file, one)
	return d.Room(file) // too soon for another
}

func TestFullDiskIsSeenUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=1m")
	d := NewDisks()
	file := filepath.Join(dir, "not", "there", "x%05d.ts")
	if r := NewDisks().Room(file); r != (Room{}) {
		t.Errorf("before any look: %+v", r)
	}
	if r := looked(d, file); r != (Room{Known: true}) {
		t.Errorf("an empty disk: %+v", r)
	}
	waste := filepath.Join(dir, "waste")
	if err := os.WriteFile(waste, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := looked(d, file); r != (Room{Known: true, Full: true}) {
		t.Errorf("full at one look: %+v", r)
	}
	if r := looked(d, file); !r.Full || r.For < diskAge || r.For > time.Minute {
		t.Errorf("full at two looks: %+v", r)
	}
	if r := looked(d, waste); !r.Full {
		t.Errorf("a file that is there: %+v", r)
	}
	if err := os.Remove(waste); err != nil {
		t.Fatal(err)
	}
	if r := looked(d, file); r != (Room{Known: true}) {
		t.Errorf("with room again: %+v", r)
	}
}

func TestDiskWithoutRoomForFilesIsFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=10m,nr_inodes=4")
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !isFull(filepath.Join(dir, "x")) {
		t.Error("it is not full")
	}
}

func TestOnlyARegularFileOnAWritableDiskCanBeFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=1m")
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := smallDisk(t, "size=1m")
	if err := os.WriteFile(filepath.Join(elsewhere, "x.ts"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(elsewhere, "x.ts"), link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "waste"), make([]byte, 1<<20-8<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, link, "/dev/null", "/proc/nosuch", "/sys/nosuch", ""} {
		if isFull(path) {
			t.Errorf("%q is full", path)
		}
	}
	if !isFull(filepath.Join(dir, "x")) {
		t.Error("the disk is not full")
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if isFull(filepath.Join(dir, "x")) {
		t.Error("a read-only disk is full")
	}
}

func TestALookThatHangsTellsNothingAndTakesNoMoreThreads(t *testing.T) {
	d := NewDisks()
	for range diskLooks {
		d.slots <- struct{}{} // as looks that hang
	}
	one := &disk{looking: true, began: time.Now().Add(-2 * diskHung), looked: time.Now().Add(-time.Hour), since: time.Now().Add(-2 * time.Hour)}
	d.files["/dead/x"] = one
	if r := d.Room("/dead/x"); r != (Room{Known: true}) {
		t.Errorf("hung: %+v", r)
	}
	if r := d.Room("/other/x"); r != (Room{}) || d.files["/other/x"].looking {
		t.Errorf("with all looks taken: %+v", r)
	}
}
