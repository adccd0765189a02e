package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/ffkeeper/ffkeeper/service/ffmpeg/internal/cmdline"
)

// command is what the ffmpeg part of the command line says.
type command struct {
	inputs, outputs []file

	progress   string // URL; "" for none
	period     time.Duration
	hasPeriod  bool
	stats      bool // stats lines on stderr
	hideBanner bool
	overwrite  bool // -y
	never      bool // -n
	stdin      bool // keys, unless an input takes them
	level      level
	tags       bool          // each line says its level
	limit      time.Duration // -t of an output; 0: none
	noVideo    bool          // -vn of an output
	videoSize  int           // of a raw frame on stdin
}

// file is an input or an output with those of its options that matter here.
type file struct{ url, format string }

// parse reads the command line, and dies as ffmpeg does where it is broken.
func (f *fake) parse(args []string) {
	c := &f.cmd
	c.period, c.stats, c.stdin, c.level = 500*time.Millisecond, true, true, levelInfo
	f.modes.setDefaults()

	width, height, perPixel := 0, 0, 0
	format, limit, noVideo := "", time.Duration(0), false
	fpsGiven := 0.0
	for _, item := range cmdline.Split(args) {
		switch item.Kind {
		case cmdline.Input:
			c.inputs = append(c.inputs, file{item.Value, format})
			format, limit, noVideo = "", 0, false
			continue
		case cmdline.Output:
			c.outputs = append(c.outputs, file{item.Value, format})
			if limit > 0 {
				c.limit = limit
			}
			c.noVideo = c.noVideo || noVideo
			format, limit, noVideo = "", 0, false
			continue
		}
		if item.Missing {
			die(1, "[fatal] Missing argument for option '"+item.Name+"'.\n[fatal] Error splitting the argument list: Invalid argument\n")
		}
		v := item.Value
		switch item.Name {
		case "fake":
			f.modes.parse(v)
		case "f":
			format = v
		case "t":
			limit = seconds(v)
		case "vn":
			noVideo = !item.Off
		case "s", "video_size":
			if w, h, ok := strings.Cut(v, "x"); ok {
				width, _ = strconv.Atoi(w)
				height, _ = strconv.Atoi(h)
			}
		case "pix_fmt", "pixel_format":
			perPixel = bitsPerPixel(v)
		case "r", "framerate":
			if x, err := strconv.ParseFloat(v, 64); err == nil && x > 0 {
				fpsGiven = x
			}
		case "progress":
			c.progress = v
		case "stats_period":
			c.period, c.hasPeriod = seconds(v), true
			if c.period <= 0 {
				die(1, "[error] stats_period "+v+" must be positive.\n")
			}
		case "stats":
			c.stats = !item.Off
		case "hide_banner":
			c.hideBanner = !item.Off
		case "y":
			c.overwrite = !item.Off
		case "n":
			c.never = !item.Off
		case "stdin":
			c.stdin = !item.Off
		case "loglevel", "v":
			c.setLevel(v)
		}
	}
	if fpsGiven > 0 {
		f.modes.fps = fpsGiven
	}
	if perPixel == 0 {
		perPixel = bitsPerPixel("yuv420p")
	}
	c.videoSize = max(width*height*perPixel/8, f.modes.frameSize, 1)
	f.progress = progressFD(c.progress)
	if len(c.outputs) == 0 {
		die(1, "[fatal] At least one output file must be specified\n")
	}
}

// setLevel is -loglevel, as opt_loglevel of ffmpeg reads it.
func (c *command) setLevel(v string) {
	for first := true; ; first = false {
		sign := byte(0)
		if v != "" && (v[0] == '+' || v[0] == '-') {
			sign, v = v[0], v[1:]
		}
		if first && sign == 0 {
			c.tags = false
		}
		if rest, ok := strings.CutPrefix(v, "repeat"); ok {
			v = rest
		} else if rest, ok := strings.CutPrefix(v, "level"); ok {
			v = rest
			c.tags = sign != '-'
		} else {
			break
		}
	}
	if l, ok := levelByName(v); ok {
		c.level = l
	}
}

// seconds reads a number of seconds; 0 if it is none.
func seconds(v string) time.Duration {
	x, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return 0
	}
	return time.Duration(x * float64(time.Second))
}

func bitsPerPixel(format string) int {
	switch format {
	case "rgb24", "bgr24":
		return 24
	case "rgba", "bgra", "argb", "abgr":
		return 32
	case "gray":
		return 8
	case "yuyv422", "uyvy422":
		return 16
	}
	return 12
}

// audioOnly: no input has a picture, or the outputs do not take it.
func (f *fake) audioOnly() bool {
	if f.modes.audioOnly || f.cmd.noVideo {
		return true
	}
	for _, in := range f.cmd.inputs {
		if in.format != "lavfi" {
			return false
		}
		source, _, _ := strings.Cut(in.url, "=")
		if source != "sine" && source != "anullsrc" && source != "aevalsrc" && source != "anoisesrc" {
			return false
		}
	}
	return len(f.cmd.inputs) > 0
}
