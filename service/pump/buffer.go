package pump

import "sync"

// Buffers come in two sizes: one holds what an ordinary stream says within
// an interval, the other what a source holds at most unless told otherwise.
const (
	smallBuffer = 4 << 10
	largeBuffer = DefaultLimit
)

// Arrays, not slices: a slice put into a Pool is allocated anew each time.
var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// growBuffer answers buf with room for at least one more byte, towards limit.
func growBuffer(buf []byte, limit int) []byte {
	if len(buf) < cap(buf) {
		return buf
	}
	var larger []byte
	switch {
	case cap(buf) < smallBuffer:
		larger = smallBuffers.Get().(*[smallBuffer]byte)[:0]
	case cap(buf) < largeBuffer:
		larger = largeBuffers.Get().(*[largeBuffer]byte)[:0]
	default:
		larger = make([]byte, 0, min(2*cap(buf), max(limit, cap(buf)+1)))
	}
	larger = append(larger, buf...)
	putBuffer(buf)
	return larger
}

// putBuffer gives buf back for another source; nil and odd sizes are dropped.
func putBuffer(buf []byte) {
	switch cap(buf) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(buf[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(buf[:largeBuffer]))
	}
}
