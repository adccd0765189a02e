package ffmpeg

import (
	"bytes"
	"unicode/utf8"
)

const (
	// DefaultMaxLine is how much of a line a LineSplitter keeps: more than
	// the longest line seen of ffmpeg, 7.4 kB.
	DefaultMaxLine = 8 << 10
	// wordSearch is how far from its cut a line is searched for the end of a
	// word.
	wordSearch = 1 << 10
)

// LineSplitter cuts what a process writes into lines, at \n, \r and \r\n. It
// takes the bytes in any cut, and holds at most one bounded line. Empty lines
// are left out. The zero value is ready.
//
// A line longer than Max is cut there and the rest of it dropped. The cut
// falls between words, for half a word might be half a secret, which could no
// longer be recognised and redacted; a line without a space in its last KiB
// loses that KiB.
type LineSplitter struct {
	// Max is the longest line in bytes; 0 is DefaultMaxLine. It is not to be
	// changed after the first Feed.
	Max int

	part []byte // of a line whose end has not come yet, at most Max bytes
	over bool   // the line is longer than Max: part is all that is kept
	cr   bool   // part ended in \r; a \n may follow as its other half
	cut  uint64
}

// Feed takes the next bytes and calls line for each line that they complete.
// stats: the line ended in a bare \r, as reports do that a terminal would
// overwrite. raw is without its end, may hold any bytes, and is valid only
// during the call. Feed keeps no reference to chunk.
func (s *LineSplitter) Feed(chunk []byte, line func(raw []byte, stats bool)) {
	for len(chunk) > 0 {
		if s.cr {
			// The \r was the last byte of the chunk before: only now it is
			// known whether it was alone.
			s.cr = false
			crlf := chunk[0] == '\n'
			s.emit(s.part, !crlf, line)
			if crlf {
				chunk = chunk[1:]
				continue
			}
		}
		i := bytes.IndexAny(chunk, "\r\n")
		if i < 0 {
			s.keep(chunk)
			return
		}
		end := chunk[i]
		raw := chunk[:i]
		chunk = chunk[i+1:]
		if len(s.part) > 0 || s.over || len(raw) > s.max() || end == '\r' && len(chunk) == 0 {
			s.keep(raw)
			raw = s.part
		}
		if end == '\r' && len(chunk) == 0 {
			s.cr = true
			return
		}
		bare := end == '\r' && chunk[0] != '\n'
		if end == '\r' && !bare {
			chunk = chunk[1:]
		}
		s.emit(raw, bare, line)
	}
}

// Flush hands out what is left of a line without an end, at the end of all
// input.
func (s *LineSplitter) Flush(line func(raw []byte, stats bool)) {
	stats := s.cr
	s.cr = false
	s.emit(s.part, stats, line)
}

// Leave takes what is left of a line without an end, for a LineSplitter
// elsewhere that goes on with Resume. long: the line is longer than Max, and
// nothing of it will be told.
func (s *LineSplitter) Leave() (part []byte, long bool) {
	part, long = append([]byte(nil), s.part...), s.over
	if s.cr {
		part = append(part, '\r')
	}
	if long {
		part = nil
	}
	s.part, s.over, s.cr = s.part[:0], false, false
	return part, long
}

// Resume goes on with what Leave has answered, before the first Feed.
func (s *LineSplitter) Resume(part []byte, long bool) {
	s.Feed(part, func([]byte, bool) {}) // it has no end: nothing is told
	s.over = s.over || long
}

// Cut is how many lines were longer than Max so far.
func (s *LineSplitter) Cut() uint64 { return s.cut }

func (s *LineSplitter) max() int {
	if s.Max > 0 {
		return s.Max
	}
	return DefaultMaxLine
}

// keep adds raw to the part, up to the bound.
func (s *LineSplitter) keep(raw []byte) {
	if s.over {
		return
	}
	if room := s.max() - len(s.part); len(raw) > room {
		raw = raw[:room]
		s.over = true
		s.cut++
	}
	s.part = append(s.part, raw...)
}

// emit hands out one line, which is the part or a piece of the chunk, and
// forgets the part.
func (s *LineSplitter) emit(raw []byte, stats bool, line func(raw []byte, stats bool)) {
	if s.over {
		raw = cutAtWord(raw)
	}
	s.part, s.over = s.part[:0], false
	if len(raw) > 0 {
		line(raw, stats)
	}
}

// cutAtWord takes the word away that the bound may have cut in two.
func cutAtWord(raw []byte) []byte {
	from := max(len(raw)-wordSearch, 0)
	if i := bytes.LastIndexAny(raw[from:], " \t"); i >= 0 {
		return bytes.TrimRight(raw[:from+i], " \t")
	}
	// The bound may also fall inside a character.
	for i := 0; i < utf8.UTFMax && from > 0 && !utf8.RuneStart(raw[from]); i++ {
		from--
	}
	return raw[:from]
}
