package pump

import "slices"

// Drain answers what Take has not, and what the pipe holds at this moment, up
// to FinishBound, without waiting for the pump's next look and without ending
// the source: what a process that has just ended left in a pipe that others
// may still hold. It belongs to the goroutine that owns the stream.
func (s *Source) Drain() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.buf
	s.buf = nil
	data = s.readNow(data)
	s.woken = false
	if s.fd >= 0 && !s.watched {
		if err := s.watch(); err != nil {
			s.end(err)
		}
	}
	return data
}

// readNow appends what the pipe holds, up to FinishBound. The lock is held.
func (s *Source) readNow(data []byte) []byte {
	for most := len(data) + FinishBound; s.fd >= 0 && len(data) < most; {
		data = slices.Grow(data, min(most-len(data), DefaultLimit))
		n, err := read(s.fd, data[len(data):min(cap(data), most)])
		if n <= 0 || err != nil {
			break // empty, end of file or an error: nothing more to have
		}
		data = data[:len(data)+n]
	}
	return data
}
