package procmon

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Disks tells which files cannot grow because their file system is full. A look
// at one may take for ever, as on a dead file server, so nobody waits for it: the
// answer is that of the last look. Its methods may be called from any goroutine.
type Disks struct {
	slots chan struct{} // one for each look that is under way

	mu    sync.Mutex
	files map[string]*disk
}

type disk struct {
	looking bool
	began   time.Time // the last look
	looked  time.Time // the last answer; zero: none yet
	asked   time.Time
	since   time.Time // full at every look from then on; zero: not full
}

// Room is what the last look has found.
type Room struct {
	Known bool // there has been an answer
	Full  bool
	// For is how long it has been full, from the first to the last of the looks
	// that have found it so; 0: there has been one only.
	For time.Duration
}

const (
	// diskAge is how long a look serves all who ask.
	diskAge = 2 * time.Second
	// diskHung is how long a look may take; after that nobody knows.
	diskHung = 10 * time.Second
	// diskForget is how long a file is remembered that nobody asks for.
	diskForget = time.Minute
	// diskLooks are at once: each takes a thread, which a dead file server does
	// not give back. Where all are stuck no disk is looked at any more.
	diskLooks = 8
	// diskLeast is the room, in bytes, below which a file system counts as
	// full: what is left over of blocks and of others' buffers.
	diskLeast = 64 << 10
)

// NewDisks knows of none yet.
func NewDisks() *Disks {
	return &Disks{slots: make(chan struct{}, diskLooks), files: map[string]*disk{}}
}

// Room answers whether the file system of a file has room, and room for further
// files, for those who are not root, and has that looked at anew. The file need
// not be there yet, nor its directory. What is no regular file, on a file system
// that is read-only, or out of sight, is not full. It never blocks.
func (d *Disks) Room(file string) Room {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.files[file]
	if one == nil {
		d.forget(now)
		one = &disk{}
		d.files[file] = one
	}
	one.asked = now
	switch {
	case one.looking && now.Sub(one.began) > diskHung:
		return Room{Known: true}
	case !one.looking && now.Sub(one.looked) >= diskAge:
		select {
		case d.slots <- struct{}{}:
			one.looking, one.began = true, now
			go d.look(file, one)
		default:
		}
	}
	r := Room{Known: !one.looked.IsZero(), Full: !one.since.IsZero()}
	if r.Full {
		r.For = one.looked.Sub(one.since)
	}
	return r
}

func (d *Disks) look(file string, one *disk) {
	full := isFull(file)
	<-d.slots
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
	for file, one := range d.files {
		if !one.looking && now.Sub(one.asked) > diskForget {
			delete(d.files, file)
		}
	}
}

func isFull(path string) bool {
	var file unix.Stat_t
	if unix.Stat(path, &file) == nil && file.Mode&unix.S_IFMT != unix.S_IFREG {
		return false // a FIFO, a device
	}
	for {
		var st unix.Statfs_t
		_, err := retry(func() (int, error) { return 0, unix.Statfs(path, &st) })
		if up := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && up != path {
			path = up
			continue
		}
		if err != nil || st.Blocks == 0 || uint64(st.Flags)&unix.ST_RDONLY != 0 {
			return false
		}
		unit := uint64(st.Frsize) // as statvfs(3) has it; FUSE tells them apart
		if unit == 0 {
			unit = uint64(st.Bsize)
		}
		return st.Bavail*unit < diskLeast || st.Files > 0 && st.Ffree == 0
	}
}
