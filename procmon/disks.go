package procmon

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Disks tells which file systems are full. A look at one may take for ever, as
// on a dead file server, so nobody waits for it: the answer is that of the look
// before. Its methods may be called from any goroutine.
type Disks struct {
	mu   sync.Mutex
	dirs map[string]*disk
}

type disk struct {
	looking bool
	looked  time.Time // last, with an answer
	asked   time.Time
	since   time.Time // full at every look since then; zero: not full
}

const (
	// diskAge is how long a look serves all who ask.
	diskAge = 2 * time.Second
	// diskForget is how long a directory is remembered that nobody asks for.
	diskForget = time.Minute
	// diskLeast is the room, in bytes, below which a file system counts as
	// full: what is left over of blocks and of others' buffers.
	diskLeast = 64 << 10
)

// NewDisks knows of none yet.
func NewDisks() *Disks { return &Disks{dirs: map[string]*disk{}} }

// FullSince answers since when the file system of a directory has been seen to
// have no room, or no room for further files, for those who are not root; the
// zero time where it has, or where that is not known. Of a directory that is
// not there, that above it counts. It never blocks.
func (d *Disks) FullSince(dir string) time.Time {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.dirs[dir]
	if one == nil {
		d.forget(now)
		one = &disk{}
		d.dirs[dir] = one
	}
	one.asked = now
	if !one.looking && now.Sub(one.looked) >= diskAge {
		one.looking = true
		go d.look(dir, one)
	}
	return one.since
}

func (d *Disks) look(dir string, one *disk) {
	full := isFull(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	one.looking, one.looked = false, time.Now()
	switch {
	case !full:
		one.since = time.Time{}
	case one.since.IsZero():
		one.since = one.looked
	}
}

// forget drops what nobody has asked for lately.
func (d *Disks) forget(now time.Time) {
	for dir, one := range d.dirs {
		if !one.looking && now.Sub(one.asked) > diskForget {
			delete(d.dirs, dir)
		}
	}
}

func isFull(dir string) bool {
	for {
		var st unix.Statfs_t
		_, err := retry(func() (int, error) { return 0, unix.Statfs(dir, &st) })
		if up := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && up != dir {
			dir = up
			continue
		}
		if err != nil || st.Blocks == 0 { // not known, or one that has no size
			return false
		}
		return st.Bavail*uint64(st.Bsize) < diskLeast || st.Files > 0 && st.Ffree == 0
	}
}
