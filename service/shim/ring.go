package shim

import "bytes"

// maxRing bounds what is kept of one pipe, in bytes.
const maxRing = 64 << 10

// ring keeps the newest bytes of a pipe. What it drops it drops in whole lines
// from the old end, and counts.
type ring struct {
	data    []byte
	dropped uint64
}

// add appends chunk and keeps at most limit bytes.
func (r *ring) add(chunk []byte, limit int) {
	if over := len(chunk) - limit; over > 0 {
		// The chunk alone pushes everything older out.
		r.dropped += uint64(len(r.data) + over)
		r.data = append(r.data[:0], chunk[over:]...)
		r.cutToLine(chunk[over-1])
		return
	}
	if over := len(r.data) + len(chunk) - limit; over > 0 {
		before := r.data[over-1]
		r.dropped += uint64(over)
		r.data = append(r.data[:0], r.data[over:]...)
		r.data = append(r.data, chunk...)
		r.cutToLine(before)
		return
	}
	r.data = append(r.data, chunk...)
}

// cutToLine drops the rest of a line whose beginning was dropped; before is
// the last byte dropped. Lines end in \n or \r.
func (r *ring) cutToLine(before byte) {
	if before == '\n' || before == '\r' {
		return
	}
	end := bytes.IndexAny(r.data, "\r\n")
	if end < 0 {
		return // one line longer than the ring: its end is better than nothing
	}
	r.dropped += uint64(end + 1)
	r.data = append(r.data[:0], r.data[end+1:]...)
}
