package pump

import "bytes"

// Drain answers what Take has not, and what the pipe holds at this moment, up
// to FinishBound, without waiting for the pump's next look and without ending
// the source: what a process that has just ended left in a pipe that others
// may still hold. It belongs to the goroutine that owns the stream.
func (s *Source) Drain() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.readNow()
	s.woken = false
	if s.fd >= 0 && !s.watched {
		if err := s.watch(); err != nil {
			s.end(err)
		}
	}
	return data
}

// readNow answers what was read and what the pipe holds, up to FinishBound, nil
// for nothing. What it answers is as long as that and not a buffer: three
// hundred processes that end at once would leave one of 64 KiB for each of
// their pipes to the garbage collector, whose work was half of what their end
// costs. The lock is held.
func (s *Source) readNow() []byte {
	buf := s.buf
	s.buf = nil
	for most := len(buf) + FinishBound; s.fd >= 0 && len(buf) < most; {
		buf = growBuffer(buf, most)
		n, err := read(s.fd, buf[len(buf):min(cap(buf), most)])
		if n <= 0 || err != nil {
			break // empty, end of file or an error: nothing more to have
		}
		buf = buf[:len(buf)+n]
	}
	var data []byte
	if len(buf) > 0 {
		data = bytes.Clone(buf)
	}
	putBuffer(buf)
	return data
}
