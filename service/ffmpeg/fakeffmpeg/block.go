package main

import (
	"math"
	"strconv"
	"time"
)

// figures are those of one block.
type figures struct {
	frame uint64
	out   time.Duration
	size  uint64
}

// clock is how far the media is.
type clock struct {
	start int64         // of the run, in ns
	last  int64         // when media was brought up to date
	media time.Duration // without stdin data: real time times speed
	stood time.Duration // of media that frame stood still for (partial-stall)
}

// figuresNow are the figures at the moment, unless something stands still.
func (f *fake) figuresNow() figures {
	m := &f.modes
	media := f.clock.media
	if f.data.on {
		media = time.Duration(float64(f.data.taken/int64(f.cmd.videoSize)) / m.fps * float64(time.Second))
	}
	if f.cmd.limit > 0 {
		media = min(media, f.cmd.limit)
	}
	moving := max(media-f.clock.stood, 0)
	g := figures{
		frame: uint64(math.Round(moving.Seconds()*m.fps*1e6) / 1e6),
		out:   media.Truncate(time.Microsecond),
		size:  f.out.size,
	}
	if !f.data.on {
		g.frame++ // ffmpeg's first block comes after the first frame
	}
	if f.out.fd < 0 && !f.out.null {
		g.size = uint64(media.Seconds() * 25000) // into a network
	}
	if m.lookahead > 0 && f.clock.last-f.clock.start < int64(m.lookahead) {
		g.out = 0
		if f.out.fd < 0 {
			g.size = 0
		}
	}
	return g
}

// appendBlock writes g as print_report of ffmpeg's fftools/ffmpeg.c does.
func (f *fake) appendBlock(b []byte, g figures, end bool) []byte {
	var scratch [32]byte
	elapsed := float64(f.clock.last-f.clock.start) / 1e9
	if !f.audioOnly() {
		b = append(b, "frame="...)
		b = strconv.AppendUint(b, g.frame, 10)
		b = append(b, "\nfps="...)
		fps := 0.0
		if elapsed > 1 { // before that ffmpeg says 0.00
			fps = float64(g.frame) / elapsed
		}
		b = strconv.AppendFloat(b, fps, 'f', 2, 64)
		b = append(b, "\nstream_0_0_q=-1.0\n"...)
	}
	b = append(b, "bitrate="...)
	if kbit, ok := bitrate(g, f.out.null); ok {
		b = padded(b, 6, strconv.AppendFloat(scratch[:0], kbit, 'f', 1, 64))
		b = append(b, "kbits/s"...)
	} else {
		b = append(b, "N/A"...)
	}
	b = append(b, "\ntotal_size="...)
	if f.out.null {
		b = append(b, "N/A"...)
	} else {
		b = strconv.AppendUint(b, g.size, 10)
	}
	us := g.out.Microseconds()
	b = append(b, "\nout_time_us="...)
	b = strconv.AppendInt(b, us, 10)
	b = append(b, "\nout_time_ms="...) // in microseconds too
	b = strconv.AppendInt(b, us, 10)
	b = append(b, "\nout_time="...)
	b = appendTime(b, us)
	b = append(b, "\ndup_frames=0\ndrop_frames=0\nspeed="...)
	if speed, ok := speed(g, elapsed); ok {
		b = padded(b, 4, strconv.AppendFloat(scratch[:0], speed, 'g', 3, 64))
		b = append(b, 'x')
	} else {
		b = append(b, "N/A"...)
	}
	if end {
		return append(b, "\nprogress=end\n"...)
	}
	return append(b, "\nprogress=continue\n"...)
}

func bitrate(g figures, null bool) (kbit float64, ok bool) {
	if null || g.out <= 0 {
		return 0, false
	}
	return float64(g.size) * 8 / g.out.Seconds() / 1000, true
}

func speed(g figures, elapsed float64) (x float64, ok bool) {
	if elapsed <= 0.001 || g.out < 0 {
		return 0, false
	}
	return g.out.Seconds() / elapsed, true
}

// appendTime writes 00:00:01.040000.
func appendTime(b []byte, us int64) []byte {
	s := us / 1e6
	for i, n := range [...]int64{s / 3600, s / 60 % 60, s % 60} {
		if i > 0 {
			b = append(b, ':')
		}
		b = zeros(b, 2, n)
	}
	b = append(b, '.')
	return zeros(b, 6, us%1e6)
}

func zeros(b []byte, width int, n int64) []byte {
	for limit := int64(10); width > 1; width-- {
		if n < limit {
			break
		}
		limit *= 10
	}
	for ; width > 1; width-- {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, n, 10)
}

func padded(b []byte, width int, text []byte) []byte {
	for n := len(text); n < width; n++ {
		b = append(b, ' ')
	}
	return append(b, text...)
}

// appendStats writes the human form of it: `frame=  25 fps= 25 … speed=   1x`.
func (f *fake) appendStats(b []byte, g figures, final bool) []byte {
	var scratch [32]byte
	if !f.audioOnly() {
		b = append(b, "frame="...)
		b = padded(b, 5, strconv.AppendUint(scratch[:0], g.frame, 10))
		b = append(b, " fps= 25 q=-1.0 "...)
		if final {
			b = append(b, 'L')
		}
	}
	b = append(b, "size="...)
	if f.out.null {
		b = append(b, "N/A"...)
	} else {
		b = padded(b, 8, strconv.AppendUint(scratch[:0], g.size/1024, 10))
		b = append(b, "kB"...)
	}
	b = append(b, " time="...)
	whole := appendTime(scratch[:0], g.out.Microseconds())
	b = append(b, whole[:len(whole)-4]...)
	return append(b, " bitrate=N/A speed=   1x    "...)
}
