package ffmpeg

import (
	"strconv"
	"strings"
)

// source is what an input URL has to do with ffmpeg's stdin.
type source struct {
	stdin  bool // the data come from fd 0
	plain  bool // it opens fd 0 by path, which works on a pipe, not on a socket
	noKeys bool // ffmpeg stops listening for q on stdin because of it
}

// inputSource says what ffmpeg reads for the input url. fd is the value of
// -fd among the input's options ("" if none): from 6.0 on it chooses the
// descriptor of pipe: and fd:.
//
// ffmpeg gives up its keys for "pipe:" and "fd:" with any number and for
// exactly "/dev/stdin" (fftools/ffmpeg_demux.c, stdin_interaction); for
// "file:/dev/stdin" and "/dev/fd/0" it goes on reading keys from the data.
func inputSource(url, fd string) source {
	if rest, ok := strings.CutPrefix(url, "concat:"); ok {
		var all source
		for part := range strings.SplitSeq(rest, "|") {
			one := inputSource(part, fd)
			all.stdin = all.stdin || one.stdin
			all.plain = all.plain || one.plain
		}
		return all
	}
	name, wrapped := unwrap(url)
	switch {
	case name == "-" && !wrapped:
		return source{stdin: descriptor("", fd, 0) == 0, noKeys: true}
	case strings.HasPrefix(name, "pipe:"):
		return source{stdin: descriptor(name[len("pipe:"):], fd, 0) == 0, noKeys: !wrapped}
	case strings.HasPrefix(name, "fd:"):
		return source{stdin: descriptor("", fd, 0) == 0, noKeys: !wrapped}
	case name == "/dev/stdin":
		return source{stdin: true, plain: true, noKeys: !wrapped}
	}
	path := strings.TrimPrefix(name, "file:")
	if path == "/dev/stdin" || path == "/dev/fd/0" || path == "/proc/self/fd/0" {
		return source{stdin: true, plain: true}
	}
	return source{}
}

// outputIsStdout reports whether ffmpeg writes data of the output url to fd 1.
// format and fd are the values of -f and -fd among its options.
func outputIsStdout(url, format, fd string) bool {
	switch {
	case format == "tee":
		return teeIsStdout(url)
	case writesNoBytes(format):
		return false
	case url == "-":
		return descriptor("", fd, 1) == 1
	}
	return urlIsStdout(url, fd)
}

// urlIsStdout is outputIsStdout without what only ffmpeg's command line knows.
func urlIsStdout(url, fd string) bool {
	if rest, ok := strings.CutPrefix(url, "tee:"); ok {
		for part := range strings.SplitSeq(rest, "|") {
			if urlIsStdout(part, "") {
				return true
			}
		}
		return false
	}
	name, _ := unwrap(url)
	switch {
	case name == "md5:": // prints the sum, where no file is named
		return true
	case strings.HasPrefix(name, "pipe:"):
		return descriptor(name[len("pipe:"):], fd, 1) == 1
	case strings.HasPrefix(name, "fd:"):
		return descriptor("", fd, 1) == 1
	}
	path := strings.TrimPrefix(name, "file:")
	return path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1"
}

// unwrap takes away the protocols that only pass on the bytes of another URL.
func unwrap(url string) (inner string, wrapped bool) {
	for {
		rest := url
		for _, prefix := range [...]string{"async:", "cache:", "crypto:", "crypto+"} {
			rest = strings.TrimPrefix(rest, prefix)
		}
		if rest == url {
			return url, wrapped
		}
		url, wrapped = rest, true
	}
}

// descriptor is the fd that "pipe:"+number means; std where it says none. What
// is not a number means std too (libavformat/file.c of 5.1; an error later).
func descriptor(number, option string, std int) int {
	if n, err := strconv.Atoi(option); err == nil && n >= 0 {
		return n
	}
	if n, err := strconv.Atoi(number); err == nil {
		return n
	}
	return std
}

// writesNoBytes reports whether the muxer writes nothing to its URL: null,
// whose customary URL is "-", and the devices, for which it is a name.
func writesNoBytes(format string) bool {
	switch format {
	case "null", "alsa", "audiotoolbox", "caca", "decklink", "fbdev", "opengl",
		"libndi_newtek", "oss", "pulse", "rtsp", "sap", "sdl", "sdl2", "sndio", "v4l2", "video4linux2", "xv":
		return true
	}
	return false
}

// teeIsStdout reports whether one of the tee muxer's outputs is stdout. "-" is
// a file name there.
func teeIsStdout(url string) bool {
	found := false
	eachOfTee(url, func(url, format, fd string) {
		found = found || !writesNoBytes(format) && urlIsStdout(url, fd)
	})
	return found
}

// eachOfTee looks into the URL of the tee muxer, `[f=mpegts]pipe:1|out.flv`:
// outputs between bars, each perhaps with options in brackets
// (libavformat/tee.c).
func eachOfTee(url string, yield func(url, format, fd string)) {
	for url != "" {
		var slave string
		slave, url = token(url, "|")
		url = strings.TrimLeft(url, "|")

		format, fd := "", ""
		if rest, ok := strings.CutPrefix(slave, "["); ok {
			for rest != "" && rest[0] != ']' {
				var key, value string
				key, rest = token(rest, "=]")
				value, rest = token(strings.TrimPrefix(rest, "="), ":]")
				rest = strings.TrimPrefix(rest, ":")
				switch key {
				case "f":
					format = value
				case "fd":
					fd = value
				}
			}
			slave = strings.TrimPrefix(rest, "]")
		}
		yield(slave, format, fd)
	}
}

// token is av_get_token (libavutil/avstring.c): the text up to one of the
// bytes of stop, one level of backslashes and single quotes removed, white
// space around it cut. rest begins with the stop byte.
func token(s, stop string) (tok, rest string) {
	const space = " \n\t\r"
	s = strings.TrimLeft(s, space)
	var b strings.Builder
	kept := 0 // bytes that trailing white space may not be cut from
	i := 0
	for i < len(s) && !strings.Contains(stop, s[i:i+1]) {
		c := s[i]
		i++
		switch {
		case c == '\\' && i < len(s):
			b.WriteByte(s[i])
			i++
			kept = b.Len()
		case c == '\'':
			for i < len(s) && s[i] != '\'' {
				b.WriteByte(s[i])
				i++
			}
			if i < len(s) {
				i++
			}
			kept = b.Len()
		default:
			b.WriteByte(c)
		}
	}
	out := b.String()
	return out[:kept] + strings.TrimRight(out[kept:], space), s[i:]
}
