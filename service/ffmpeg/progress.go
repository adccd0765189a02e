package ffmpeg

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// Block is one report of ffmpeg's -progress: its figures since it started.
// Has… is false where ffmpeg said N/A or nothing.
type Block struct {
	Frame    uint64 // frames encoded or copied, of the first video output stream
	HasFrame bool   // false: no video
	FPS      float64

	BitrateBPS uint64 // bits per second; lifetime average
	HasBitrate bool

	// TotalSize is what the first output has taken, in bytes; N/A for null,
	// hls, tee and the like. The header of a file counts.
	TotalSize    uint64
	HasTotalSize bool

	// OutTime is the end of the last packet written, the furthest of all
	// streams. It may be negative: encoder delay.
	OutTime    time.Duration
	HasOutTime bool

	Dup, Drop uint64 // frames duplicated and dropped to keep the frame rate

	// Speed is ffmpeg's lifetime average of media time over real time. For
	// the speed of now see [Rate].
	Speed    float64
	HasSpeed bool

	End bool // progress=end: the last block, all outputs are finished
}

// maxProgressLine bounds a line of -progress; real ones are under 40 bytes.
const maxProgressLine = 4096

// ProgressParser makes Blocks of what ffmpeg writes to -progress. It takes the
// bytes in any cut. What is not understood is skipped and counted. The zero
// value is ready.
type ProgressParser struct {
	part    []byte // a line whose end has not come yet
	skip    bool   // the rest of a line too long is being dropped
	current Block
	torn    bool // the beginning of current is missing
	bad     uint64
}

// Lost tells that bytes are missing before the next ones: what had begun is
// dropped, and so is the block that those are in the middle of.
func (p *ProgressParser) Lost() {
	p.part, p.skip = p.part[:0], true
	p.current, p.torn = Block{}, true
}

// Feed takes the next bytes and calls block for each block that they complete.
// It keeps no reference to chunk. It does not allocate, but for a line that is
// cut between two chunks for the first time.
func (p *ProgressParser) Feed(chunk []byte, block func(Block)) {
	for {
		i := bytes.IndexByte(chunk, '\n')
		if i < 0 {
			break
		}
		line := chunk[:i]
		chunk = chunk[i+1:]
		if p.skip {
			p.skip = false
			continue
		}
		if len(p.part)+len(line) > maxProgressLine {
			p.part = p.part[:0]
			p.bad++
			continue
		}
		if len(p.part) > 0 {
			p.part = append(p.part, line...)
			line = p.part
		}
		p.line(line, block)
		p.part = p.part[:0]
	}
	if p.skip || len(chunk) == 0 {
		return
	}
	if len(p.part)+len(chunk) > maxProgressLine {
		p.part, p.skip = p.part[:0], true
		p.bad++
		return
	}
	p.part = append(p.part, chunk...)
}

// Bad is how many lines were not understood so far: not key=value, a known key
// with an impossible value, or longer than 4 KiB. Keys that are not known here
// are not bad.
func (p *ProgressParser) Bad() uint64 { return p.bad }

// line takes one line in. The keys are those of print_report in
// fftools/ffmpeg.c.
func (p *ProgressParser) line(line []byte, block func(Block)) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if len(line) == 0 {
		return
	}
	eq := bytes.IndexByte(line, '=')
	if eq <= 0 || !isKey(line[:eq]) {
		p.bad++
		return
	}
	value := bytes.TrimSpace(line[eq+1:])
	known := !bytes.Equal(value, []byte("N/A"))

	b := &p.current
	ok := true
	switch string(line[:eq]) {
	case "frame":
		b.Frame, b.HasFrame, ok = count(value, known)
	case "fps":
		b.FPS, _, ok = decimal(value, known)
	case "bitrate":
		var kbit float64
		if known {
			value, ok = bytes.CutSuffix(value, []byte("kbits/s"))
		}
		if ok {
			kbit, b.HasBitrate, ok = decimal(value, known)
		}
		b.BitrateBPS = toUint(kbit * 1000)
	case "total_size":
		b.TotalSize, b.HasTotalSize, ok = count(value, known)
	case "out_time_us", "out_time_ms":
		// Both are in microseconds, whatever the name of the second says.
		b.OutTime, b.HasOutTime, ok = microseconds(value, known)
	case "dup_frames":
		b.Dup, _, ok = count(value, known)
	case "drop_frames":
		b.Drop, _, ok = count(value, known)
	case "speed":
		if known {
			value, ok = bytes.CutSuffix(value, []byte("x"))
		}
		if ok {
			b.Speed, b.HasSpeed, ok = decimal(value, known)
		}
	case "progress":
		switch string(value) {
		case "continue":
		case "end":
			b.End = true
		default:
			ok = false
		}
		done, whole := *b, !p.torn
		*b, p.torn = Block{}, false
		if ok && (whole || done.End) {
			block(done)
		}
	}
	if !ok {
		p.bad++
	}
}

// isKey: ffmpeg's keys are of lower case letters, digits and underscores
// (stream_0_0_q and the like may be of any number).
func isKey(key []byte) bool {
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// count, decimal and microseconds parse a trimmed value; known is false for
// N/A. They return the value, whether there is one, and whether the text was
// legal.

func count(value []byte, known bool) (n uint64, has, ok bool) {
	if !known {
		return 0, false, true
	}
	n, ok = digits(value)
	return n, ok, ok
}

func decimal(value []byte, known bool) (f float64, has, ok bool) {
	if !known {
		return 0, false, true
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
		return 0, false, false
	}
	return f, true, true
}

func microseconds(value []byte, known bool) (d time.Duration, has, ok bool) {
	if !known {
		return 0, false, true
	}
	number, negative := bytes.CutPrefix(value, []byte("-"))
	us, ok := digits(number)
	if !ok {
		return 0, false, false
	}
	if us > math.MaxInt64/uint64(time.Microsecond) {
		// Up to 5.1 ffmpeg prints INT64_MIN+1 while no packet has been
		// written; later ones say N/A.
		return 0, false, true
	}
	d = time.Duration(us) * time.Microsecond
	if negative {
		d = -d
	}
	return d, true, true
}

// digits parses an unsigned decimal number that fits 64 bits.
func digits(value []byte) (n uint64, ok bool) {
	if len(value) == 0 {
		return 0, false
	}
	for _, c := range value {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// toUint rounds f, which is not negative, and stops at the largest.
func toUint(f float64) uint64 {
	if f >= math.MaxUint64 {
		return math.MaxUint64
	}
	return uint64(f + 0.5)
}
