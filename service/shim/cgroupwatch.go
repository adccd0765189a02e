package shim

import (
	"encoding/binary"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// cgroupWatch tells of changes in the cgroup.events of many cgroups: one inotify
// descriptor, awaited through the runtime's poller. Its methods may be called
// from any goroutine.
type cgroupWatch struct {
	file *os.File

	mu      sync.Mutex
	fd      int
	changed map[int]func() // by watch
}

func newCgroupWatch() (*cgroupWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	w := &cgroupWatch{file: os.NewFile(uintptr(fd), "inotify"), fd: fd, changed: map[int]func(){}}
	go w.run()
	return w, nil
}

// add begins to watch; changed is called on the watch's goroutine.
func (w *cgroupWatch) add(dir string, changed func()) (int, error) {
	w.mu.Lock() // so that nothing is read before it is known whose it is
	defer w.mu.Unlock()
	if w.fd < 0 {
		return -1, os.ErrClosed
	}
	wd, err := unix.InotifyAddWatch(w.fd, dir+"/cgroup.events", unix.IN_MODIFY)
	if err != nil {
		return -1, err
	}
	w.changed[wd] = changed
	return wd, nil
}

// remove ends it. A watch on what has been removed costs memory until then.
func (w *cgroupWatch) remove(wd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.changed, wd)
	if w.fd >= 0 {
		unix.InotifyRmWatch(w.fd, uint32(wd))
	}
}

func (w *cgroupWatch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fd = -1
	w.file.Close()
}

func (w *cgroupWatch) run() {
	buf := make([]byte, 8192)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		for _, changed := range w.meant(buf[:n]) {
			changed()
		}
	}
}

// meant are those that some events are for (inotify(7)): of each, the watch and
// the mask are the first two of its four 32-bit numbers, the last is how many
// bytes of a name follow.
func (w *cgroupWatch) meant(events []byte) []func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var calls []func()
	seen := map[int]bool{}
	for len(events) >= unix.SizeofInotifyEvent {
		wd := int(int32(binary.NativeEndian.Uint32(events)))
		mask := binary.NativeEndian.Uint32(events[4:])
		named := int(binary.NativeEndian.Uint32(events[12:]))
		events = events[min(len(events), unix.SizeofInotifyEvent+named):]
		if mask&unix.IN_Q_OVERFLOW != 0 { // some are lost: it may be any
			calls = nil
			for _, changed := range w.changed {
				calls = append(calls, changed)
			}
			return calls
		}
		if changed := w.changed[wd]; changed != nil && mask&unix.IN_MODIFY != 0 && !seen[wd] {
			seen[wd] = true
			calls = append(calls, changed)
		}
	}
	return calls
}
